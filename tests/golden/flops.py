"""Counts floating-point operations of Stable Diffusion 1.5's and XL's networks with torch's own counter, on
the meta device (nothing is computed). Prints what tests/suite/plan.rs compares with.

torch 2.15.0, diffusers 0.42.1: python flops.py
"""

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch.utils.flop_counter import FlopCounterMode

# The rest: the classes' defaults.
SD15 = dict(sample_size=64, cross_attention_dim=768, attention_head_dim=8)
SDXL = dict(
    sample_size=128,
    block_out_channels=(320, 640, 1280),
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    transformer_layers_per_block=(1, 2, 10),
    attention_head_dim=(5, 10, 20),
    cross_attention_dim=2048,
    use_linear_projection=True,
    addition_embed_type="text_time",
    addition_time_embed_dim=256,
    projection_class_embeddings_input_dim=2816,
)
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


def latent(side):
    return torch.empty(1, 4, side // 8, side // 8)


with torch.device("meta"):
    sd15, sdxl = UNet2DConditionModel(**SD15), UNet2DConditionModel(**SDXL)
    vae = AutoencoderKL(**VAE)
    assert sum(p.numel() for p in sd15.parameters()) == 859_520_964
    assert sum(p.numel() for p in sdxl.parameters()) == 2_567_463_684
    added = {"text_embeds": torch.empty(1, 1280), "time_ids": torch.empty(1, 6)}
    for side in (256, 512, 1024):
        print(side, "vae_decoder", count(lambda: vae.decode(latent(side))))
    for side in (256, 512):
        print(side, "sd15", count(lambda: sd15(latent(side), torch.empty(1), torch.empty(1, 77, 768))))
    context = torch.empty(1, 77, 2048)
    step = lambda: sdxl(latent(1024), torch.empty(1), context, added_cond_kwargs=added)
    print(1024, "sdxl", count(step))
