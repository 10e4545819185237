"""Counts floating-point operations of Stable Diffusion 1.5's networks with torch's own counter, on the
meta device (nothing is computed). Prints what tests/suite/plan.rs compares with.

torch 2.15.0, diffusers 0.42.1: python flops.py
"""

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch.utils.flop_counter import FlopCounterMode

UNET = dict(sample_size=64, cross_attention_dim=768, attention_head_dim=8)  # the rest: the class's defaults
VAE = dict(
    block_out_channels=(128, 256, 512, 512),
    layers_per_block=2,
    down_block_types=("DownEncoderBlock2D",) * 4,
    up_block_types=("UpDecoderBlock2D",) * 4,
    latent_channels=4,
    sample_size=512,
)


def count(run):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run()
    return counter.get_total_flops()


with torch.device("meta"):
    unet, vae = UNet2DConditionModel(**UNET), AutoencoderKL(**VAE)
    assert sum(p.numel() for p in unet.parameters()) == 859_520_964
    for side in (256, 512):
        latent, context = torch.empty(1, 4, side // 8, side // 8), torch.empty(1, 77, 768)
        step = count(lambda: unet(latent, torch.empty(1), context))
        print(side, "unet", step, "vae_decoder", count(lambda: vae.decode(latent)))
