"""The same work by aquatint and by its peers in turn, and how many times as long each takes.

    benches/compare/run [--side PX] [--rounds N] [--json FILE] [PEER…]

One guided step of Stable Diffusion 1.5's size and one decoding, with the same weights: the seeded checkpoint of the
benches. In each round every contestant has its turn, in a process of its own; figures are medians over the rounds: by the
clock, and by the time that the process had processors for, which suffers less where a machine is shared.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TARGET = ROOT / "target" / "compare"
CHECKPOINT = ROOT / "target" / "tmp" / "sd15-seeded-f16.safetensors"
WORK = ("step", "decode")
MINUTES = 30  # after which a peer's turn has failed


def aquatint(side):
    """Our own figures, from the lines that two benches append."""
    figures = {}
    for bench, work in (("unet_step", "step"), ("vae_decode", "decode")):
        with tempfile.TemporaryDirectory() as folder:
            lines = Path(folder) / "lines.json"
            bench = [os.environ.get("CARGO", "cargo"), "bench", "--quiet", "--bench", bench, "--"]
            run([*bench, "--side", str(side), "--json", str(lines), "SD 1.5"], cwd=ROOT)
            line = next(line for line in map(json.loads, lines.read_text().splitlines()) if line["name"] == work)
            found = line["figures"]
            figures[work] = {"seconds": found["ms"] / 1e3}
            if "GFLOP/CPU-s" in found:
                figures[work]["cpu_seconds"] = found["GFLOP"] / found["GFLOP/CPU-s"]
            figures["of"] = f"aquatint on {line['device']}, {line['driver']}, {line['dtype']}"
    return figures


def diffusers(side):
    """diffusers on torch, on the CPU."""
    python = os.environ.get("TORCH_PYTHON", TARGET / "torch" / "bin" / "python")
    return answer([python, HERE / "diffusers_peer.py", CHECKPOINT, str(side)])


def sdcpp(package, **environment):
    """stable-diffusion.cpp, prebuilt in a package."""

    def figures(side):
        python = TARGET / package / "bin" / "python"
        settings = os.environ | environment | {"SDCPP_PACKAGE": package}
        return answer([python, HERE / "sdcpp_peer.py", CHECKPOINT, str(side)], env=settings)

    return figures


# ggml leaves out Vulkan devices that are CPUs, unless they are named.
CONTESTANTS = {
    "aquatint": aquatint,
    "diffusers": diffusers,
    "sdcpp-cpu": sdcpp("cyllama"),
    "sdcpp-vulkan": sdcpp("cyllama-vulkan", GGML_VK_VISIBLE_DEVICES="0"),
}


def run(command, **settings):
    """A command's output; with what it said, where it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60 * MINUTES, **settings)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"took more than {MINUTES} minutes") from None
    if done.returncode:
        raise RuntimeError(f"ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    return done.stdout


def answer(command, **settings):
    return json.loads(run(command, **settings).splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=256, help="the picture's side in pixels")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="append a line for each contestant")
    parser.add_argument("peers", nargs="*", metavar="PEER", help=f"of {', '.join(CONTESTANTS)}; all if none is named")
    arguments = parser.parse_args()
    if unknown := set(arguments.peers) - set(CONTESTANTS):
        parser.error(f"no such peer: {', '.join(sorted(unknown))}")
    chosen = list(dict.fromkeys(["aquatint", *(arguments.peers or CONTESTANTS)]))
    times = {name: {work: [] for work in WORK} for name in chosen}
    said = {}
    for round in range(arguments.rounds):
        for name in list(times):
            try:
                figures = CONTESTANTS[name](arguments.side)
            except (RuntimeError, OSError) as failure:
                print(f"{name}: {failure}", file=sys.stderr)
                said[name] = f"failed: {failure}"
                del times[name]
                continue
            said[name] = figures["of"]
            for work in WORK:
                times[name][work].append(figures[work])
            print(f"round {round + 1}: {name}: {json.dumps({work: figures[work] for work in WORK})}", flush=True)
    report(arguments, times, said)


def median(values):
    """The median of each figure over the rounds."""
    return {unit: statistics.median(value[unit] for value in values) for unit in values[0]}


def report(arguments, times, said):
    """The medians, and how many times as long as ours they are."""
    medians = {name: {work: median(values[work]) for work in WORK} for name, values in times.items()}
    print(f"\nSD 1.5's size, {arguments.side}², {os.cpu_count()} CPUs ({platform.processor() or platform.machine()})")
    for name, text in said.items():
        print(f"\n{name}: {text}")
        for work in WORK if name in medians else ():
            ours = medians.get("aquatint", {}).get(work, {})
            for unit, value in medians[name][work].items():
                ratio = f"{value / ours[unit]:8.3f} of aquatint's" if unit in ours else ""
                print(f"  {work:<7} {value:9.3f} {unit:<12} {ratio}")
    if arguments.json:
        with arguments.json.open("a") as file:
            for name, text in said.items():
                line = {
                    "bench": "compare",
                    "name": name,
                    "of": text,
                    "size": f"SD 1.5, {arguments.side}²",
                    "cpus": os.cpu_count(),
                    "medians": medians.get(name),
                    "rounds": times.get(name),
                    "command": "benches/compare/run " + " ".join(sys.argv[1:]),
                    "date": int(time.time()),
                }
                file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
