"""Records what diffusers computes where a run starts from a picture: data/tasks/.

    python tasks.py

Runs of diffusers' own pipelines with the models of families.py (which is run before), listened to at the end of each step.
The pictures are smooth and made here, in the size of the run, so that nothing is resized. f32, one CPU thread.

Each file holds what those of families.py do, and `input` [H,W,3] u8, `mask` [H,W] u8 (white is repainted; its edges lie on
latents, so that every way to shrink it is the same), and `encoder_noise.000`, … [B,4,h,w]: the unit normals that latents of
pictures were drawn from, before that of `latents_init`. There is no batch to fill in: diffusers' inpainting draws those
from the first picture's generator alone, so that no other picture of the batch could be made alone.
"""

import json
import logging
import tempfile
from pathlib import Path

import numpy as np
import torch
from diffusers import (
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionInstructPix2PixPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
)
from diffusers.image_processor import VaeImageProcessor
from diffusers.models.autoencoders import vae as diffusers_vae
from diffusers.pipelines.stable_diffusion import (
    pipeline_stable_diffusion_img2img,
    pipeline_stable_diffusion_inpaint,
    pipeline_stable_diffusion_instruct_pix2pix,
)
from diffusers.pipelines.stable_diffusion_xl import pipeline_stable_diffusion_xl_img2img, pipeline_stable_diffusion_xl_inpaint
from diffusers.schedulers import scheduling_euler_ancestral_discrete
from PIL import Image

import families
import family_models
import models
from models import DATA
from pictures import VERSIONS

CASES = [
    dict(name="transform_euler_leading", task="transform", model="tiny_sd2", sampler="euler", schedule="leading", height=44, width=36, steps=8,
         strength=0.6, guidance_scale=6.0, prompt="a stone in the sea", negative_prompt="dry", seed=51),
    dict(name="transform_ddim_batch", task="transform", model="tiny_bksdm", sampler="ddim", schedule="leading", height=28, width=44, steps=5,
         strength=0.75, guidance_scale=5.0, prompt="a wooden boat", negative_prompt="", seed=52, batch_size=2),
    dict(name="transform_xl_dpmpp_2m_karras", task="transform", model="tiny_xl", sampler="dpmpp_2m", schedule="karras", height=36, width=52, steps=7,
         strength=0.5, guidance_scale=5.0, prompt="a tin robot", negative_prompt="rust", seed=53),
    dict(name="transform_euler_ancestral_whole", task="transform", model="tiny_bksdm", sampler="euler_ancestral", schedule="trailing", height=28, width=28,
         steps=4, strength=1.0, guidance_scale=4.0, prompt="a red kite", negative_prompt="", seed=54),
    dict(name="edit_euler_ancestral", task="edit", model="tiny_instruct", sampler="euler_ancestral", schedule="leading", height=36, width=44, steps=6,
         image_guidance_scale=1.5, guidance_scale=7.5, prompt="make it winter", negative_prompt="summer", seed=55),
    dict(name="edit_ddim_batch", task="edit", model="tiny_instruct", sampler="ddim", schedule="leading", height=28, width=36, steps=5,
         image_guidance_scale=1.2, guidance_scale=5.0, prompt="turn the sky green", negative_prompt="", seed=56, batch_size=2),
    dict(name="inpaint_euler_leading", task="inpaint", model="tiny_sd2", sampler="euler", schedule="leading", height=44, width=36, steps=6,
         strength=1.0, guidance_scale=6.0, prompt="a small door", negative_prompt="", seed=57),
    dict(name="inpaint_dpmpp_2m_karras_part", task="inpaint", model="tiny_bksdm", sampler="dpmpp_2m", schedule="karras", height=36, width=28, steps=8,
         strength=0.7, guidance_scale=5.0, prompt="a lit window", negative_prompt="night", seed=58),
    dict(name="inpaint_xl_euler_ancestral", task="inpaint", model="tiny_xl", sampler="euler_ancestral", schedule="leading", height=36, width=36,
         steps=5, strength=0.85, guidance_scale=4.0, prompt="a round table", negative_prompt="", seed=59),
    dict(name="inpaint_9_ddim_leading", task="inpaint", model="tiny_inpaint", sampler="ddim", schedule="leading", height=36, width=44, steps=5,
         strength=1.0, guidance_scale=7.0, prompt="a straw hat", negative_prompt="", seed=60),
    dict(name="inpaint_9_euler_part", task="inpaint", model="tiny_inpaint", sampler="euler", schedule="leading", height=28, width=36, steps=6,
         strength=0.8, guidance_scale=5.0, prompt="a blue jar", negative_prompt="cracks", seed=61),
]  # fmt: skip
PIPELINES = {
    ("transform", False): (StableDiffusionImg2ImgPipeline, pipeline_stable_diffusion_img2img),
    ("transform", True): (StableDiffusionXLImg2ImgPipeline, pipeline_stable_diffusion_xl_img2img),
    ("edit", False): (StableDiffusionInstructPix2PixPipeline, pipeline_stable_diffusion_instruct_pix2pix),
    ("inpaint", False): (StableDiffusionInpaintPipeline, pipeline_stable_diffusion_inpaint),
    ("inpaint", True): (StableDiffusionXLInpaintPipeline, pipeline_stable_diffusion_xl_inpaint),
}


