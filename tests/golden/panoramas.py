"""Records what torch computes where a network sees the latent in windows: data/panoramas/.

    python panoramas.py

MultiDiffusion (Bar-Tal et al. 2023, arXiv 2302.08113) with the models of families.py (which is run before): every step, each
window takes a step of its own with a scheduler of its own, and the latents go on from the average over the windows of each
place. The loop here is that of diffusers' StableDiffusionPanoramaPipeline; with all windows counting alike it must give what
the pipeline gives, to within the rounding of f32, and the script stops otherwise. What is recorded counts each window the
less the nearer a place is to an edge that is none of the whole's. With `seamless`, windows go on at the left edge, as with
the pipeline's `circular_padding`, and the VAE's decoder pads from there (seamless.py). f32, one CPU thread; tensors as those of families.py.
"""

import copy
import itertools
import json
import logging
import tempfile
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPanoramaPipeline
from diffusers.image_processor import VaeImageProcessor

import families
import family_models
import models
import seamless
from models import DATA
from pictures import VERSIONS

# tile and overlap in pixels; tops and lefts are those of the windows, in latents.
CASES = [
    dict(name="wide_euler_leading", model="tiny_bksdm", sampler="euler", schedule="leading", height=64, width=208, steps=5, guidance_scale=5.0,
         prompt="a long fence", negative_prompt="fog", seed=71, tile=64, overlap=16, tops=[0], lefts=[0, 12, 24, 36]),
    dict(name="large_v_ddim_trailing", model="tiny_sd2", sampler="ddim", schedule="trailing", height=96, width=128, steps=4, guidance_scale=6.0,
         prompt="hills in the rain", negative_prompt="", seed=72, tile=64, overlap=32, tops=[0, 8], lefts=[0, 8, 16]),
    dict(name="uneven_dpmpp_2m_karras", model="tiny_bksdm", sampler="dpmpp_2m", schedule="karras", height=180, width=64, steps=6, guidance_scale=4.0,
         prompt="a tower of stones", negative_prompt="", seed=73, tile=64, overlap=16, tops=[0, 9, 19, 29], lefts=[0]),
    dict(name="around_euler_trailing", model="tiny_bksdm", sampler="euler", schedule="trailing", height=64, width=180, steps=4, guidance_scale=5.0,
         prompt="a valley all around", negative_prompt="", seed=74, tile=64, overlap=16, tops=[0], lefts=[0, 11, 22, 33], seamless="x"),
]  # fmt: skip


def make_pipeline(case, networks, tokens):
    parts = networks | tokens | {"scheduler": families.make_scheduler(case)}
    pipeline = StableDiffusionPanoramaPipeline(**parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.check_inputs = lambda *_, **__: None  # it asks for multiples of 8, which a 4x VAE does not need
    size = case["tile"] // 4
    pipeline.get_views = lambda *_, **__: [(t, t + size, x, x + size) for t, x in itertools.product(case["tops"], case["lefts"])]
    return pipeline


def ramp(length, start, size, around=False):
    """How much a window from `start` on counts at each of its places along an axis of that length."""
    place = np.arange(size)
    near = np.full(size, size)
    if start > 0 or around:
        near = np.minimum(near, place)
    if start + size < length or around:
        near = np.minimum(near, size - 1 - place)
    return torch.tensor(near + 0.5, dtype=torch.float64)


def denoise(case, pipeline, latents, embeds, weight):
    """The pipeline's loop -> the latents after each step. `weight` gives a window's weights [h,w]."""
    pipeline.scheduler.set_timesteps(case["steps"])
    latents = latents * pipeline.scheduler.init_noise_sigma
    views = pipeline.get_views()
    schedulers = [copy.deepcopy(pipeline.scheduler) for _ in views]
    kept = []
    for t in pipeline.scheduler.timesteps:
        value, count = torch.zeros_like(latents, dtype=torch.float64), torch.zeros_like(latents, dtype=torch.float64)
        for (top, bottom, left, right), scheduler in zip(views, schedulers):
            columns = torch.arange(left, right) % latents.shape[3]
            view = latents[:, :, top:bottom, columns]
            sample = scheduler.scale_model_input(view.repeat_interleave(2, dim=0), t)
            negative, positive = pipeline.unet(sample, t, encoder_hidden_states=embeds).sample.chunk(2)
            guided = negative + case["guidance_scale"] * (positive - negative)
            stepped = scheduler.step(guided, t, view).prev_sample
            counts = weight(top, left)
            value[:, :, top:bottom, columns] += counts * stepped
            count[:, :, top:bottom, columns] += counts
        latents = (value / count).float()
        kept.append(latents)
    return kept


def run(case, pipeline):
    height, width, size = case["height"] // 4, case["width"] // 4, case["tile"] // 4
    init = torch.randn((1, 4, height, width), generator=torch.Generator().manual_seed(case["seed"]))
    kwargs = {"negative_prompt": case["negative_prompt"] or None}
    prompt, negative = pipeline.encode_prompt(case["prompt"], "cpu", 1, True, **kwargs)
    embeds = torch.cat([negative, prompt])
    theirs = pipeline(case["prompt"], height=case["height"], width=case["width"], latents=init.clone(), num_inference_steps=case["steps"],
                      guidance_scale=case["guidance_scale"], output_type="latent", circular_padding="seamless" in case, **kwargs).images  # fmt: skip
    alike = denoise(case, pipeline, init, embeds, lambda *_: torch.ones(size, size, dtype=torch.float64))[-1]
    error = ((alike - theirs).norm() / theirs.norm()).item()
    assert error < 1e-5, (case["name"], error)

    def weight(top, left):
        return ramp(height, top, size)[:, None] * ramp(width, left, size, "seamless" in case)[None]

    kept = denoise(case, pipeline, init, embeds, weight)
    if "seamless" in case:
        seamless.join_edges(pipeline.vae, case["seamless"])
    decoded = pipeline.vae.decode(kept[-1] / pipeline.vae.config.scaling_factor).sample
    pixels = VaeImageProcessor().postprocess(decoded, output_type="np")
    out = {"latents_init": init, "prompt_embeds": prompt, "image": torch.from_numpy((pixels * 255).round().astype(np.uint8))}
    out |= {f"step.{i:03}.latents": x for i, x in enumerate(kept)}
    assert all(torch.isfinite(t).all() for t in out.values()), case["name"]
    apart = ((kept[-1] - theirs).norm() / theirs.norm()).item()
    print(f"{case['name']:26} {error:.1e} from diffusers with weights alike, {apart:.2f} with ramps; latents {kept[-1].std():.3f}")
    return {name: value.contiguous() for name, value in out.items()}


def main():
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    logging.disable(logging.WARNING)
    (DATA / "panoramas").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        for case in CASES:
            networks = family_models.build(family_models.SPECS[case["model"]])
            pipeline = make_pipeline(case, networks, families.tokenizers(networks, Path(scratch)))
            out = run(case, pipeline)
            metadata = {"case": json.dumps(case | {"batch_size": 1, "versions": VERSIONS}, ensure_ascii=False)}
            models.save(DATA / "panoramas" / f"{case['name']}.safetensors", out, metadata)


if __name__ == "__main__":
    main()
