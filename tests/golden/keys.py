"""Tensor names and shapes of distilled UNets, written to data/keys: `python keys.py`.

Built by diffusers 0.42.1 without values, from the structures of ComfyUI's `comfy/model_detection.py` (SSD_1B, Segmind_Vega,
KOALA_700M, KOALA_1B) and of Kim et al. 2023 (arXiv 2305.15798, table 1: BK-SDM). The counts of parameters are those of the
published files' headers (nota-ai/bk-sdm-*) or those that their papers and pages tell, in millions.

With a folder as its argument it also packs the lists of published files that lie there: `{"shapes": {name: shape}}`.
"""

import gzip
import json
import pathlib
import sys

import torch
from diffusers import UNet2DConditionModel

import family_models

KEYS = pathlib.Path(__file__).parent / "data" / "keys"
DOWN, CROSS_DOWN, UP, CROSS_UP = "DownBlock2D", "CrossAttnDownBlock2D", "UpBlock2D", "CrossAttnUpBlock2D"
XL = {
    "block_out_channels": [320, 640, 1280],
    "down_block_types": [DOWN, CROSS_DOWN, CROSS_DOWN],
    "up_block_types": [CROSS_UP, CROSS_UP, UP],
    "attention_head_dim": [5, 10, 20],
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
SD1 = {"cross_attention_dim": 768, "attention_head_dim": 8, "layers_per_block": 1}
TINY = {"block_out_channels": [320, 640, 1280], "down_block_types": [CROSS_DOWN] * 3, "up_block_types": [CROSS_UP] * 3}
NO_ATTENTION, NOTHING = {"mid_block_type": "UNetMidBlock2D"}, {"mid_block_type": None}


def depths(down, up):
    """Transformers of each layer, the finest level first going down and last going up."""
    return {"transformer_layers_per_block": down, "reverse_transformer_layers_per_block": up}


UNETS = {
    "bk_sdm_base": SD1,
    "bk_sdm_small": SD1 | NOTHING,
    "bk_sdm_tiny": SD1 | TINY | NOTHING,
    "ssd_1b": XL | NO_ATTENTION | depths([1, [2, 2], [4, 4]], [[4, 4, 10], [2, 1, 1], 1]),
    "segmind_vega": XL | NO_ATTENTION | depths([1, 1, 2], [2, 1, 1]),
    "koala_700m": XL | NOTHING | {"layers_per_block": 1} | depths([1, 2, 5], [5, 2, 1]),
    "koala_1b": XL | {"layers_per_block": 1} | depths([1, 2, 6], [6, 2, 1]),
}
COUNTS = {
    "bk_sdm_base": 579_384_964,
    "bk_sdm_small": 482_346_884,
    "bk_sdm_tiny": 323_384_964,
    "ssd_1b": 1300e6,
    "segmind_vega": 745e6,
    "koala_700m": 782e6,
    "koala_1b": 1161e6,
}


def write(name, shapes):
    text = json.dumps(shapes, separators=(",", ":")).encode()
    (KEYS / f"{name}.json.gz").write_bytes(gzip.compress(text, 9, mtime=0))


def shapes(tensors):
    return {name: list(tensor.shape) for name, tensor in tensors.items()}


for name, config in UNETS.items():
    with torch.device("meta"):
        network = UNet2DConditionModel(**config)
    count = sum(tensor.numel() for tensor in network.state_dict().values())
    exact = isinstance(COUNTS[name], int)
    assert count == COUNTS[name] if exact else abs(count - COUNTS[name]) < 0.03 * count, (name, count)
    print(f"{name}: {count:,} parameters")
    write(f"diffusers_{name}_unet", shapes(network.state_dict()))
    config = dict(network.config)
    write(f"ldm_{name}_unet", shapes(family_models.ldm_unet(network, config)))

for file in sorted(pathlib.Path(sys.argv[1]).glob("*.json")) if len(sys.argv) > 1 else []:
    content = json.loads(file.read_text())
    if "shapes" in content:
        write(file.stem, content["shapes"])
