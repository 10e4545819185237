"""Records runs of diffusers whose pictures can be laid side by side: `python seamless.py`, after pictures.py and tasks.py.

Every convolution of UNet and VAE pads its input from the opposite edge: where all edges join, as torch does it for
`padding_mode="circular"`; where two do, in that direction alone. The VAE encoder's halvings, which diffusers pads with zeros
below and on the right before the convolution, pad there alike. The files go to data/pictures and data/tasks and hold what
those of pictures.py and tasks.py do.
"""

import json
import logging
import tempfile
import types
from pathlib import Path

import torch
from diffusers.models.downsampling import Downsample2D
from torch.nn import functional

import families
import family_models
import models
import pictures
import tasks
from models import DATA

CASES = [
    dict(name="seamless_xy_euler_linspace", model="tiny_c", sampler="euler", schedule="linspace", height=40, width=56, steps=4,
         guidance_scale=5.0, prompt="pebbles", negative_prompt="grass", seed=31, seamless="xy"),
    dict(name="seamless_x_ddim_leading", model="tiny_c", sampler="ddim", schedule="leading", height=56, width=40, steps=3,
         guidance_scale=5.0, prompt="a brick wall", negative_prompt="", seed=32, seamless="x"),
    dict(name="seamless_y_euler_trailing", model="tiny_c", sampler="euler", schedule="trailing", height=40, width=72, steps=3,
         guidance_scale=1.0, prompt="waves", negative_prompt="", seed=33, seamless="y"),
]  # fmt: skip
TASK = dict(name="seamless_transform_ddim", task="transform", model="tiny_bksdm", sampler="ddim", schedule="leading", height=28, width=44,
            steps=4, strength=0.75, guidance_scale=5.0, prompt="moss", negative_prompt="", seed=34, batch_size=1, seamless="xy")  # fmt: skip


def padded(x, padding, axes):
    """x [N, C, H, W], padding [left, right, top, bottom] -> padded from the opposite edge where it joins, else by zeros."""
    for axis, sides in (("x", [*padding[:2], 0, 0]), ("y", [0, 0, *padding[2:]])):
        x = functional.pad(x, sides, mode="circular" if axis in axes else "constant")
    return x


def join_edges(network, axes):
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d) and axes == "xy":
            module.padding_mode = "circular"
        elif isinstance(module, torch.nn.Conv2d):

            def forward(self, x, weight, bias):
                x = padded(x, self._reversed_padding_repeated_twice, axes)
                return functional.conv2d(x, weight, bias, self.stride, 0, self.dilation, self.groups)

            module._conv_forward = types.MethodType(forward, module)
        if isinstance(module, Downsample2D) and module.padding == 0:
            module.forward = lambda x, *_, conv=module.conv: conv(padded(x, [0, 1, 0, 1], axes))


def is_seamless(network, x, axes):
    """Rolling a latent rolls what is decoded of it."""
    by = [4 if axis in axes else 0 for axis in "yx"]
    factor = 2 ** (len(network.config.block_out_channels) - 1)
    rolled = network.decode(x.roll(by, (2, 3))).sample
    expected = network.decode(x).sample.roll([factor * way for way in by], (2, 3))
    return torch.allclose(rolled, expected, atol=1e-4 * expected.abs().max().item())


def main():
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    logging.disable(logging.WARNING)
    for case in CASES:
        model = pictures.load(case["model"], None, None, None)
        for part in ("unet", "vae"):
            join_edges(model[part], case["seamless"])
        assert is_seamless(model["vae"], torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1)), case["seamless"])
        pictures.write_picture(model, {"batch_size": 1} | case)
    networks = family_models.build(family_models.SPECS[TASK["model"]])
    for part in ("unet", "vae"):
        join_edges(networks[part], TASK["seamless"])
    with tempfile.TemporaryDirectory() as scratch:
        tokens = families.tokenizers(networks, Path(scratch))
        out = tasks.run(TASK, *tasks.make_pipeline(TASK, networks, tokens))
    metadata = {"case": json.dumps(TASK | {"versions": pictures.VERSIONS}, ensure_ascii=False)}
    models.save(DATA / "tasks" / f"{TASK['name']}.safetensors", out, metadata)


if __name__ == "__main__":
    main()
