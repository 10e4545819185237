"""Records what diffusers computes with the families beside Stable Diffusion 1.x.

    python families.py [MODEL …]

writes data/models/ (tiny random models, see family_models.py), data/networks/ and data/pictures/, beside those of models.py and
pictures.py. Runs are those of diffusers' own pipelines, listened to at the end of each step. f32, one CPU thread.
"""

import json
import logging
import shutil
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
    LatentConsistencyModelPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
)
from diffusers.image_processor import VaeImageProcessor
from diffusers.schedulers import scheduling_euler_ancestral_discrete, scheduling_lcm

import family_models
import models
from models import DATA, DDIM, MODELS, SCHEDULER
from pictures import VERSIONS

SAMPLERS = {
    "ddim": (DDIMScheduler, DDIM),
    "euler": (EulerDiscreteScheduler, {}),
    "euler_ancestral": (EulerAncestralDiscreteScheduler, {}),
    "dpmpp_2m": (DPMSolverMultistepScheduler, {"algorithm_type": "dpmsolver++", "solver_order": 2}),
    "lcm": (LCMScheduler, {"clip_sample": False, "set_alpha_to_one": True, "original_inference_steps": 50, "timestep_scaling": 10.0}),
}
V = {"prediction_type": "v_prediction"}

# height and width in pixels
CASES = [
    dict(name="sd2_v_ddim_leading", model="tiny_sd2", sampler="ddim", schedule="leading", height=44, width=36, steps=5,
         guidance_scale=7.0, prompt="a red fox on a hill", negative_prompt="blurry", seed=31),
    dict(name="sd2_v_euler_trailing_batch", model="tiny_sd2", sampler="euler", schedule="trailing", height=28, width=44, steps=6,
         guidance_scale=4.0, prompt="a green boat", negative_prompt="", seed=32, batch_size=2),
    dict(name="sd2_ztsnr_euler_trailing", model="tiny_sd2_ztsnr", sampler="euler", schedule="trailing", height=36, width=44, steps=5,
         guidance_scale=5.0, prompt="a lamp in the dark", negative_prompt="noise", seed=38, guidance_rescale=0.7),
    dict(name="xl_euler_leading", model="tiny_xl", sampler="euler", schedule="leading", height=52, width=36, steps=6,
         guidance_scale=5.0, prompt="an old ship", negative_prompt="fog, rain", seed=33),
    dict(name="xl_dpmpp_2m_karras_zeros", model="tiny_xl", sampler="dpmpp_2m", schedule="karras", height=36, width=60, steps=6,
         guidance_scale=6.0, prompt="two apples on a table", negative_prompt="", seed=34, original_size=[20, 30], crop=[4, 8], target_size=[64, 48]),
    dict(name="xl_ddim_second_prompts", model="tiny_xl", sampler="ddim", schedule="trailing", height=36, width=28, steps=4,
         guidance_scale=5.0, prompt="a red barn", negative_prompt="", seed=40, prompt_2="in the snow", negative_prompt_2="people"),
    dict(name="xl_euler_ancestral_one_step", model="tiny_xl", sampler="euler_ancestral", schedule="trailing", height=44, width=44, steps=1,
         guidance_scale=1.0, prompt="a white owl", negative_prompt="", seed=35),
    dict(name="ssd_euler_leading", model="tiny_ssd", sampler="euler", schedule="leading", height=28, width=44, steps=4,
         guidance_scale=5.0, prompt="a brass key", negative_prompt="rust", seed=43),
    dict(name="bksdm_euler_linspace", model="tiny_bksdm", sampler="euler", schedule="linspace", height=36, width=28, steps=5,
         guidance_scale=7.0, prompt="a tall tree", negative_prompt="", seed=36),
    dict(name="bksdm_thresholded_dpmpp_2m_batch", model="tiny_bksdm", sampler="dpmpp_2m", schedule="karras", height=28, width=36, steps=5,
         guidance_scale=7.0, prompt="a paper kite", negative_prompt="rain", seed=44, batch_size=2, dynamic_thresholding=0.9, threshold_max=3.0),
    dict(name="bksdm_clip_skip", model="tiny_bksdm", sampler="ddim", schedule="leading", height=28, width=20, steps=4,
         guidance_scale=1.0, prompt="a stone bridge", negative_prompt="", seed=39, clip_skip=2),  # diffusers skips for the prompt alone
    dict(name="fp8_ddim_leading", model="tiny_fp8", sampler="ddim", schedule="leading", height=28, width=36, steps=4,
         guidance_scale=6.0, prompt="a yellow door", negative_prompt="dark", seed=41),
    dict(name="lcm_lcm", model="tiny_lcm", sampler="lcm", schedule="lcm", height=36, width=28, steps=4,
         guidance_scale=8.0, prompt="a blue bird", negative_prompt="", seed=37),
]  # fmt: skip
# The base does the first steps, the refiner those whose timestep is below the cut.
REFINED = [
    dict(name="refined_euler_ancestral_batch", model="tiny_xl", refiner="tiny_refiner", refiner_start=0.6, sampler="euler_ancestral",
         schedule="leading", height=36, width=52, steps=6, guidance_scale=5.0, prompt="a paper lantern", negative_prompt="", seed=41, batch_size=2),
    dict(name="refined_dpmpp_2m_karras", model="tiny_xl", refiner="tiny_refiner", refiner_start=0.8, sampler="dpmpp_2m",
         schedule="karras", height=44, width=36, steps=8, guidance_scale=4.0, prompt="a clay pot", negative_prompt="glass", seed=42),
]  # fmt: skip
PIPELINES = {"tiny_xl": StableDiffusionXLPipeline, "tiny_ssd": StableDiffusionXLPipeline, "tiny_lcm": LatentConsistencyModelPipeline}


