"""Records what diffusers computes, for the Rust tests to agree with.

    python pictures.py --demo DIFFUSERS_FOLDER_OF_THE_DEMO_MODEL

reads data/models/ (see models.py) and writes data/pictures/ (whole runs) and data/networks/ (single forward passes).
Everything is f32 on one CPU thread. README.md says what each tensor is.
"""

import argparse
import json
import logging
import shutil
import tempfile
from pathlib import Path
from unittest import mock

import diffusers
import numpy as np
import torch
import transformers
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    StableDiffusionPipeline,
)
from diffusers.image_processor import VaeImageProcessor
from diffusers.schedulers import scheduling_euler_ancestral_discrete

import models
from models import DATA, DDIM, MODELS, SCHEDULER

UNICODE = "Ein Ölbild: cafe\u0301, naïve Ωmega, 夜の灯台 🌊 — it's 1974!"  # the first é is decomposed, on purpose
LONG = "a lighthouse in a storm, aquatint print, deep blue ink, " * 6 + "and this end is cut off"

# height and width in pixels
CASES = [
    dict(name="a_ddim_leading", model="tiny_a", sampler="ddim", schedule="leading", height=72, width=104, steps=5,
         guidance_scale=7.0, prompt="a red fox on a hill", negative_prompt="blurry, grey", seed=0),
    dict(name="a_euler_leading_batch", model="tiny_a", sampler="euler", schedule="leading", height=40, width=56, steps=6,
         guidance_scale=3.5, prompt="a green boat", negative_prompt="", seed=11, batch_size=2),
    dict(name="a_euler_trailing", model="tiny_a", sampler="euler", schedule="trailing", height=88, width=40, steps=7,
         guidance_scale=7.0, prompt=UNICODE, negative_prompt="", seed=3),
    dict(name="a_euler_karras", model="tiny_a", sampler="euler", schedule="karras", height=56, width=72, steps=6,
         guidance_scale=5.0, prompt="two apples", negative_prompt="ugly", seed=4),
    dict(name="a_euler_ancestral_leading_batch", model="tiny_a", sampler="euler_ancestral", schedule="leading", height=56, width=72,
         steps=5, guidance_scale=7.0, prompt="an old ship", negative_prompt="", seed=21, batch_size=2),
    dict(name="a_heun_linspace_unguided", model="tiny_a", sampler="heun", schedule="linspace", height=64, width=40, steps=4,
         guidance_scale=1.0, prompt="a white owl", negative_prompt="", seed=5),
    dict(name="a_dpmpp_2m_karras_long", model="tiny_a", sampler="dpmpp_2m", schedule="karras", height=72, width=104, steps=6,
         guidance_scale=6.5, prompt=LONG, negative_prompt="low quality", seed=6),
    dict(name="b_ddim_trailing", model="tiny_b", sampler="ddim", schedule="trailing", height=20, width=28, steps=4,
         guidance_scale=7.0, prompt="a small house", negative_prompt="", seed=7),
    dict(name="b_dpmpp_2m_trailing_batch", model="tiny_b", sampler="dpmpp_2m", schedule="trailing", height=36, width=52, steps=6,
         guidance_scale=4.0, prompt=UNICODE, negative_prompt="noise", seed=8, batch_size=2),
    dict(name="b_heun_karras", model="tiny_b", sampler="heun", schedule="karras", height=20, width=28, steps=5,
         guidance_scale=3.0, prompt="a tall tree", negative_prompt="", seed=9),
    dict(name="b_euler_leading_many_steps", model="tiny_b", sampler="euler", schedule="leading", height=20, width=28, steps=35,
         guidance_scale=5.0, prompt="a stone bridge", negative_prompt="fog", seed=14),
    dict(name="b_euler_ancestral_linspace_unguided", model="tiny_b", sampler="euler_ancestral", schedule="linspace", height=28,
         width=36, steps=6, guidance_scale=1.0, prompt="the sea", negative_prompt="", seed=10),
    dict(name="c_euler_linspace", model="tiny_c", sampler="euler", schedule="linspace", height=72, width=104, steps=6,
         guidance_scale=7.0, prompt="a blue bird", negative_prompt="feet", seed=12),
    dict(name="c_ddim_leading_batch", model="tiny_c", sampler="ddim", schedule="leading", height=24, width=40, steps=8,
         guidance_scale=1.0, prompt="", negative_prompt="", seed=2**32 + 13, batch_size=3),
    dict(name="demo_euler_leading", model="demo", sampler="euler", schedule="leading", height=128, width=128, steps=8,
         guidance_scale=3.5, prompt="a fox on a dark green background", negative_prompt="", seed=1),
    dict(name="demo_ddim_leading", model="demo", sampler="ddim", schedule="leading", height=72, width=104, steps=6,
         guidance_scale=5.0, prompt="a red apple", negative_prompt="green", seed=2),
    dict(name="demo_dpmpp_2m_karras", model="demo", sampler="dpmpp_2m", schedule="karras", height=64, width=96, steps=8,
         guidance_scale=4.0, prompt="a rocket on a dark blue background", negative_prompt="", seed=3),
]  # fmt: skip

