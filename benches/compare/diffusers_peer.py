"""One guided step and one decoding by diffusers on torch, on the CPU in f32; prints one line of JSON.

    python diffusers_peer.py CHECKPOINT SIDE_PX

A step is the UNet on a batch of two, then guidance and an Euler update. The first run of each warms up.
"""

import json
import os
import sys
import time

os.environ["HF_HUB_OFFLINE"] = "1"

import diffusers
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
from safetensors import safe_open

# As unet/config.json and vae/config.json of Stable Diffusion 1.5 have it; the rest are the classes' defaults.
UNET = {"cross_attention_dim": 768, "attention_head_dim": 8}
VAE = {
    "block_out_channels": [128, 256, 512, 512],
    "layers_per_block": 2,
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "latent_channels": 4,
}


def network(kind, config, checkpoint, prefix, convert):
    """A network in f32 from the part of a checkpoint below a prefix."""
    with safe_open(checkpoint, framework="pt") as file:
        state = {name: file.get_tensor(name).float() for name in file.keys() if name.startswith(prefix)}
    with torch.device("meta"):
        made = kind(**config)
    made.load_state_dict(convert(state, dict(made.config)), assign=True)
    return made.eval().requires_grad_(False)


def timed(work):
    """What the second of two runs takes."""
    work()
    start, cpu = time.perf_counter(), time.process_time()
    work()
    return {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu}


@torch.inference_mode()
def main():
    checkpoint, side = sys.argv[1], int(sys.argv[2]) // 8
    torch.set_num_threads(os.cpu_count())
    generator = torch.Generator().manual_seed(42)
    latents = torch.randn(1, 4, side, side, generator=generator)
    context = torch.randn(2, 77, UNET["cross_attention_dim"], generator=generator)

    unet = network(UNet2DConditionModel, UNET, checkpoint, "model.diffusion_model.", convert_ldm_unet_checkpoint)

    def step():
        unguided, guided = unet(torch.cat([latents] * 2), 481, context).sample.chunk(2)
        return latents - 0.1 * (unguided + 7.0 * (guided - unguided))

    step_figures = timed(step)
    del unet
    vae = network(AutoencoderKL, VAE, checkpoint, "first_stage_model.", convert_ldm_vae_checkpoint)
    figures = {
        "step": step_figures,
        "decode": timed(lambda: vae.decode(latents).sample),
        "of": f"diffusers {diffusers.__version__} on torch {torch.__version__}, f32",
    }
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
