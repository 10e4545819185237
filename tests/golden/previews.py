"""Records the denoised latents of each step of diffusers' runs, and their colours.

    python previews.py

writes data/previews after `models.py`: the runs of `pictures.py` that are named below, of the model `tiny_a`, with what
diffusers' schedulers hold the clean latents for (`pred_original_sample`; of DPM-Solver++ the converted output), and by
numpy the pixels that ComfyUI's `Latent2RGBPreviewer` makes of them with the factors of `SD15` (commit 9a9a69f of
`comfy/latent_formats.py`), rounded to the nearest byte. Recorded with torch 2.15.0, diffusers 0.42.1, in f32 on one CPU
thread.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import models
import numpy as np
import pictures
import torch

# "a_euler_leading_batch": two pictures. The history holds the clean latents of most samplers, and DDIM's as well.
NAMES = ("a_euler_leading_batch", "a_euler_ancestral_leading_batch", "a_ddim_leading", "a_heun_linspace_unguided", "a_dpmpp_2m_karras_long")
FACTORS = np.array([[0.3512, 0.2297, 0.3227], [0.3250, 0.4974, 0.2350], [-0.2829, 0.1762, 0.2721], [-0.2120, -0.2616, -0.7177]])


def recording(scheduler, kept):
    """The scheduler, which puts what it holds for clean into `kept` at every evaluation."""
    real = scheduler.step

    def step(*args, **kwargs):
        out = real(*args, **kwargs)
        clean = getattr(out, "pred_original_sample", None)
        kept.append(scheduler.model_outputs[-1] if clean is None else clean)
        return out

    scheduler.step = step
    return scheduler


def write(model, case):
    kept = []
    make = pictures.make_scheduler
    pictures.make_scheduler = lambda *names: recording(make(*names), kept)
    try:
        pictures.run(model, case)
    finally:
        pictures.make_scheduler = make
    if case["sampler"] == "heun":  # two evaluations a step, one in the last; the second one is after it
        kept = kept[1::2] + kept[-1:]
    assert len(kept) == case["steps"]
    out = {}
    for i, clean in enumerate(kept):
        colours = np.einsum("nchw,cr->nhwr", clean.double().numpy(), FACTORS)
        out[f"step.{i:03}.denoised"] = clean.contiguous()
        out[f"step.{i:03}.preview"] = torch.from_numpy((np.clip((colours + 1) / 2, 0, 1) * 255).round().astype(np.uint8))
    metadata = {"case": json.dumps(case | {"versions": pictures.VERSIONS}, ensure_ascii=False)}
    models.save(pictures.DATA / "previews" / f"{case['name']}.safetensors", out, metadata)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    shutil.rmtree(pictures.DATA / "previews", ignore_errors=True)
    merges = (pictures.MODELS / "tiny_c" / "tokenizer" / "merges.txt").read_text().split("\n")[1:]
    with tempfile.TemporaryDirectory() as scratch:
        model = pictures.load("tiny_a", None, merges, Path(scratch))
        for case in (case for case in pictures.CASES if case["name"] in NAMES):
            write(model, {"batch_size": 1} | case)


if __name__ == "__main__":
    main()