def picture(height, width):
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    red = 128 + 90 * np.sin(x / 7 + y / 11)
    green = 40 + 160 * y / height
    blue = 128 + 80 * np.cos(x / 9) * np.sin(y / 5)
    return np.stack([red, green, blue], -1).round().astype(np.uint8)


def mask(height, width, factor):
    """White in the middle and along a part of the right edge."""
    small = np.zeros((height // factor, width // factor), np.uint8)
    h, w = small.shape
    small[h // 4 : h // 2 + 1, w // 3 : 2 * w // 3] = 255
    small[h // 2 :, w - 2 :] = 255
    return small.repeat(factor, 0).repeat(factor, 1)


def make_pipeline(case, networks, tokens):
    is_xl = case["model"] == "tiny_xl"
    kind, module = PIPELINES[case["task"], is_xl]
    parts = networks | tokens | {"scheduler": families.make_scheduler(case)}
    if is_xl:
        pipeline = kind(**parts, force_zeros_for_empty_prompt=True, add_watermarker=False)
    else:
        pipeline = kind(**parts, safety_checker=None, feature_extractor=None, **({} if case["task"] == "edit" else {"requires_safety_checker": False}))
    pipeline.set_progress_bar_config(disable=True)
    pipeline.check_inputs = lambda *_, **__: None  # it asks for multiples of 8, which a 4x VAE does not need
    return pipeline, module


def run(case, pipeline, module):
    batch, kept = case["batch_size"], []
    generators = [torch.Generator().manual_seed(case["seed"] + i) for i in range(batch)]
    factor = 2 ** (len(pipeline.vae.config.block_out_channels) - 1)
    height, width = case["height"], case["width"]
    image, hole = Image.fromarray(picture(height, width)), Image.fromarray(mask(height, width, factor))
    first, encoded, stepped = [], [], []

    def keep(_pipeline, _step, _timestep, values):
        kept.append(values["latents"].clone())
        return values

    kwargs = {name: case[name] for name in ("strength", "image_guidance_scale") if name in case}
    if case["task"] == "inpaint":
        kwargs |= {"mask_image": hole, "height": height, "width": width}
    with families.recording(module, first), families.recording(diffusers_vae, encoded), families.recording(scheduling_euler_ancestral_discrete, stepped):
        pipeline(case["prompt"], image=image, num_inference_steps=case["steps"], guidance_scale=case["guidance_scale"], num_images_per_prompt=batch,
                 negative_prompt=case["negative_prompt"] or None, generator=generators, output_type="latent", callback_on_step_end=keep,
                 callback_on_step_end_tensor_inputs=["latents"], **kwargs)  # fmt: skip
    assert len(first) == 1, (case["name"], len(first))
    encoded = torch.cat(encoded).split(batch) if encoded else []
    steps = int(case["steps"] * case.get("strength", 1.0))
    assert len(kept) == steps, (case["name"], len(kept))
    decoded = pipeline.vae.decode(kept[-1] / pipeline.vae.config.scaling_factor).sample
    pixels = VaeImageProcessor().postprocess(decoded, output_type="np")
    out = {"latents_init": first[0], "decoded": decoded, "image": torch.from_numpy((pixels * 255).round().astype(np.uint8))}
    out["input"] = torch.from_numpy(np.array(image))
    if case["task"] == "inpaint":
        out["mask"] = torch.from_numpy(np.array(hole))
    out |= {f"step.{i:03}.latents": x for i, x in enumerate(kept)}
    out |= {f"noise.{i:03}": x for i, x in enumerate(stepped)}
    out |= {f"encoder_noise.{i:03}": x for i, x in enumerate(encoded)}
    assert all(torch.isfinite(t).all() for t in out.values()), case["name"]
    print(f"{case['name']:34} {len(encoded)} encoded, {steps} steps, latents {kept[-1].std():7.3f}, decoded {decoded.std():5.2f}")
    return {name: value.contiguous() for name, value in out.items()}


def main():
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    logging.disable(logging.WARNING)
    built = {}
    with tempfile.TemporaryDirectory() as scratch:
        for case in CASES:
            case = {"batch_size": 1} | case
            if case["model"] not in built:
                networks = family_models.build(family_models.SPECS[case["model"]])
                built[case["model"]] = (networks, families.tokenizers(networks, Path(scratch)))
            out = run(case, *make_pipeline(case, *built[case["model"]]))
            metadata = {"case": json.dumps(case | {"versions": VERSIONS}, ensure_ascii=False)}
            models.save(DATA / "tasks" / f"{case['name']}.safetensors", out, metadata)


if __name__ == "__main__":
    main()
