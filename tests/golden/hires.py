"""Records what torch computes where a picture is drawn, enlarged and drawn again: data/hires/.

    python hires.py

The first pass is diffusers' own pipeline, with the models of families.py (which is run before). Its latents are enlarged as
AUTOMATIC1111 does it ("Latent": torch's bilinear interpolation), the noise of the second pass is the same seed's at the new
size, and it does the last N of int(N / strength) steps (`setup_img2img_steps` in its modules/sd_samplers_common.py). f32, one
CPU thread; tensors as those of families.py, those of the second pass's start with `hires.` before their names.
"""

import json
import logging
import tempfile
from pathlib import Path

import numpy as np
import torch
from diffusers.image_processor import VaeImageProcessor

import families
import family_models
import models
from models import DATA
from pictures import VERSIONS

CASES = [
    dict(name="latent_euler_leading", model="tiny_bksdm", sampler="euler", schedule="leading", height=28, width=36, steps=4, guidance_scale=5.0,
         prompt="a mill by a river", negative_prompt="smoke", seed=81, hires=2.0, hires_strength=0.7, hires_steps=3),
    dict(name="latent_v_ddim_trailing_rounded", model="tiny_sd2", sampler="ddim", schedule="trailing", height=28, width=36, steps=4, guidance_scale=4.0,
         prompt="an iron gate", negative_prompt="", seed=82, hires=1.6, hires_strength=0.5, hires_steps=None, batch_size=2),
]  # fmt: skip


def second_pass(case, pipeline, latents):
    """Latents of the first pass -> the noise and the latents after each step of the second."""
    factor = 2 ** (len(pipeline.vae.config.block_out_channels) - 1)
    size = [factor * round(case[side] * case["hires"] / factor) // factor for side in ("height", "width")]
    steps = case["hires_steps"] or case["steps"]
    laid = int(steps / min(case["hires_strength"], 0.999))
    scheduler = families.make_scheduler(case)
    scheduler.set_timesteps(laid)
    timesteps = scheduler.timesteps[laid - steps :]
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(laid - steps)
    large = torch.nn.functional.interpolate(latents, size=size, mode="bilinear", antialias=False)
    generators = [torch.Generator().manual_seed(case["seed"] + i) for i in range(case["batch_size"])]
    noise = torch.cat([torch.randn((1, 4, *size), generator=g) for g in generators])
    x, kept = scheduler.add_noise(large, noise, timesteps[:1]), []
    prompt, negative = pipeline.encode_prompt(case["prompt"], "cpu", case["batch_size"], True, negative_prompt=case["negative_prompt"])
    for t in timesteps:
        sample = scheduler.scale_model_input(torch.cat([x, x]), t)
        away, towards = pipeline.unet(sample, t, encoder_hidden_states=torch.cat([negative, prompt])).sample.chunk(2)
        x = scheduler.step(away + case["guidance_scale"] * (towards - away), t, x).prev_sample
        kept.append(x)
    return noise, kept


def main():
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    logging.disable(logging.WARNING)
    (DATA / "hires").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        for case in CASES:
            case = {"batch_size": 1} | case
            networks = family_models.build(family_models.SPECS[case["model"]])
            pipeline = families.make_pipeline(case, networks, families.tokenizers(networks, Path(scratch)))
            first = families.run(case, pipeline)
            out = {name: value for name, value in first.items() if name == "latents_init" or name.startswith("step.")}
            noise, kept = second_pass(case, pipeline, first[f"step.{case['steps'] - 1:03}.latents"])
            out |= {"hires.latents_init": noise} | {f"step.{case['steps'] + i:03}.latents": x for i, x in enumerate(kept)}
            decoded = pipeline.vae.decode(kept[-1] / pipeline.vae.config.scaling_factor).sample
            pixels = VaeImageProcessor().postprocess(decoded, output_type="np")
            out["image"] = torch.from_numpy((pixels * 255).round().astype(np.uint8))
            print(f"{'':34} {len(kept)} steps again at {decoded.shape[3]}x{decoded.shape[2]}, latents {kept[-1].std():.3f}")
            metadata = {"case": json.dumps(case | {"versions": VERSIONS}, ensure_ascii=False)}
            models.save(DATA / "hires" / f"{case['name']}.safetensors", {n: v.contiguous() for n, v in out.items()}, metadata)


if __name__ == "__main__":
    main()
