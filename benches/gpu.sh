#!/usr/bin/env bash
# Checks and benches on a machine that has a graphics device and nothing else to offer: no network, no
# Rust. Two halves:
#
#     benches/gpu.sh pack                             where a Rust toolchain is: builds target/gpu/binaries.tar.xz
#     benches/gpu.sh [--quick] [--out FOLDER] [--device NAME]      there: at most 8 minutes
#
# What has to be carried: this repository's files as they are in git, and target/gpu/binaries.tar.xz
# (20 to 40 MB). What has to be there: bash, tar with xz, GNU coreutils, a driver with the Vulkan loader
# (libvulkan.so.1), 10 GB of disk for seeded checkpoints; for lines of torch beside ours, a python3 with
# torch and CUDA. The binaries look for files in the folder that they were built in: where that is not
# there, a link to this one takes its place while the script runs.
#
# It runs every operation against its reference and the networks and pictures against diffusers', then all
# benches, and writes benches/results/DEVICE-DATE.json (also into FOLDER): one object with the command, what
# was checked, and the lines of the benches. A check may take half of what is left of the time, a bench its
# share among those to come; what takes longer is stopped (status 124), and has the lines that it came to.
# --quick takes the benches' small sizes. The exit status is 1 if a check failed or was stopped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
readonly LIMIT_S=480
readonly BENCHES=(ops unet_step picture vae_decode encode start frames load)
readonly binaries=target/gpu

# executable KIND ARGUMENTS…: what of that kind (lib, test, bench, bin) `cargo ARGUMENTS` builds.
executable() {
    local kind=$1
    shift
    ${CARGO:-cargo} "$@" --message-format=json-render-diagnostics |
        sed -n "/\"kind\":\[\"$kind\"\]/s/.*\"executable\":\"\([^\"]*\)\".*/\1/p" | tail -n 1
}

# keep NAME FILE: a binary without what only a debugger reads.
keep() {
    test -n "$2"
    strip -o "$binaries/$1" "$2"
}

pack() {
    rm -rf "$binaries"
    mkdir -p "$binaries"
    keep lib-tests "$(executable lib test --release --lib --no-run)"
    keep suite "$(executable test test --release --test suite --no-run)"
    for bench in "${BENCHES[@]}"; do
        keep "bench-$bench" "$(executable bench bench --bench "$bench" --no-run)"
    done
    keep aquatint "$(executable bin build --release --bin aquatint)"
    pwd -P >"$binaries/built-in"
    git rev-parse HEAD >"$binaries/commit"
    # The binaries have most of their bytes in common: a window of 192 MiB finds them.
    tar -C "$binaries" -c . | xz -T1 -6 --lzma2=dict=192MiB >target/gpu.tar.xz
    mv target/gpu.tar.xz "$binaries/binaries.tar.xz"
    ls -l "$binaries/binaries.tar.xz"
}

# share N: the seconds that one of N has of what is left of the limit, but one at least: timeout takes 0 for
# no limit.
share() {
    local share=$(((LIMIT_S - SECONDS) / $1))
    echo $((share > 0 ? share : 1))
}

# check NAME COMMAND…: runs tests, and keeps how many passed.
check() {
    local name=$1 status=0 start=$SECONDS log=$work/check.log
    shift
    printf '\n== %s\n' "$name"
    timeout "$(share 2)" "$@" >"$log" 2>&1 || status=$?
    if ((status == 124)); then echo "stopped after $((SECONDS - start)) s"; fi
    grep -E '^(test .*FAILED|failures:|test result:)|panicked' "$log" || tail -n 5 "$log"
    local passed failed
    # By the tests' own lines: a run that is stopped comes to no sum.
    passed=$(grep -c '^test .* ok$' "$log") || true
    failed=$(grep -c '^test .* FAILED$' "$log") || true
    printf '{"check":"%s","status":%d,"passed":%d,"failed":%d,"seconds":%d}\n' \
        "$name" "$status" "$passed" "$failed" $((SECONDS - start)) >>"$work/checks"
    if ((status != 0)); then all_passed=false; fi
}

# lines FILE: its lines as the members of a JSON array, but for one that was cut off.
lines() {
    sed -n '/^{.*}$/p' "$1" | paste -sd,
}

run() {
    local command="benches/gpu.sh ${*//[\"\\]/}" quick=() device=() out='' all_passed=true
    while (($# > 0)); do
        case $1 in
            --quick) quick=(--quick) ;;
            --device) device=(--device "$2") && shift ;;
            --out) out=$2 && shift ;;
            *) sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2 && exit 2 ;;
        esac
        shift
    done
    if [[ ! -e $binaries/lib-tests ]]; then tar -C "$binaries" -xJf "$binaries/binaries.tar.xz"; fi
    work=$(mktemp -d)
    touch "$work/checks" "$work/lines"
    trap 'rm -rf "$work"; if [[ -n ${link:-} ]]; then rm -f "$link"; fi' EXIT
    local built_in
    built_in=$(<"$binaries/built-in")
    if [[ ! -e $built_in ]]; then
        mkdir -p "$(dirname "$built_in")"
        ln -s "$PWD" "$built_in"
        link=$built_in
    fi
    mkdir -p target/tmp
    export AQUATINT_REQUIRE_GPU=1

    check 'operations against their references' "$binaries/lib-tests" ops::
    check "networks against diffusers'" "$binaries/lib-tests" network_goldens
    check "pictures against diffusers'" "$binaries/suite" goldens

    local bench to_come=${#BENCHES[@]}
    for bench in "${BENCHES[@]}"; do
        printf '\n== %s, within %d s\n' "$bench" "$(share "$to_come")"
        timeout "$(share "$to_come")" "$binaries/bench-$bench" "${quick[@]}" "${device[@]}" --json "$work/lines" ||
            printf '{"bench":"%s","status":%d}\n' "$bench" "$?" >>"$work/lines"
        ((to_come -= 1)) || true
    done
    if ((SECONDS < LIMIT_S)) && python3 -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
        printf '\n== torch\n'
        timeout "$(share 1)" python3 benches/compare/torch_cuda.py | tee -a "$work/lines" || true
    fi

    local name file
    name=$(sed -n 's/.*"device":"\([^"(]*\).*/\1/p' "$work/lines" | head -n 1 |
        tr '[:upper:]' '[:lower:]' | sed 's/[^a-z0-9]\{1,\}/-/g; s/^-//; s/-$//')
    file=benches/results/${name:-unknown}-$(date +%F).json
    # Another run's, or the lines of benches that were run by hand.
    if [[ -e $file ]]; then file=${file%.json}-$(date +%H%M%S).json; fi
    mkdir -p benches/results
    printf '{"command":"%s","commit":"%s","date":%d,"seconds":%d,"checks":[%s],"benches":[%s]}\n' \
        "$command" "$(<"$binaries/commit")" "$(date +%s)" "$SECONDS" \
        "$(lines "$work/checks")" "$(lines "$work/lines")" >"$file"
    if [[ -n $out ]]; then cp "$file" "$out/"; fi
    printf '\n%s, after %d s\n' "$file" "$SECONDS"
    $all_passed
}

if [[ ${1:-} == pack ]]; then pack; else run "$@"; fi
