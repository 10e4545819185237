"""Makes full-size Stable Diffusion 1.5 and XL checkpoints of random weights, and what torch computes with them.

    python full_size.py FOLDER [sd15] [sdxl]

writes MODEL.safetensors (f16; every name and shape of the published single file, by data/keys; 2.1 and 6.9 GB) and, beside
it, MODEL.reference.safetensors: one pass of the UNet and one of the VAE's decoder for a picture of 256x256, in f32 over
the weights as rounded to f16. The values are seeded by their names; the pictures are noise. Nothing of it is committed;
`AQUATINT_FULL_SIZE=FOLDER cargo test --release --lib -- --ignored --nocapture full_size` compares.

torch 2.15.0, diffusers 0.42.1; two minutes on one core. Neither side ever holds a checkpoint in memory: tensors are
written one by one, and torch reads the mapped file and widens one layer at a time.
"""

import argparse
import gzip
import json
import math
import struct
import zlib
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
from safetensors import safe_open

from models import DATA, save
from pictures import VERSIONS

SIDE = 32  # latents: 256 pixels
TOKENS = 77
CROSS_DOWN, CROSS_UP = "CrossAttnDownBlock2D", "CrossAttnUpBlock2D"
VAE = {
    "block_out_channels": [128, 256, 512, 512],
    "layers_per_block": 2,
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "latent_channels": 4,
}
# As unet/config.json and vae/config.json of the published diffusers folders have it.
MODELS = {
    "sd15": {
        "keys": "full_sd15_v1-5-pruned-emaonly",
        "unet": {"cross_attention_dim": 768, "attention_head_dim": 8},  # the rest: the class's defaults
        "vae": VAE | {"scaling_factor": 0.18215},
    },
    "sdxl": {
        "keys": "full_sdxl_base_1.0",
        "unet": {
            "block_out_channels": [320, 640, 1280],
            "down_block_types": ["DownBlock2D", CROSS_DOWN, CROSS_DOWN],
            "up_block_types": [CROSS_UP, CROSS_UP, "UpBlock2D"],
            "transformer_layers_per_block": [1, 2, 10],
            "attention_head_dim": [5, 10, 20],  # heads, in diffusers
            "cross_attention_dim": 2048,
            "use_linear_projection": True,
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": 2816,
        },
        "vae": VAE | {"scaling_factor": 0.13025},
    },
}
TIME_IDS = [1024.0, 1024.0, 0.0, 0.0, 1024.0, 1024.0]
POOLED = 1280


def seeded(name):
    return torch.Generator().manual_seed(zlib.crc32(name.encode()))


def draw(name, shape):
    """Values that keep the spread of what passes through: 1/sqrt(inputs) for matrices, about 1 for norms' weights."""
    if name.endswith("position_ids"):
        return torch.arange(math.prod(shape)).reshape(shape)
    values = torch.randn(shape, generator=seeded(name))
    if len(shape) >= 2:
        # An embedding's row is its output; the published tables spread by 0.01 to 0.04.
        return (values * (0.02 if "embedding" in name else math.prod(shape[1:]) ** -0.5)).half()
    return (values * 0.1 + (1.0 if name.endswith("weight") else 0.0)).half()


def write_checkpoint(path, shapes):
    """A safetensors file of drawn tensors, each made when it is written."""
    types = {name: ("I64", 8) if name.endswith("position_ids") else ("F16", 2) for name in shapes}
    names = sorted(shapes, key=lambda name: (-types[name][1], name))  # as the safetensors library orders them
    header, end = {}, 0
    for name in names:
        dtype, size = types[name]
        start, end = end, end + size * math.prod(shapes[name])
        header[name] = {"dtype": dtype, "shape": shapes[name], "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in names:
            file.write(draw(name, shapes[name]).numpy().tobytes())


def mapped(path, prefix):
    """The tensors below a prefix, which stay in the file until they are read."""
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys() if name.startswith(prefix)}