SAMPLERS = {
    "ddim": (DDIMScheduler, DDIM),
    "euler": (EulerDiscreteScheduler, {}),
    "euler_ancestral": (EulerAncestralDiscreteScheduler, {}),
    "heun": (HeunDiscreteScheduler, {"clip_sample": False}),
    "dpmpp_2m": (DPMSolverMultistepScheduler, {"algorithm_type": "dpmsolver++", "solver_order": 2}),
}
VERSIONS = {"torch": torch.__version__, "diffusers": diffusers.__version__, "transformers": transformers.__version__}

# Another prompt makes other latents (relative change), yet an error in the first latents hardly grows on its way to the last.
LEAST_EFFECT_OF_PROMPT = 1e-2
MOST_GROWTH_OF_ERROR = 10.0
LARGEST_LATENT = 1e3


def load(model, demo, merges, scratch):
    """A model's networks in f32 and its tokenizer."""
    if model == "demo":
        networks, tokenizer = models.read_folder(demo), demo / "tokenizer"
    elif model == "tiny_c":
        networks, tokenizer = models.read_folder(MODELS / model), MODELS / model / "tokenizer"
    else:
        networks, tokenizer = models.read_single_file(model), scratch / model
        models.write_tokenizer(tokenizer, models.SPECS[model]["text_encoder"]["vocab_size"], merges)
    return networks | {"tokenizer": models.read_tokenizer(tokenizer)}


def make_scheduler(sampler, schedule):
    scheduler, options = SAMPLERS[sampler]
    if schedule == "karras":  # over linspace, so that the range of sigmas is the model's whole
        spacing = {"timestep_spacing": "linspace", "use_karras_sigmas": True}
    else:
        spacing = {"timestep_spacing": schedule}
    return scheduler(**SCHEDULER, **options, **spacing)


def encode(model, prompt):
    """A prompt -> token ids [1, 77], embeddings [1, 77, C] (the last hidden state after the final norm)."""
    ids = model["tokenizer"](prompt, padding="max_length", max_length=models.MAX_TOKENS, truncation=True, return_tensors="pt").input_ids
    return ids, model["text_encoder"](ids).last_hidden_state


def sample(model, case, scheduler, x_t, prompt_embeds, negative_prompt_embeds, generators):
    """The denoising loop of StableDiffusionPipeline: returns the latents after each of the user's steps."""
    batch_size, guided, kept = case["batch_size"], case["guidance_scale"] > 1.0, []
    context = prompt_embeds.repeat(batch_size, 1, 1)
    if guided:
        context = torch.cat([negative_prompt_embeds.repeat(batch_size, 1, 1), context])
    x_t = x_t * scheduler.init_noise_sigma
    extra = {"generator": generators} if case["sampler"] == "euler_ancestral" else {}
    last = len(scheduler.timesteps) - 1
    for i, timestep in enumerate(scheduler.timesteps):
        x_in = scheduler.scale_model_input(torch.cat([x_t, x_t]) if guided else x_t, timestep)
        eps = model["unet"](x_in, timestep, encoder_hidden_states=context).sample
        if guided:
            uncond, cond = eps.chunk(2)
            eps = uncond + case["guidance_scale"] * (cond - uncond)
        x_t = scheduler.step(eps, timestep, x_t, **extra).prev_sample
        if case["sampler"] != "heun" or i % 2 == 1 or i == last:  # Heun: two evaluations a step, one in the last
            kept.append(x_t.clone())
    assert len(kept) == case["steps"], (case["name"], len(kept))
    return kept


