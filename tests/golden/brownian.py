"""Records the noise of k-diffusion's Brownian tree: tests/golden/data/brownian.json.

Versions: Python 3.11, torch 2.15.0, numpy 2.4.6, torchsde 0.2.6, k-diffusion 0.1.1.
Run:      python tests/golden/brownian.py

`BrownianTreeNoiseSampler` of k-diffusion is run on the CPU, as ComfyUI and (with another generator)
A1111 run it. Of each draw the first values are kept and a sum that every value is in.
"""

import json
import os
import sys
import types
from importlib import import_module, metadata, util
from pathlib import Path

os.environ["ATEN_CPU_CAPABILITY"] = "avx2"  # torch's `DEFAULT` kernels round differently

import numpy as np
import torch

SIZES = [6, 4 * 9 * 13]


def k_diffusion_sampling():
    """k-diffusion's sampling.py, without the packages that other modules want."""
    package, utils = types.ModuleType("k_diffusion"), types.ModuleType("k_diffusion.utils")
    package.__path__ = util.find_spec("k_diffusion").submodule_search_locations
    package.utils = utils
    sys.modules.update({"k_diffusion": package, "k_diffusion.utils": utils})
    sys.modules.setdefault("torchdiffeq", types.ModuleType("torchdiffeq")).odeint = None
    return import_module("k_diffusion.sampling")


def states():
    """Words of numpy's SeedSequence as torchsde asks for them: of the root, and of a node."""
    cases = []
    for entropy in [0, 1, 42, 2**32 + 5, 2**64 - 1]:
        for spawn_key in [(), (0, 0), (5, 3), (2**32 + 7, 33)]:
            sequence = np.random.SeedSequence(entropy=entropy, spawn_key=spawn_key, pool_size=24)
            words = sequence.generate_state(4).tolist()
            cases.append(dict(entropy=str(entropy), spawn_key=list(spawn_key), words=words))
    return cases


def levels(k, steps):
    return k.get_sigmas_karras(steps, 0.0291671582, 14.6146412)


def run(k, seed, size, sigmas, pairs):
    sampler = k.BrownianTreeNoiseSampler(
        torch.zeros(1, size), sigmas[sigmas > 0].min(), sigmas.max(), seed=[seed]
    )
    draws = []
    for start, end in pairs:
        noise = sampler(start, end)[0]
        weights = torch.cos(torch.arange(size, dtype=torch.float64))
        draws.append(
            dict(
                interval=[float(start), float(end)],
                first=[float(value) for value in noise[:6]],
                weighted_sum=float((noise.double() * weights).sum()),
            )
        )
    return dict(seed=str(seed), size=size, range=[float(sigmas[sigmas > 0].min()), float(sigmas.max())], draws=draws)


def main():
    k = k_diffusion_sampling()
    runs = []
    for seed in [0, 42, 2**32 + 5]:
        for size in SIZES:
            for steps in [2, 7, 20]:
                sigmas = levels(k, steps)
                runs.append(run(k, seed, size, sigmas, list(zip(sigmas[:-2], sigmas[1:-1]))))
    # dpmpp_sde asks for the noise of half a step, then for that of the whole one.
    sigmas = levels(k, 5)
    halves = [(a, (a * b).sqrt()) for a, b in zip(sigmas[:-2], sigmas[1:-1])]
    pairs = [pair for half, whole in zip(halves, zip(sigmas[:-2], sigmas[1:-1])) for pair in (half, whole)]
    runs.append(run(k, 7, 6, sigmas, pairs))
    # A terminal SNR of zero has a range of 2^33 times the tolerance of the tree.
    sigmas = torch.tensor([4095.99988, 30.5, 1.25, 0.0291675332, 0.0])
    runs.append(run(k, 7, 6, sigmas, list(zip(sigmas[:-2], sigmas[1:-1]))))
    record = dict(
        note="made by tests/golden/brownian.py",
        versions={name: metadata.version(name) for name in ["torch", "numpy", "torchsde", "k-diffusion"]},
        states=states(),
        runs=runs,
    )
    path = Path(__file__).parent / "data" / "brownian.json"
    text = json.dumps(record, separators=(",", ":"))
    path.write_text(text.replace("},{", "},\n{") + "\n")
    print(f"{path}: {path.stat().st_size} bytes")


main()