def tokenizers(networks, scratch):
    """CLIP's tokenizer for the first encoder, the same padding with 0 for OpenCLIP ones."""
    merges = (MODELS / "tiny_c" / "tokenizer" / "merges.txt").read_text().split("\n")[1:]
    models.write_tokenizer(scratch, family_models.VOCAB, merges)
    found = {}
    for part in ("text_encoder", "text_encoder_2"):
        if part in networks:
            is_open_clip = networks[part].config.hidden_act == "gelu"
            tokenizer = models.read_tokenizer(scratch)
            if is_open_clip:
                tokenizer.pad_token = "!"
            found[part.replace("text_encoder", "tokenizer")] = tokenizer
    return found


def make_scheduler(case):
    scheduler, options = SAMPLERS[case["sampler"]]
    options = SCHEDULER | options | (V if case["model"].startswith("tiny_sd2") else {})
    if case["model"].endswith("ztsnr"):
        options |= {"rescale_betas_zero_snr": True}
    if "dynamic_thresholding" in case:
        options |= {"thresholding": True, "dynamic_thresholding_ratio": case["dynamic_thresholding"], "sample_max_value": case["threshold_max"]}
    if case["schedule"] == "karras":
        return scheduler(**options, timestep_spacing="linspace", use_karras_sigmas=True)
    spacing = {} if case["schedule"] == "lcm" else {"timestep_spacing": case["schedule"]}
    return scheduler(**options, **spacing)


