"""Records what diffusers makes of a photograph with the demo model's VAE, for tiles to be compared with.

    python tiles.py --demo DIFFUSERS_FOLDER_OF_THE_DEMO_MODEL --wheel SCIKIT_IMAGE_WHEEL

writes data/tiles.safetensors. The photograph is a crop of `chelsea.png` of scikit-image 0.26.0 (CC0, by Stéfan van der
Walt), read from its wheel: pip download --no-deps scikit-image==0.26.0. Recorded with torch 2.15.0, diffusers 0.42.1,
pillow 13.0.0, in f32 on one CPU thread.
"""

import argparse
import io
import zipfile
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image
from safetensors.torch import save_file

HERE = Path(__file__).parent
# left, top, right, bottom: the cat's face, with fur, whiskers and a soft background
CROP = (120, 20, 376, 212)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--demo", type=Path, required=True)
    arguments.add_argument("--wheel", type=Path, required=True)
    arguments = arguments.parse_args()
    torch.set_num_threads(1)
    with zipfile.ZipFile(arguments.wheel) as wheel:
        photo = Image.open(io.BytesIO(wheel.read("skimage/data/chelsea.png"))).convert("RGB").crop(CROP)
    photo = torch.from_numpy(np.asarray(photo).copy())  # [H, W, 3]
    vae = AutoencoderKL.from_pretrained(arguments.demo / "vae").eval()
    with torch.no_grad():
        pixels = photo.permute(2, 0, 1)[None] / 127.5 - 1
        mean = vae.encode(pixels).latent_dist.mode()
        decoded = vae.decode(mean).sample
    image = ((decoded / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
    tensors = {
        "photo": photo.contiguous(),
        "mean": mean.permute(0, 2, 3, 1).contiguous(),  # [1, h, w, 4]
        "image": image[0].permute(1, 2, 0).contiguous(),  # [H, W, 3]
    }
    save_file(tensors, HERE / "data" / "tiles.safetensors")


if __name__ == "__main__":
    main()
