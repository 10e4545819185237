"""Records which noise levels other programs visit: tests/golden/data/schedules.json.

Versions: Python 3.11, torch 2.15.0, numpy 2.4.6, scipy 1.17.1, diffusers 0.42.1, k-diffusion 0.1.1.
Run:      python tests/golden/schedules.py

k-diffusion's functions and diffusers' schedulers are run. What A1111 and ComfyUI do is written here
anew from what their files say, each formula with its place; both are only read, being under other
licences. A case is the levels of a run, the last one where it ends.
"""

import json
import math
import sys
import types
from importlib import import_module, metadata, util
from pathlib import Path

import numpy as np
import torch
from diffusers import EulerDiscreteScheduler
from diffusers.schedulers import AysSchedules
from scipy import stats

TRAIN_STEPS = 1000
STEPS = [1, 2, 7, 20, 61]
STABLE_DIFFUSION = dict(
    beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=TRAIN_STEPS
)
torch.set_default_dtype(torch.float64)


def k_diffusion(name):
    """A module of k-diffusion, without the packages that the others want."""
    if "k_diffusion" not in sys.modules:
        package, utils = types.ModuleType("k_diffusion"), types.ModuleType("k_diffusion.utils")
        package.__path__ = util.find_spec("k_diffusion").submodule_search_locations
        package.utils = utils
        sys.modules.update({"k_diffusion": package, "k_diffusion.utils": utils})
        sys.modules.setdefault("torchdiffeq", types.ModuleType("torchdiffeq")).odeint = None
    return import_module(f"k_diffusion.{name}")


sampling, external = k_diffusion("sampling"), k_diffusion("external")


def numbers(values, digits=15):
    return [float(f"{float(value):.{digits}g}") for value in values]


def alphas_cumprod():
    return np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, TRAIN_STEPS) ** 2)


ALPHAS = alphas_cumprod()
SIGMAS = ((1 - ALPHAS) / ALPHAS) ** 0.5
LOW, HIGH = SIGMAS[0], SIGMAS[-1]


def between(timesteps):
    """σ between timesteps, linearly in log σ: ModelSamplingDiscrete.sigma of comfy/model_sampling.py."""
    return np.exp(np.interp(timesteps, np.arange(TRAIN_STEPS), np.log(SIGMAS)))


def normal(n):
    """normal_scheduler of comfy/samplers.py; A1111's is the same (modules/sd_schedulers.py)."""
    return [*between(np.linspace(TRAIN_STEPS - 1, 0, n)), 0]


def sgm_uniform(n):
    """normal_scheduler with sgm=True."""
    return [*between(np.linspace(TRAIN_STEPS - 1, 0, n + 1)[:-1]), 0]


def simple(n):
    """simple_scheduler of both."""
    return [*(SIGMAS[TRAIN_STEPS - 1 - math.floor(i * (TRAIN_STEPS / n))] for i in range(n)), 0]


