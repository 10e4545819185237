"""Where the tensors of single files go under diffusers' names, written to data/keys/conversion.json.gz: `python conversion.py`.

diffusers' own converters (0.42.1, `loaders/single_file_utils.py`) run over tensors of the listed names and shapes whose values
tell where they came from. For each list: `{diffusers name: [file name, element 0, element 1, last element]}`, the elements
counted in the file's tensor, or the file name alone where the tensor is taken as it is. Of Stable Diffusion 2's text encoder
diffusers leaves out the last layer.
"""

import gzip
import json
import pathlib
import types

import torch
from diffusers.loaders import single_file_utils as converters

KEYS = pathlib.Path(__file__).parent / "data" / "keys"
XL, PLAIN = {"addition_embed_type": "text_time"}, {}
VAE = {"down_block_types": range(4), "up_block_types": range(4)}


def unet(config):
    return lambda tensors: converters.convert_ldm_unet_checkpoint(tensors, {"layers_per_block": 2, **config})


def vae(tensors):
    return converters.convert_ldm_vae_checkpoint(tensors, VAE)


def clip(prefix):
    return lambda tensors: converters.convert_ldm_clip_checkpoint(tensors, remove_prefix=prefix)


def open_clip(prefix, width):
    model = types.SimpleNamespace(config=types.SimpleNamespace(hidden_size=width))
    return lambda tensors: converters.convert_open_clip_checkpoint(model, tensors, prefix)


LISTS = {
    "full_sd15_v1-5-pruned-emaonly": {
        "unet": unet(PLAIN),
        "vae": vae,
        "text_encoder": clip("cond_stage_model.transformer."),
    },
    "full_sd21_v2-1_768": {"unet": unet(PLAIN), "vae": vae, "text_encoder": open_clip("cond_stage_model.model.", 1024)},
    "full_sdxl_base_1.0": {
        "unet": unet(XL),
        "vae": vae,
        "text_encoder": clip("conditioner.embedders.0.transformer."),
        "text_encoder_2": open_clip("conditioner.embedders.1.model.", 1280),
    },
    "ldm_sdxl_refiner_unet": {"unet": unet(XL)},
    "ldm_sd15_inpaint_unet": {"unet": unet(PLAIN)},
}


def is_rearranged(name):
    return "in_proj" in name or name.endswith("text_projection")


def traced(shapes):
    """Tensors of those shapes -> the tensors, and the function that tells what a value was: `(file name, element)`."""
    tensors, starts, start = {}, [], 0
    for number, (name, shape) in enumerate(shapes.items()):
        if is_rearranged(name):
            count = torch.Size(shape).numel()
            tensors[name] = torch.arange(start, start + count, dtype=torch.int32).reshape(shape)
            starts.append((start, name))
            start += count
        else:
            tensors[name] = torch.tensor(-1 - number, dtype=torch.int32).expand(shape)
    names = list(shapes)

    def origin(value):
        if value < 0:
            return names[-1 - value], None
        first, name = max(pair for pair in starts if pair[0] <= value)
        return name, value - first

    return tensors, origin


def element(tensor, index):
    for length in reversed(tensor.shape):
        tensor, index = tensor.movedim(-1, 0)[index % length], index // length
    return int(tensor)


def source(tensor, shape_of, origin):
    last = tensor.numel() - 1
    name, first = origin(element(tensor, 0))
    if first is None:
        assert tensor.numel() == torch.Size(shape_of[name]).numel(), name
        return name
    return [name, first, *(origin(element(tensor, index))[1] for index in (1, last))]


conversion = {}
for name, parts in LISTS.items():
    shapes = json.loads(gzip.open(KEYS / f"{name}.json.gz").read())
    tensors, origin = traced(shapes)
    sources = {}
    for part, convert in parts.items():
        for key, tensor in convert(dict(tensors)).items():
            if "position_ids" not in key and "logit_scale" not in key:
                sources[f"{part}.{key}"] = source(tensor, shapes, origin)
    print(f"{name}: {len(sources)} of {len(shapes)} tensors")
    conversion[name] = sources
text = json.dumps(conversion, separators=(",", ":"), sort_keys=True).encode()
(KEYS / "conversion.json.gz").write_bytes(gzip.compress(text, 9, mtime=0))
