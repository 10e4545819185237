"""One guided step and one decoding by stable-diffusion.cpp, as cyllama packs it; prints one line of JSON.

    python sdcpp_peer.py CHECKPOINT SIDE_PX

By the clock, times are stable-diffusion.cpp's own: of each step as it reports it, of the decoding as it logs it. The first
step of two warms up.
"""

import importlib.metadata
import json
import os
import re
import sys
import time

STEPS = 2
DECODING = "decoding 1 latents"
DECODED = re.compile(r"decode_first_stage completed, taking ([\d.]+)s")


def main():
    checkpoint, side = sys.argv[1], int(sys.argv[2])
    # stdout is for the line of JSON: what the library prints goes to stderr.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    from cyllama.sd import SampleMethod, SDContext, SDContextParams, set_log_callback, set_progress_callback

    figures, cpu = {}, time.process_time()

    def done(work, seconds):
        nonlocal cpu
        before, cpu = cpu, time.process_time()
        if work:
            figures[work] = {"seconds": seconds, "cpu_seconds": cpu - before}

    def hear(_level, text):
        print(text, end="", file=sys.stderr)
        if DECODING in text:
            done(None, None)
        for seconds in DECODED.findall(text):
            done("decode", float(seconds))

    set_log_callback(hear)
    # The last of the steps is the one that stays.
    set_progress_callback(lambda step, count, seconds: done("step", seconds) if count == STEPS else None)
    context = SDContext(SDContextParams(model_path=checkpoint, n_threads=os.cpu_count()))
    context.generate(
        "a slice of pizza",
        width=side,
        height=side,
        seed=42,
        sample_steps=STEPS,
        cfg_scale=7.0,
        sample_method=SampleMethod.EULER,
    )
    package = os.environ["SDCPP_PACKAGE"]
    figures["of"] = f"stable-diffusion.cpp in {package} {importlib.metadata.version(package)}"
    print(json.dumps(figures), file=answer, flush=True)


if __name__ == "__main__":
    main()
