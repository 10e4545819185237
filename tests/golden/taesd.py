"""Records what diffusers' `AutoencoderTiny` makes of latents: `python taesd.py` writes data/taesd.

The decoder has TAESD's structure with a width of 8 and seeded weights, under diffusers' names. Recorded with torch 2.15.0,
diffusers 0.42.1, in f32 on one CPU thread.
"""

from pathlib import Path

import torch
from diffusers import AutoencoderTiny
from safetensors.torch import save_file

DATA = Path(__file__).parent / "data" / "taesd"
WIDTH = 8


def main():
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(912)
    vae = AutoencoderTiny(encoder_block_out_channels=(WIDTH,) * 4, decoder_block_out_channels=(WIDTH,) * 4).eval()
    decoder = {name: tensor for name, tensor in vae.state_dict().items() if name.startswith("decoder.")}
    for name, tensor in decoder.items():
        spread = (2 / tensor[0].numel()) ** 0.5 if tensor.dim() > 1 else 0.1
        # a block's last convolution adds to what is there
        spread *= 0.5 if ".conv.4." in name else 1.0
        tensor.copy_(torch.randn(tensor.shape, generator=generator) * spread)
    latents = 2 * torch.randn(2, 4, 5, 7, generator=generator)  # some beyond the limit
    with torch.no_grad():
        decoded = vae.decode(latents).sample
    colours = decoded / 2 + 0.5
    print("colours", colours.min().item(), colours.max().item(), "spread", colours.std().item())
    DATA.mkdir(exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in decoder.items()}, DATA / "decoder.safetensors")
    tensors = {"latents": latents.permute(0, 2, 3, 1), "colours": colours.permute(0, 2, 3, 1)}  # [N, h, w, C], [N, H, W, 3]
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, DATA / "decoded.safetensors")


if __name__ == "__main__":
    main()