def ddim_uniform(n):
    """ddim_scheduler of both."""
    return [*SIGMAS[1 :: max(TRAIN_STEPS // n, 1)][::-1], 0]


def beta_of_timesteps(n):
    """beta_scheduler of ComfyUI: rounded timesteps, repeated ones dropped."""
    shares = stats.beta.ppf(1 - np.linspace(0, 1, n, endpoint=False), 0.6, 0.6)
    places = np.rint(shares * (TRAIN_STEPS - 1)).astype(int)
    return [*SIGMAS[[place for i, place in enumerate(places) if i == 0 or place != places[i - 1]]], 0]


def beta_of_levels(n):
    """beta_scheduler of A1111: between the model's ends."""
    return [*(LOW + stats.beta.ppf(1 - np.linspace(0, 1, n), 0.6, 0.6) * (HIGH - LOW)), 0]


def kl_optimal_to_zero(n):
    """kl_optimal_scheduler of ComfyUI, which divides 0 by 0 at one step."""
    share = np.arange(n) / max(n - 1, 1)
    return [*np.tan(share * np.arctan(LOW) + (1 - share) * np.arctan(HIGH)), 0]


def kl_optimal_to_low(n):
    """kl_optimal of A1111, which ends at the model's lowest level."""
    share = np.arange(n + 1) / n
    return np.tan(share * np.arctan(LOW) + (1 - share) * np.arctan(HIGH))


def linear_quadratic(n):
    """linear_quadratic_schedule of ComfyUI, after Mochi's infer.py.

    A line to (n/2, 0.025), then the parabola that goes on from it as smoothly and reaches (n, 1).
    """
    half = n // 2
    if half == 0:
        return [HIGH, 0]
    place = np.arange(n + 1.0)
    line = 0.025 / half * place
    bend = (1 - line[-1]) / (n - half) ** 2
    way = np.where(place < half, line, line + bend * (place - half) ** 2)
    return [*(1 - way[:-1]) * HIGH, 0]


def log_linear(table, n):
    """loglinear_interp of the authors' howto.html, which A1111 and ComfyUI both have."""
    table = np.log(np.array(table)[::-1])
    return np.exp(np.interp(np.linspace(0, 1, n), np.linspace(0, 1, len(table)), table))[::-1]


PUBLISHED = {
    "stable_diffusion": [*AysSchedules["StableDiffusionSigmas"][:-1], 0.029],
    "stable_diffusion_xl": [*AysSchedules["StableDiffusionXLSigmas"][:-1], 0.029],
}
# The timesteps that diffusers and the authors give, and the lowest; ComfyUI's and sd.cpp's levels are
# those of these timesteps, as far as they go.
COMFY_PUBLISHED = {
    "stable_diffusion": [
        14.6146412293, 6.4745760956, 3.8636745985, 2.6946151520, 1.8841921177, 1.3943805092,
        0.9642583904, 0.6523686016, 0.3977456272, 0.1515232662, 0.0291671582,
    ],
    "stable_diffusion_xl": [
        14.6146412293, 6.3184485287, 3.7681790315, 2.1811480769, 1.3405244945, 0.8620721141,
        0.5550693289, 0.3798540708, 0.2332364134, 0.1114188177, 0.0291671582,
    ],
}  # fmt: skip


def diffusers(n, **config):
    scheduler = EulerDiscreteScheduler(**STABLE_DIFFUSION, **config, timestep_spacing="linspace")
    scheduler.set_timesteps(n)
    return scheduler.sigmas


def case(rules, schedule, n, levels, source, discarded=0, network="stable_diffusion", digits=15):
    levels = numbers(levels, digits)
    if discarded:
        # `sigmas[:-2] + sigmas[-1:]`: get_sigmas of A1111, calculate_sigmas of ComfyUI.
        levels, n = levels[:-2] + levels[-1:], n - 1
    return dict(
        rules=rules, schedule=schedule, steps=n, sigmas=levels, source=source, discarded=discarded, network=network
    )


def cases():
    both = [normal, sgm_uniform, simple, ddim_uniform]
    for n in STEPS:
        for schedule in both:
            for rules in ["k_diffusion", "comfy"]:
                yield case(rules, schedule.__name__, n, schedule(n), "formula")
        yield case("comfy", "beta", n, beta_of_timesteps(n), "formula")
        yield case("k_diffusion", "beta", n, beta_of_levels(n), "formula")
        yield case("comfy", "kl_optimal", n, kl_optimal_to_zero(n), "formula")
        yield case("k_diffusion", "kl_optimal", n, kl_optimal_to_low(n), "formula")
        yield case("comfy", "linear_quadratic", n, linear_quadratic(n), "formula")
        for network, table in PUBLISHED.items():
            levels = [*log_linear(table, n), 0]
            yield case("k_diffusion", "align_your_steps", n, levels, "formula", network=network)
            levels = [*log_linear(COMFY_PUBLISHED[network], n + 1)[:-1], 0]
            yield case("comfy", "align_your_steps", n, levels, "formula", network=network)
        for rules in ["k_diffusion", "comfy"]:
            for name in ["karras", "exponential", "polyexponential"]:
                levels = getattr(sampling, f"get_sigmas_{name}")(n, LOW, HIGH)
                yield case(rules, name, n, levels, "k-diffusion")
        # Its timesteps are f32.
        schedule = external.DiscreteSchedule(torch.from_numpy(SIGMAS), quantize=False)
        yield case("k_diffusion", "normal", n, schedule.get_sigmas(n), "k-diffusion f32", digits=9)
    # At one step diffusers' range is a single point of the spacing, and not the model's.
    for n in STEPS[1:]:
        for name in ["karras", "exponential", "beta"]:
            levels = diffusers(n, **{f"use_{name}_sigmas": True})
            yield case("diffusers", name, n, levels, "diffusers f32", digits=9)
    for network, key in [("stable_diffusion", "StableDiffusionSigmas"), ("stable_diffusion_xl", "StableDiffusionXLSigmas")]:
        yield case("diffusers", "align_your_steps", 10, AysSchedules[key], "diffusers", network=network)
    for schedule in [normal, simple, ddim_uniform]:
        yield case("comfy", schedule.__name__, 8, schedule(8), "formula", discarded=1)
    yield case("k_diffusion", "karras", 8, sampling.get_sigmas_karras(8, LOW, HIGH), "k-diffusion", discarded=1)
    yield case("k_diffusion", "kl_optimal", 8, kl_optimal_to_low(8), "formula", discarded=1)


def rho_cases():
    for rho in [3.0, 5.0]:
        for name in ["karras", "polyexponential"]:
            levels = getattr(sampling, f"get_sigmas_{name}")(7, LOW, HIGH, rho=rho)
            yield dict(schedule=name, rho=rho, sigmas=numbers(levels))


def zero_terminal_snr(last):
    """rescale_zero_terminal_snr_sigmas of comfy/model_sampling.py, after Lin et al. 2024, algorithm 1."""
    roots = ALPHAS**0.5
    roots = (roots - roots[-1]) * roots[0] / (roots[0] - roots[-1])
    alphas = np.append(roots[:-1] ** 2, last)
    return ((1 - alphas) / alphas) ** 0.5


def zero_terminal_snr_of_diffusers():
    scheduler = EulerDiscreteScheduler(**STABLE_DIFFUSION, rescale_betas_zero_snr=True)
    alphas = scheduler.alphas_cumprod.double().numpy()
    return ((1 - alphas) / alphas) ** 0.5


def edm(n):
    """ModelSamplingContinuousEDM of comfy/model_sampling.py under its normal_scheduler, CosXL's range."""
    timesteps = np.linspace(0.25 * np.log(120.0), 0.25 * np.log(0.002), n)
    return dict(timesteps=numbers(timesteps), sigmas=numbers([*np.exp(timesteps / 0.25), 0]))


def main():
    probes = [0, 1, 500, 900, 998, 999]
    shares = np.concatenate([np.linspace(0, 1, 41), [1e-9, 1e-4, 0.499999, 0.500001, 0.9999]])
    record = dict(
        note="made by tests/golden/schedules.py",
        versions={name: metadata.version(name) for name in ["torch", "numpy", "scipy", "diffusers", "k-diffusion"]},
        cases=list(cases()),
        rho=list(rho_cases()),
        beta_quantiles=[numbers(pair, 17) for pair in zip(shares, stats.beta.ppf(shares, 0.6, 0.6))],
        zero_terminal_snr=dict(
            timesteps=probes,
            comfy=numbers(zero_terminal_snr(4.8973451890853435e-08)[probes]),
            diffusers=numbers(zero_terminal_snr_of_diffusers()[probes], 9),
        ),
        edm=edm(7),
    )
    path = Path(__file__).parent / "data" / "schedules.json"
    text = json.dumps(record, separators=(",", ":"))
    path.write_text(text.replace("},{", "},\n{") + "\n")
    print(f"{path}: {path.stat().st_size} bytes")


main()