def make_pipeline(case, networks, tokens):
    parts = networks | tokens | {"scheduler": make_scheduler(case)}
    kind = PIPELINES.get(case["model"], StableDiffusionPipeline)
    if kind is StableDiffusionXLPipeline:
        pipeline = kind(**parts, force_zeros_for_empty_prompt=True, add_watermarker=False)
    else:
        pipeline = kind(**parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    if "clip_skip" in case:  # diffusers looks for the norm where transformers before 5 had it
        norm = SimpleNamespace(final_layer_norm=pipeline.text_encoder.final_layer_norm)
        object.__setattr__(pipeline.text_encoder, "text_model", norm)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.check_inputs = lambda *_, **__: None  # it asks for multiples of 8, which a 4x VAE does not need
    return pipeline


def make_refiner(case, networks, tokens):
    parts = networks | tokens | {"text_encoder": None, "tokenizer": None, "scheduler": make_scheduler(case)}
    pipeline = StableDiffusionXLImg2ImgPipeline(**parts, requires_aesthetics_score=True, force_zeros_for_empty_prompt=False, add_watermarker=False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def ids(tokenizer, prompt):
    return tokenizer(prompt, padding="max_length", max_length=models.MAX_TOKENS, truncation=True, return_tensors="pt").input_ids.int()


def embeddings(case, pipeline, prompt_kwargs):
    guided = case["guidance_scale"] > 1.0 and case["sampler"] != "lcm"
    negative = prompt_kwargs.get("negative_prompt")
    out = {"tokens.prompt": ids(pipeline.tokenizer, case["prompt"])}
    names = ["prompt_embeds", "negative_prompt_embeds"]
    if isinstance(pipeline, StableDiffusionXLPipeline):
        names += ["pooled_prompt_embeds", "negative_pooled_prompt_embeds"]
        out["tokens_2.prompt"] = ids(pipeline.tokenizer_2, case.get("prompt_2", case["prompt"]))
        second = {name: case.get(name) for name in ("prompt_2", "negative_prompt_2")}
        if second["negative_prompt_2"]:
            negative = negative or ""  # told something, neither encoder's part is zeros
        values = pipeline.encode_prompt(case["prompt"], device="cpu", do_classifier_free_guidance=guided, negative_prompt=negative, **second)
    else:
        skip = prompt_kwargs.get("clip_skip")
        values = pipeline.encode_prompt(case["prompt"], "cpu", 1, guided, negative_prompt=negative, clip_skip=skip)
    out |= {name: value for name, value in zip(names, values) if value is not None}
    if guided:
        out["tokens.negative"] = ids(pipeline.tokenizer, case["negative_prompt"])
        if "pooled_prompt_embeds" in out:
            out["tokens_2.negative"] = ids(pipeline.tokenizer_2, case.get("negative_prompt_2", case["negative_prompt"]))
    return out


def recording(module, drawn):
    """Within it, each tensor of noise that a scheduler draws is also put in `drawn`."""
    real = module.randn_tensor

    def record(*args, **kwargs):
        drawn.append(real(*args, **kwargs))
        return drawn[-1]

    return mock.patch.object(module, "randn_tensor", record)


def run(case, pipeline, refiner=None):
    """One run of diffusers' pipeline, and of a refiner's after it -> their tensors by name."""
    batch, kept, noise = case["batch_size"], [], []
    generators = [torch.Generator().manual_seed(case["seed"] + i) for i in range(batch)]
    factor = 2 ** (len(pipeline.vae.config.block_out_channels) - 1)
    shape = (1, 4, case["height"] // factor, case["width"] // factor)
    init = torch.cat([torch.randn(shape, generator=g) for g in generators])
    # An empty negative prompt is none at all, as in diffusers' examples: zeros, where the model wants them.
    kwargs = {"negative_prompt": case["negative_prompt"] or None} if case["sampler"] != "lcm" else {}
    if "clip_skip" in case:
        kwargs["clip_skip"] = case["clip_skip"] - 1  # diffusers counts the layers left out
    if "guidance_rescale" in case:
        kwargs["guidance_rescale"] = case["guidance_rescale"]
    if isinstance(pipeline, StableDiffusionXLPipeline):
        sizes = {"original_size": "original_size", "target_size": "target_size", "crop": "crops_coords_top_left"}
        kwargs |= {theirs: tuple(case[ours]) for ours, theirs in sizes.items() if ours in case}
        kwargs |= {name: case[name] for name in ("prompt_2", "negative_prompt_2") if name in case}
        if "negative_prompt_2" in case:
            kwargs["negative_prompt"] = case["negative_prompt"]

    def keep(_pipeline, _step, _timestep, values):
        kept.append(values["latents"].clone())
        return values

    shared = {"num_inference_steps": case["steps"], "guidance_scale": case["guidance_scale"], "num_images_per_prompt": batch,
              "generator": generators, "output_type": "latent", "callback_on_step_end": keep,
              "callback_on_step_end_tensor_inputs": ["latents"]}  # fmt: skip
    with recording(scheduling_euler_ancestral_discrete, noise), recording(scheduling_lcm, noise):
        cut = {"denoising_end": case["refiner_start"]} if refiner else {}
        latents = pipeline(case["prompt"], height=case["height"], width=case["width"], latents=init.clone(), **shared, **kwargs, **cut).images
        if refiner:
            assert len(kept) < case["steps"]
            refiner(case["prompt"], image=latents, denoising_start=case["refiner_start"], negative_prompt=case["negative_prompt"], **shared)
    assert len(kept) == case["steps"]
    decoded = pipeline.vae.decode(kept[-1] / pipeline.vae.config.scaling_factor).sample
    pixels = VaeImageProcessor().postprocess(decoded, output_type="np")
    out = embeddings(case, pipeline, kwargs)
    if refiner:
        names = ["prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds"]
        values = refiner.encode_prompt(case["prompt"], device="cpu", negative_prompt=case["negative_prompt"])
        out |= {f"refiner.{name}": value for name, value in zip(names, values)}
    out |= {"latents_init": init, "decoded": decoded, "image": torch.from_numpy((pixels * 255).round().astype(np.uint8))}
    out |= {f"step.{i:03}.latents": x for i, x in enumerate(kept)}
    out |= {f"noise.{i:03}": x for i, x in enumerate(noise)}
    assert all(torch.isfinite(t).all() for t in out.values()), case["name"]
    print(f"{case['name']:32} latents {kept[-1].std():7.3f}  decoded {decoded.std():5.2f}")
    return {name: value.contiguous() for name, value in out.items()}


def write_networks(name, networks):
    """Single forward passes at odd sizes, with every input that the UNet has."""
    generator = torch.Generator().manual_seed(482)
    unet, config = networks["unet"], networks["unet"].config
    x = torch.randn(2, config.in_channels, 9, 13, generator=generator)
    context = torch.randn(2, models.MAX_TOKENS, config.cross_attention_dim, generator=generator)
    timestep = torch.tensor([481.0, 481.0])
    out, kwargs = {"unet.sample": x, "unet.timestep": timestep, "unet.context": context}, {}
    if config.addition_embed_type:
        count = (config.projection_class_embeddings_input_dim - family_models.POOLED) // config.addition_time_embed_dim
        pooled = torch.randn(2, family_models.POOLED, generator=generator)
        time_ids = (torch.rand(2, count, generator=generator) * 1024).round()
        kwargs["added_cond_kwargs"] = {"text_embeds": pooled, "time_ids": time_ids}
        out |= {"unet.pooled": pooled, "unet.time_ids": time_ids}
    if config.time_cond_proj_dim:
        guidance = torch.tensor([7.0, 2.5])
        embed = LatentConsistencyModelPipeline.get_guidance_scale_embedding
        kwargs["timestep_cond"] = embed(None, guidance, embedding_dim=config.time_cond_proj_dim)
        out["unet.guidance"] = guidance
    out["unet.output"] = unet(x, timestep, encoder_hidden_states=context, **kwargs).sample
    print(f"{name:32} unet {out['unet.output'].std():.3f}")
    models.save(DATA / "networks" / f"{name}.safetensors", out, {"case": json.dumps({"model": name, "versions": VERSIONS})})


def write_single_file(name, networks):
    scheduler = V if name == "tiny_sd2" else {}
    metadata = {"format": "pt", "modelspec.title": name, "config": json.dumps(family_models.config_entry(name, scheduler))}
    tensors = family_models.single_file(name, networks)
    if name.endswith("ztsnr"):  # as files on the web say so
        tensors |= {"v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)}
    models.save(MODELS / f"{name}.safetensors", tensors, metadata)


def write_folder(name, networks, tokens):
    """The same weights as diffusers writes them: f16 variants, the UNet in two shards."""
    folder = MODELS / f"{name}_folder"
    shutil.rmtree(folder, ignore_errors=True)
    for part, network in networks.items():
        tensors = {k: v.half() for k, v in (family_models.text_names(network) if "text" in part else network.state_dict()).items()}
        stem = "model" if "text" in part else "diffusion_pytorch_model"
        if part == "unet":
            write_shards(folder / part, stem, tensors)
        else:
            models.save(folder / part / f"{stem}.fp16.safetensors", tensors, {"format": "pt"})
        models.write_json(folder / part / "config.json", models.network_config(network))
    for part, tokenizer in tokens.items():
        merges = (MODELS / "tiny_c" / "tokenizer" / "merges.txt").read_text().split("\n")[1:]
        models.write_tokenizer(folder / part, family_models.VOCAB, merges)
        config = json.loads((folder / part / "tokenizer_config.json").read_text()) | {"pad_token": tokenizer.pad_token}
        models.write_json(folder / part / "tokenizer_config.json", config)
    models.write_json(folder / "scheduler" / "scheduler_config.json", {"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "leading"} | SCHEDULER)
    models.write_json(folder / "model_index.json", {"_class_name": "StableDiffusionXLPipeline", "force_zeros_for_empty_prompt": True})


def write_shards(folder, stem, tensors):
    names = sorted(tensors)
    halves, index = (names[: len(names) // 2], names[len(names) // 2 :]), {}
    for i, half in enumerate(halves, 1):
        file = f"{stem}.fp16-0000{i}-of-00002.safetensors"
        models.save(folder / file, {n: tensors[n] for n in half}, {"format": "pt"})
        index |= {n: file for n in half}
    models.write_json(folder / f"{stem}.safetensors.index.fp16.json", {"metadata": {}, "weight_map": index})


def save(case, out):
    metadata = {"case": json.dumps(case | {"versions": VERSIONS}, ensure_ascii=False)}
    models.save(DATA / "pictures" / f"{case['name']}.safetensors", out, metadata)


def main():
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    logging.disable(logging.WARNING)
    built = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in sys.argv[1:] or family_models.SPECS:
            spec = family_models.SPECS[name]
            networks = family_models.build(spec)
            tokens = tokenizers(networks, Path(scratch))
            write_single_file(name, family_models.quantise(networks) if name == "tiny_fp8" else networks)
            if name == "tiny_xl":
                write_folder(name, networks, tokens)
            if name != "tiny_sd2_ztsnr":  # the network of tiny_sd2
                write_networks(name, networks)
            for case in (c for c in CASES if c["model"] == name):
                case = {"batch_size": 1} | case
                save(case, run(case, make_pipeline(case, networks, tokens)))
            built[name] = (networks, tokens)
        for case in (c for c in REFINED if {c["model"], c["refiner"]} <= built.keys()):
            case = {"batch_size": 1} | case
            save(case, run(case, make_pipeline(case, *built[case["model"]]), make_refiner(case, *built[case["refiner"]])))


if __name__ == "__main__":
    main()
