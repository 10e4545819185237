"""Fits the colours that the demo model's latents stand for, and writes them into its file's header.

    python latent_rgb.py

A linear map by least squares: from the means that the VAE's encoder gives for the pictures of `models/demo/samples.png`,
as the sampler has them, to the mean colours of the pixels of each latent, -1 to 1. It is printed, and stored under
`vae.latent_rgb_factors` and `vae.latent_rgb_bias` of the header's `config`; the tensors stay as they are. Recorded with
torch 2.15.0, diffusers 0.42.1, numpy and pillow 13.0.0, in f32 on one CPU thread.
"""

import json
import struct
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint
from PIL import Image
from safetensors.torch import load_file

DEMO = Path(__file__).parents[2] / "models" / "demo"
FILE = DEMO / "tiny-emoji-sd.safetensors"
PREFIX = "first_stage_model."
SIDE = 128
DECIMALS = 4


def load_vae(config):
    levels = len(config["block_out_channels"])
    vae = AutoencoderKL(
        block_out_channels=config["block_out_channels"], layers_per_block=config["layers_per_block"], latent_channels=4,
        norm_num_groups=config["norm_num_groups"], down_block_types=["DownEncoderBlock2D"] * levels,
        up_block_types=["UpDecoderBlock2D"] * levels,
    )  # fmt: skip
    stored = {name: tensor.float() for name, tensor in load_file(FILE).items() if name.startswith(PREFIX)}
    vae.load_state_dict(convert_ldm_vae_checkpoint(stored, vae.config))
    return vae.eval()


def main():
    torch.set_num_threads(1)
    bytes_ = FILE.read_bytes()
    (length,) = struct.unpack("<Q", bytes_[:8])
    header, data = json.loads(bytes_[8 : 8 + length]), bytes_[8 + length :]
    config = json.loads(header["__metadata__"]["config"])
    vae, scale = load_vae(config["vae"]), config["vae"]["scaling_factor"]
    factor = 2 ** (len(config["vae"]["block_out_channels"]) - 1)

    sheet = np.asarray(Image.open(DEMO / "samples.png").convert("RGB"))
    rows, columns = sheet.shape[0] // SIDE, sheet.shape[1] // SIDE
    pictures = sheet.reshape(rows, SIDE, columns, SIDE, 3).transpose(0, 2, 4, 1, 3).reshape(-1, 3, SIDE, SIDE)
    pictures = torch.from_numpy(pictures.astype(np.float32)) / 127.5 - 1
    with torch.no_grad():
        latents = vae.encode(pictures).latent_dist.mode() * scale
    colours = torch.nn.functional.avg_pool2d(pictures, factor)

    def flat(x):
        return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]).double().numpy()

    known, wanted = flat(latents), flat(colours)
    known = np.concatenate([known, np.ones_like(known[:, :1])], 1)
    fit, *_ = np.linalg.lstsq(known, wanted, rcond=None)
    rest = np.sqrt(((known @ fit - wanted) ** 2).mean(0))
    print("factors and bias:", fit.round(DECIMALS).tolist())
    print("spread of the colours:", wanted.std(0).round(3).tolist(), "of what is left:", rest.round(3).tolist())

    fit = fit.round(DECIMALS).tolist()
    config["vae"] |= {"latent_rgb_factors": fit[:-1], "latent_rgb_bias": fit[-1:]}
    header["__metadata__"]["config"] = json.dumps(config)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    FILE.write_bytes(struct.pack("<Q", len(text)) + text + data)


if __name__ == "__main__":
    main()
