"""Upscaling networks of few channels against spandrel, written to data/upscalers.safetensors: `python upscalers.py`.

Python 3.11, torch 2.15.0, spandrel 0.4.2, torchvision 0.29.2, einops 0.8.2 (`pip install --no-deps spandrel==0.4.2 torchvision
einops`). Weights and inputs follow from the names: `seeded` is told again in src/pipeline/upscaler/goldens.rs. For each case the
metadata has the file's names and shapes, and the tensor of its name is the result, `[H, W, 3]`.
"""

import json
import pathlib
import re

import numpy as np
import torch
from safetensors.numpy import save_file
from spandrel.architectures import ESRGAN, SPAN, Compact

DATA = pathlib.Path(__file__).parent / "data"
INPUT_SIZE = (9, 6)


def uniform(name, count):
    """Numbers from 0 to 1 by name: FNV-1a, then SplitMix64."""
    state = 0xCBF29CE484222325
    for byte in name.encode():
        state = (state ^ byte) * 0x100000001B3 % 2**64
    z = np.uint64(state) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return (z >> np.uint64(40)).astype(np.float64) / 2**24


def seeded(name, shape):
    """A weight of about unit gain, or a vector of small numbers."""
    count = int(np.prod(shape))
    width = np.sqrt(3 / (count / shape[0])) if len(shape) > 1 else 0.2
    return ((2 * uniform(name, count) - 1) * width).astype(np.float32).reshape(shape)


def real_esrgan(name):
    """ESRGAN's numbered layers, for four times the size, under Real-ESRGAN's names."""
    plain = {"0": "conv_first", "1.sub.1": "conv_body", "3": "conv_up1", "6": "conv_up2", "8": "conv_hr", "10": "conv_last"}
    if dense := re.fullmatch(r"model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\.(\w+)", name):
        return "body.{}.rdb{}.conv{}.{}".format(*dense.groups())
    layer, leaf = name.removeprefix("model.").rsplit(".", 1)
    return f"{plain[layer]}.{leaf}"


def shapes(network, rename=lambda name: name):
    return {rename(name): list(tensor.shape) for name, tensor in network.state_dict().items()}


SMALL = {"in_nc": 3, "out_nc": 3, "num_filters": 8, "num_blocks": 1}
CASES = {
    "esrgan_4": (ESRGAN.ESRGANArch(), shapes(ESRGAN.ESRGAN(**SMALL, scale=4))),
    "esrgan_plus_1": (ESRGAN.ESRGANArch(), shapes(ESRGAN.ESRGAN(**SMALL, scale=1, plus=True))),
    "real_esrgan_2": (
        ESRGAN.ESRGANArch(),
        shapes(ESRGAN.ESRGAN(**{**SMALL, "in_nc": 12}, scale=4, shuffle_factor=2), real_esrgan),
    ),
    "compact_2": (Compact.CompactArch(), shapes(Compact.Compact(num_feat=8, num_conv=2, upscale=2))),
    "span_2": (SPAN.SPANArch(), shapes(SPAN.SPAN(num_in_ch=3, num_out_ch=3, feature_channels=8, upscale=2))),
    "span_4_no_norm": (
        SPAN.SPANArch(),
        shapes(SPAN.SPAN(num_in_ch=3, num_out_ch=3, feature_channels=8, upscale=4, norm=False)),
    ),
}

results, metadata = {}, {}
height, width = INPUT_SIZE
for case, (architecture, file) in CASES.items():
    tensors = {name: torch.from_numpy(seeded(name, shape)) for name, shape in file.items()}
    network = architecture.load(tensors).model.eval()
    pixels = uniform(f"{case}.input", height * width * 3).astype(np.float32).reshape(1, height, width, 3)
    h, w = (height // 2 * 2, width) if case == "real_esrgan_2" else (height, width)
    with torch.no_grad():
        result = network(torch.from_numpy(pixels[:, :h, :w].copy()).permute(0, 3, 1, 2))[0].permute(1, 2, 0)
    print(f"{case}: {h}×{w} → {list(result.shape)}, from {result.min():.2f} to {result.max():.2f}")
    results[case] = result.contiguous().numpy()
    metadata[case] = json.dumps(file, separators=(",", ":"))
save_file(results, DATA / "upscalers.safetensors", metadata=metadata)