def widen_by_layer(network):
    """Lets a network of f16 weights compute in f32: each layer's weights are widened while it runs."""

    def widen(layer, _):
        layer.stored = {name: value.data for name, value in layer.named_parameters(recurse=False)}
        for value in layer.parameters(recurse=False):
            value.data = value.data.float()

    def restore(layer, *_):
        for name, value in layer.named_parameters(recurse=False):
            value.data = layer.stored[name]

    for layer in network.modules():
        if any(True for _ in layer.parameters(recurse=False)):
            layer.register_forward_pre_hook(widen)
            layer.register_forward_hook(restore)


def network(kind, config, state):
    """A network over mapped weights. diffusers' own converter gave them their names."""
    with torch.device("meta"):
        made = kind(**config)
    made.load_state_dict(state, assign=True)
    widen_by_layer(made)
    return made.eval().requires_grad_(False)


def unet_pass(model, path):
    spec = MODELS[model]
    state = mapped(path, "model.diffusion_model.")
    with torch.device("meta"):
        config = dict(UNet2DConditionModel(**spec["unet"]).config)
    unet = network(UNet2DConditionModel, spec["unet"], convert_ldm_unet_checkpoint(state, config))
    width = spec["unet"]["cross_attention_dim"]
    generator = seeded(f"{model}.unet")
    sample = torch.randn(1, 4, SIDE, SIDE, generator=generator)
    context = torch.randn(1, TOKENS, width, generator=generator)
    timestep = torch.tensor([481.0])
    out = {"unet.sample": sample, "unet.timestep": timestep, "unet.context": context}
    added = {}
    if model == "sdxl":
        added = {"text_embeds": torch.randn(1, POOLED, generator=generator), "time_ids": torch.tensor([TIME_IDS])}
        out |= {"unet.pooled": added["text_embeds"], "unet.time_ids": added["time_ids"]}
    output = unet(sample, timestep, context, added_cond_kwargs=added).sample
    assert output.dtype == torch.float32
    return out | {"unet.output": output}


def vae_pass(model, path):
    spec = MODELS[model]
    state = mapped(path, "first_stage_model.")
    with torch.device("meta"):
        config = dict(AutoencoderKL(**spec["vae"]).config)
    vae = network(AutoencoderKL, spec["vae"], convert_ldm_vae_checkpoint(state, config))
    latents = torch.randn(1, 4, SIDE, SIDE, generator=seeded(f"{model}.vae"))
    decoded = vae.decode(latents / spec["vae"]["scaling_factor"]).sample
    assert decoded.dtype == torch.float32
    return {"vae.latents": latents, "vae.decoded": decoded}


def check(name, values):
    spread = values.std().item()
    assert values.isfinite().all() and 0.01 < spread < 100.0, f"{name} is degenerate: it spreads by {spread}"
    print(f"  {name} {list(values.shape)} spreads by {spread:.3f}")


def main():
    parser = argparse.ArgumentParser(description="Writes full-size checkpoints of random weights, 9 GB in all, and what torch computes with them.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=" or ".join(MODELS) + ", or both if there is none")
    arguments = parser.parse_args()
    folder, chosen = arguments.folder, arguments.models or list(MODELS)
    if unknown := [model for model in chosen if model not in MODELS]:
        parser.error(f"no such model: {', '.join(unknown)}")
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    for model in chosen:
        path = folder / f"{model}.safetensors"
        shapes = json.loads(gzip.decompress((DATA / "keys" / f"{MODELS[model]['keys']}.json.gz").read_bytes()))
        write_checkpoint(path, shapes)
        print(f"{path}: {len(shapes)} tensors, {path.stat().st_size / 1e9:.2f} GB", flush=True)
        with torch.no_grad():
            tensors = unet_pass(model, path) | vae_pass(model, path)
        for name in ("unet.output", "vae.decoded"):
            check(name, tensors[name])
        save(folder / f"{model}.reference.safetensors", tensors, VERSIONS | {"case": model})


if __name__ == "__main__":
    main()
