"""Noise of variations as A1111 mixes it, written to data/variations.json: `python variations.py`.

The formula is that of `slerp` in its `modules/rng.py` (version 1.10), which takes norms over dimension 1 of a latent
[C, h, w]; seeds and variation seeds as its `modules/processing.py` counts them: one seed for all pictures, the next variation
seed for each. Noise is torch's on the CPU, its setting `randn_source = CPU`. Recorded with torch 2.15.0 on one thread.
"""

import json
import pathlib

import torch

SHAPE = (4, 6, 5)
SEED, VARIATION_SEED, PICTURES = 5, 900, 2
STRENGTHS = [0.1, 0.5, 1.0]


def noise(seed):
    return torch.randn(SHAPE, generator=torch.Generator("cpu").manual_seed(seed))


def slerp(strength, low, high):
    def unit(tensor):
        return tensor / torch.linalg.vector_norm(tensor, dim=1, keepdim=True)

    angle = torch.acos((unit(low) * unit(high)).sum(1, keepdim=True))
    return (torch.sin((1 - strength) * angle) * low + torch.sin(strength * angle) * high) / torch.sin(angle)


def main():
    torch.set_num_threads(1)
    cases = []
    for strength in STRENGTHS:
        mixed = [slerp(strength, noise(SEED), noise(VARIATION_SEED + i)) for i in range(PICTURES)]
        values = torch.stack(mixed).flatten().tolist()
        cases.append({"strength": strength, "noise": [float(f"{value:.9g}") for value in values]})
    recorded = {"shape": SHAPE, "seed": SEED, "variation_seed": VARIATION_SEED, "pictures": PICTURES, "cases": cases}
    path = pathlib.Path(__file__).parent / "data" / "variations.json"
    path.write_text(json.dumps(recorded, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