def start(model, case):
    """Generators seeded seed, seed + 1, … and each image's unit normal latents, stacked: [B, 4, h, w]."""
    factor = 2 ** (len(model["vae"].config.block_out_channels) - 1)
    shape = (1, 4, case["height"] // factor, case["width"] // factor)
    generators = [torch.Generator().manual_seed(case["seed"] + i) for i in range(case["batch_size"])]
    return generators, torch.cat([torch.randn(shape, generator=g) for g in generators])


def recording_noise(drawn):
    """Within it, each tensor of noise that the ancestral scheduler draws is also put in `drawn`."""
    real = scheduling_euler_ancestral_discrete.randn_tensor

    def record(*args, **kwargs):
        drawn.append(real(*args, **kwargs))
        return drawn[-1]

    return mock.patch.object(scheduling_euler_ancestral_discrete, "randn_tensor", record)


def run(model, case, change_prompt="", change_init=0.0):
    """One whole run -> its tensors by name and the scheduler it used. The `change_…` are for the checks."""
    scheduler = make_scheduler(case["sampler"], case["schedule"])
    scheduler.set_timesteps(case["steps"])
    ids, prompt_embeds = encode(model, case["prompt"] + change_prompt)
    negative_ids, negative_prompt_embeds = encode(model, case["negative_prompt"])
    generators, latents_init = start(model, case)
    noise = []
    with recording_noise(noise):
        kept = sample(model, case, scheduler, latents_init * (1.0 + change_init), prompt_embeds, negative_prompt_embeds, generators)
    decoded = model["vae"].decode(kept[-1] / model["vae"].config.scaling_factor).sample
    pixels = VaeImageProcessor().postprocess(decoded, output_type="np")  # (x/2 + 0.5) clamped to [0, 1], [B, H, W, 3]
    out = {"tokens.prompt": ids.int(), "prompt_embeds": prompt_embeds, "latents_init": latents_init, "decoded": decoded,
           "image": torch.from_numpy((pixels * 255).round().astype(np.uint8))}  # fmt: skip
    if case["guidance_scale"] > 1.0:
        out |= {"tokens.negative": negative_ids.int(), "negative_prompt_embeds": negative_prompt_embeds}
    out |= {f"step.{i:03}.latents": x for i, x in enumerate(kept)}
    out |= {f"noise.{i:03}": n for i, n in enumerate(noise)}
    return out, scheduler


def check(model, case, out):
    """Our loop is the pipeline's, prompts matter, and the run is well conditioned."""
    final, steps = out[f"step.{case['steps'] - 1:03}.latents"], case["steps"]
    pipeline = StableDiffusionPipeline(**model, scheduler=make_scheduler(case["sampler"], case["schedule"]), safety_checker=None,
                                       feature_extractor=None, requires_safety_checker=False)  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    pipeline.check_inputs = lambda *_, **__: None  # it asks for multiples of 8, which a 4x VAE does not need
    generators = [torch.Generator().manual_seed(case["seed"] + i) for i in range(case["batch_size"])]
    theirs = pipeline(case["prompt"], negative_prompt=case["negative_prompt"], height=case["height"], width=case["width"],
                      num_inference_steps=steps, guidance_scale=case["guidance_scale"], num_images_per_prompt=case["batch_size"],
                      generator=generators, output_type="latent").images  # fmt: skip
    assert torch.equal(theirs, final), f"{case['name']}: the pipeline differs by {(theirs - final).abs().max()}"

    def change(**kwargs):
        other = run(model, case, **kwargs)[0][f"step.{steps - 1:03}.latents"]
        return ((other - final).norm() / final.norm()).item()

    effect, growth = change(change_prompt=" with seven golden stars"), change(change_init=1e-5) / 1e-5
    if case["prompt"] == LONG:  # what is added after the cut must not matter
        assert effect == 0.0
    else:
        assert effect > LEAST_EFFECT_OF_PROMPT, (case["name"], effect)
    assert growth < MOST_GROWTH_OF_ERROR, (case["name"], growth)
    assert all(torch.isfinite(t).all() for t in out.values()) and final.abs().max() < LARGEST_LATENT
    spread = out["decoded"].std().item()
    clipped = (out["decoded"].abs() > 1).float().mean().item()
    print(f"{case['name']:36} latents {final.std():7.3f}  decoded {spread:5.2f}  clipped {clipped:4.0%}  prompt {effect:7.4f}  growth {growth:6.1f}")


def sigmas(case, scheduler):
    """The sigma at each step's start, and the last; DDIM has only timesteps, so its own are worked out."""
    if case["sampler"] == "heun":
        return torch.cat([scheduler.sigmas[:1], scheduler.sigmas[1::2]])
    if case["sampler"] != "ddim":
        return scheduler.sigmas
    alphas = torch.cat([scheduler.alphas_cumprod[scheduler.timesteps], scheduler.final_alpha_cumprod[None]])
    return ((1 - alphas) / alphas).sqrt()


def write_picture(model, case):
    out, scheduler = run(model, case)
    check(model, case, out)
    schedule = {
        "timesteps": scheduler.timesteps.tolist(),  # one for each evaluation
        "sigmas": sigmas(case, scheduler).tolist(),
        "initial_scale": float(scheduler.init_noise_sigma),
        "latents": "variance_preserving" if case["sampler"] in ("ddim", "dpmpp_2m") else "variance_exploding",
    }
    metadata = {"case": json.dumps(case | {"versions": VERSIONS}, ensure_ascii=False), "schedule": json.dumps(schedule)}
    models.save(DATA / "pictures" / f"{case['name']}.safetensors", out, metadata)


def write_networks(name, model):
    """Single forward passes at odd sizes: latents of 9 by 13."""
    generator = torch.Generator().manual_seed(481)
    unet, vae = model["unet"], model["vae"]
    factor = 2 ** (len(vae.config.block_out_channels) - 1)
    x = torch.randn(2, 4, 9, 13, generator=generator)
    context = torch.randn(2, models.MAX_TOKENS, unet.config.cross_attention_dim, generator=generator)
    timestep = torch.tensor([481.0, 481.0])
    latents = torch.randn(1, 4, 9, 13, generator=generator)
    image = torch.randn(1, 3, 9 * factor, 13 * factor, generator=generator).tanh()
    out = {
        "unet.sample": x,
        "unet.timestep": timestep,
        "unet.context": context,
        "unet.output": unet(x, timestep, encoder_hidden_states=context).sample,
        "vae.latents": latents,
        "vae.decoded": vae.decode(latents / vae.config.scaling_factor).sample,
        "vae.image": image,
        "vae.moments": vae.encode(image).latent_dist.parameters,
    }
    assert all(torch.isfinite(t).all() for t in out.values())
    print(f"{name:36} unet {out['unet.output'].std():.3f}  decoded {out['vae.decoded'].std():.3f}  moments {out['vae.moments'].std():.3f}")
    metadata = {"case": json.dumps({"model": name, "scaling_factor": vae.config.scaling_factor, "versions": VERSIONS})}
    models.save(DATA / "networks" / f"{name}.safetensors", out, metadata)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", required=True, type=Path, help="the demo model as a diffusers folder")
    demo = parser.parse_args().demo
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    logging.disable(logging.WARNING)  # long prompts, and a tokenizer of another size than CLIP's
    merges = (MODELS / "tiny_c" / "tokenizer" / "merges.txt").read_text().split("\n")[1:]
    for folder in ("pictures", "networks"):
        shutil.rmtree(DATA / folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("tiny_a", "tiny_b", "tiny_c", "demo"):
            model = load(name, demo, merges, Path(scratch))
            write_networks(name, model)
            for case in (c for c in CASES if c["model"] == name):
                write_picture(model, {"batch_size": 1} | case)


if __name__ == "__main__":
    main()
