"""Records what other programs' samplers, schedules and noise give: tests/golden/data/sampling.json.

Versions: Python 3.11, torch 2.15.0, numpy 2.4.6, diffusers 0.42.1, k-diffusion 0.1.1.post1.
Run:      python tests/golden/sampling.py PATH/TO/k_diffusion/sampling.py

The samplers run on a latent of six numbers with a toy network in closed form, `network` below,
which src/sampling/tests/mod.rs repeats. diffusers computes in f32, k-diffusion here in f64.
"""

import contextlib
import json
import os
import sys
import types
from importlib import metadata, util
from pathlib import Path
from unittest import mock

os.environ["ATEN_CPU_CAPABILITY"] = "avx2"  # torch's `DEFAULT` kernels round differently

import numpy as np
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DEISMultistepScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    HeunDiscreteScheduler,
    LCMScheduler,
    PNDMScheduler,
    TCDScheduler,
    UniPCMultistepScheduler,
)
from diffusers.schedulers import scheduling_ddpm, scheduling_euler_ancestral_discrete, scheduling_lcm, scheduling_tcd
from scipy import integrate

import formulas

LATENT_SIZE = 6
STEPS = [1, 2, 7, 20]
SPACINGS = ["leading", "trailing", "linspace"]
TRAIN_STEPS = 1000
STABLE_DIFFUSION = dict(
    beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=TRAIN_STEPS
)
SCHEDULERS = {
    "ddim": (DDIMScheduler, dict(clip_sample=False, set_alpha_to_one=False)),
    "euler": (EulerDiscreteScheduler, {}),
    "euler_ancestral": (EulerAncestralDiscreteScheduler, {}),
    "heun": (HeunDiscreteScheduler, {}),
    "dpmpp_2m": (DPMSolverMultistepScheduler, {}),
}
# Those with one spacing of their own here: how diffusers has them by default, or the only one that leaves no gaps.
OTHER_SCHEDULERS = {
    "ddpm": ("leading", DDPMScheduler, dict(clip_sample=False, variance_type="fixed_small")),
    "pndm": ("leading", PNDMScheduler, dict(skip_prk_steps=True, set_alpha_to_one=False)),
    "deis": ("linspace", DEISMultistepScheduler, {}),
    "uni_pc": ("linspace", UniPCMultistepScheduler, dict(solver_type="bh1", final_sigmas_type="sigma_min")),
    "uni_pc_bh2": ("linspace", UniPCMultistepScheduler, dict(solver_type="bh2")),
    "lcm": ("lcm", LCMScheduler, dict(clip_sample=False)),
    "tcd": ("lcm", TCDScheduler, dict(clip_sample=False)),
}
# Modules whose schedulers draw noise themselves.
K_DIFFUSION_SAMPLERS = ["dpm_2", "dpm_2_ancestral", "lms", "dpmpp_2s_ancestral", "dpmpp_sde", "dpmpp_2m_sde",
                        "dpmpp_2m_sde_heun", "dpmpp_3m_sde"]  # fmt: skip
DRAWING = [scheduling_ddpm, scheduling_euler_ancestral_discrete, scheduling_lcm, scheduling_tcd]


def network(x, timestep):
    """x [6] → [6], in f64."""
    i = torch.arange(LATENT_SIZE, dtype=torch.float64)
    x = x.double()
    return torch.tanh(0.8 * x + 0.3 * x.roll(-1)) + 0.1 * torch.cos(0.01 * timestep + i)


def recorded_noise():
    random = np.random.default_rng(20240501)
    values = random.standard_normal((1 + max(STEPS), LATENT_SIZE)).round(6)
    return torch.from_numpy(values)


NOISE = recorded_noise()


def numbers(values, digits=9):
    return [float(f"{float(value):.{digits}g}") for value in values]


def run_diffusers(sampler, schedule, prediction, steps, eta=None):
    """Every latent of a run, the first one included."""
    kind, config = SCHEDULERS[sampler]
    if schedule == "karras":
        config = dict(config, use_karras_sigmas=True, timestep_spacing="linspace")
    else:
        config = dict(config, timestep_spacing=schedule)
    name = {"epsilon": "epsilon", "v": "v_prediction"}[prediction]
    scheduler = kind(**STABLE_DIFFUSION, **config, steps_offset=1, prediction_type=name)
    scheduler.set_timesteps(steps)
    return drive(scheduler, dict(sampler=sampler, schedule=schedule, prediction=prediction, steps=steps, eta=eta))


def run_other(sampler, prediction, steps, eta=None):
    """As run_diffusers. DEIS, and UniPC bh1 (which divides by zero otherwise), go to the noise level of timestep 0 and not to 0,
    so their last latents are left out."""
    schedule, kind, config = OTHER_SCHEDULERS[sampler]
    if schedule != "lcm":
        config = dict(config, timestep_spacing=schedule)
    name = {"epsilon": "epsilon", "v": "v_prediction"}[prediction]
    scheduler = kind(**STABLE_DIFFUSION, **config, steps_offset=1, prediction_type=name)
    scheduler.set_timesteps(steps)
    run = drive(scheduler, dict(sampler=sampler, schedule=schedule, prediction=prediction, steps=steps, eta=eta))
    if sampler in ("deis", "uni_pc"):
        run["states"].pop()
    return run


def run_flow(schedule, steps, shift):
    """FlowMatchEuler's own spacing, or the sigmas 1 … 1/n that the FLUX pipeline passes."""
    scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
    if schedule == "trailing":
        scheduler.set_timesteps(sigmas=np.linspace(1.0, 1 / steps, steps))
    else:
        scheduler.set_timesteps(steps)
    return drive(
        scheduler, dict(sampler="euler", schedule=schedule, prediction="flow", steps=steps, eta=None, shift=shift)
    )


def drive(scheduler, case):
    draws = iter(NOISE[1:])
    initial_scale = float(getattr(scheduler, "init_noise_sigma", 1.0))
    x = NOISE[0].float() * initial_scale
    if isinstance(scheduler, (DDPMScheduler, UniPCMultistepScheduler)):
        x = x[None]  # they look at the second axis
    states = [numbers(x.flatten())]
    extra = {} if case["eta"] is None else {"eta": case["eta"]}
    with contextlib.ExitStack() as patches:
        for module in DRAWING:
            patches.enter_context(mock.patch.object(module, "randn_tensor", lambda *_, **__: next(draws).float()))
        for timestep in scheduler.timesteps:
            scaled = scheduler.scale_model_input(x, timestep) if hasattr(scheduler, "scale_model_input") else x
            output = network(scaled, timestep).float()
            if extra and isinstance(scheduler, DDIMScheduler):
                extra["variance_noise"] = next(draws).float()
            x = scheduler.step(output, timestep, x, **extra).prev_sample
            states.append(numbers(x.flatten()))
    assert np.isfinite(states).all(), case
    return case | dict(
        timesteps=numbers(scheduler.timesteps, 8), initial_scale=numbers([initial_scale])[0], states=states
    )


def load_k_diffusion(path):
    """k-diffusion's sampling.py alone, without the packages that these samplers do not use."""
    stubs = {name: types.ModuleType(name) for name in ["scipy", "torchdiffeq", "torchsde", "kd", "kd.utils"]}
    stubs["scipy"].integrate, stubs["torchdiffeq"].odeint = integrate, None
    stubs["kd"].utils = stubs["kd.utils"]
    stubs["kd.utils"].append_dims = lambda x, dims: x[(...,) + (None,) * (dims - x.ndim)]
    stubs["kd"].__path__ = []
    with mock.patch.dict(sys.modules, stubs):
        spec = util.spec_from_file_location("kd.sampling", path)
        module = util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


def exact_sigmas():
    """σ of every timestep, in f64."""
    betas = np.linspace(0.00085**0.5, 0.012**0.5, TRAIN_STEPS) ** 2
    alphas_cumprod = np.cumprod(1 - betas)
    return ((1 - alphas_cumprod) / alphas_cumprod) ** 0.5


def run_k_diffusion(k, sampler, schedule, prediction, steps):
    sigmas = exact_sigmas()
    if schedule == "karras":
        with mock.patch.object(torch, "linspace", lambda *a: torch.from_numpy(np.linspace(*a))):
            levels = k.get_sigmas_karras(steps, sigmas[0].item(), sigmas[-1].item())
    else:
        times = np.linspace(TRAIN_STEPS - 1, 0, steps)
        levels = k.append_zero(torch.from_numpy(np.interp(times, np.arange(TRAIN_STEPS), sigmas)))

    def model(x, sigma):
        timestep = np.interp(np.log(sigma.item()), np.log(sigmas), np.arange(TRAIN_STEPS))
        if schedule == "linspace":
            timestep = np.interp(sigma.item(), sigmas, np.arange(TRAIN_STEPS))
        if sampler == "dpmpp_2m":
            timestep = np.round(timestep)
        output = network(x[0] / (sigma**2 + 1) ** 0.5, timestep)
        if prediction == "epsilon":
            return x - sigma * output
        return x / (sigma**2 + 1) - output * sigma / (sigma**2 + 1) ** 0.5

    draws = iter(NOISE[1:])
    is_random = "ancestral" in sampler or "sde" in sampler
    extra = dict(noise_sampler=lambda *_: next(draws)[None]) if is_random else {}
    if "2m_sde" in sampler:
        extra["solver_type"] = "heun" if sampler.endswith("heun") else "midpoint"
    states = []
    x = (NOISE[0] * levels[0])[None]
    x = getattr(k, f"sample_{sampler.removesuffix('_heun')}" if "sde" in sampler else f"sample_{sampler}")(
        model, x, levels, callback=lambda state: states.append(state["x"][0]), disable=True, **extra
    )
    states = [numbers(state, 14) for state in [*states, x[0]]]
    return dict(
        sampler=sampler, schedule=schedule, prediction=prediction, steps=steps, sigmas=numbers(levels, 16), states=states
    )


def run_formula(sampler, prediction, steps):
    """A sampler of formulas.py along Karras' levels."""
    sigmas = exact_sigmas()

    def model(x, sigma):
        timestep = np.interp(np.log(sigma), np.log(sigmas), np.arange(TRAIN_STEPS))
        output = network(torch.from_numpy(x / np.sqrt(sigma**2 + 1)), timestep).numpy()
        if prediction == "epsilon":
            return x - sigma * output
        return x / (sigma**2 + 1) - output * sigma / np.sqrt(sigma**2 + 1)

    levels = np.append(formulas.karras(steps, sigmas[0], sigmas[-1]), 0.0)
    x, draws = NOISE[0].numpy() * levels[0], iter(NOISE[1:].numpy())
    if sampler == "restart":
        states, levels = formulas.restart(model, x, steps, sigmas[0], sigmas[-1], draws)
    elif sampler == "er_sde":
        states = formulas.er_sde(model, x, levels, draws)
    elif sampler.startswith("ipndm"):
        states = formulas.ipndm(model, x, levels, sampler == "ipndm_v")
    else:
        states = formulas.res_multistep(model, x, levels, draws, 1.0 if "ancestral" in sampler else 0.0)
    states = [numbers(state, 14) for state in states]
    return dict(
        sampler=sampler, schedule="karras", prediction=prediction, steps=steps, sigmas=numbers(levels, 16), states=states
    )


def fold(values, hash=0):
    """A polynomial hash over whole numbers."""
    for value in values:
        hash = (hash * 1_000_003 + int(value)) % (2**61 - 1)
    return hash


def all_timesteps():
    """One hash of diffusers' timesteps for every step count, where they are whole."""
    hashes = []
    for sampler in ["ddim", "euler", "dpmpp_2m"]:
        for schedule in SPACINGS:
            if (sampler, schedule) == ("euler", "linspace"):
                continue
            kind, config = SCHEDULERS[sampler]
            scheduler = kind(**STABLE_DIFFUSION, **config, steps_offset=1, timestep_spacing=schedule)
            hash = 0
            # `leading` may ask for timestep 1000, which is not one. At 1000 steps DPM-Solver's stays at 1.
            for steps in range(1, TRAIN_STEPS):
                scheduler.set_timesteps(steps)
                hash = fold(scheduler.timesteps[:steps].clamp(max=TRAIN_STEPS - 1).tolist(), hash)
            hashes.append(dict(sampler=sampler, schedule=schedule, hash=hash))
    return hashes


def fnv1a(data):
    hash = 0xCBF29CE484222325
    for byte in data:
        hash = ((hash ^ byte) * 0x100000001B3) % 2**64
    return f"{hash:016x}"


def torch_cpu_noise():
    """Calls of torch.randn from one generator: the size, the first bits and a hash of all bits."""
    runs = []
    for seed in [0, 1, 42, 123456789, 2**32 + 5, 2**63 - 1]:
        generator = torch.Generator().manual_seed(seed)
        calls = []
        for size in [1, 16, 3, 17, 4 * 9 * 13, 5, 31, 4 * 64 * 64, 100, 15]:
            values = torch.randn(size, generator=generator).numpy().astype("<f4")
            first = values[:4].view("<u4").tolist()
            calls.append(dict(size=size, first=first, hash=fnv1a(values.tobytes())))
        runs.append(dict(seed=str(seed), calls=calls))
    return runs


def philox_noise():
    """CUDA's randn after Salmon et al. 2011 and curand's Box-Muller, in numpy's f64."""
    runs = []
    for seed in [0, 42, 2**32 + 5, 2**64 - 1]:
        calls = []
        for call, size in enumerate([12, 5, 8]):
            counter = [np.full(size, call), np.zeros(size), np.arange(size), np.zeros(size)]
            counter = [word.astype(np.uint64) for word in counter]
            key = [np.uint64(seed % 2**32), np.uint64(seed // 2**32)]
            low, high = (lambda word: word & np.uint64(0xFFFFFFFF)), (lambda word: word >> np.uint64(32))
            for _ in range(10):
                first = counter[0] * np.uint64(0xD2511F53)
                second = counter[2] * np.uint64(0xCD9E8D57)
                counter = [
                    high(second) ^ counter[1] ^ key[0],
                    low(second),
                    high(first) ^ counter[3] ^ key[1],
                    low(first),
                ]
                key = [low(key[0] + np.uint64(0x9E3779B9)), low(key[1] + np.uint64(0xBB67AE85))]
            u, v = ((word.astype(np.float64) + 0.5) / 2**32 for word in counter[:2])
            calls.append(numbers(np.sqrt(-2 * np.log(u)) * np.sin(2 * np.pi * v)))
        runs.append(dict(seed=str(seed), calls=calls))
    return runs


def main():
    k = load_k_diffusion(sys.argv[1])
    diffusers_runs = [
        run_diffusers(sampler, schedule, prediction, steps)
        for sampler in SCHEDULERS
        for schedule in SPACINGS
        for prediction in ["epsilon", "v"]
        for steps in (STEPS if prediction == "epsilon" else [2, 7])
    ]
    # DDIM and Euler ancestral have no Karras sigmas in diffusers. At one step diffusers' Karras
    # range is that of the spacing, a single point, and not the model's.
    diffusers_runs += [
        run_diffusers(sampler, "karras", prediction, steps)
        for sampler in ["euler", "heun", "dpmpp_2m"]
        for prediction in ["epsilon", "v"]
        for steps in [2, 7]
    ]
    diffusers_runs += [
        run_diffusers("ddim", schedule, "epsilon", 7, eta) for schedule in SPACINGS for eta in [0.5, 1.0]
    ]
    diffusers_runs += [
        run_flow(schedule, steps, shift)
        for schedule in ["linspace", "trailing"]
        for steps in [1, 7]
        for shift in [1.0, 3.0]
    ]
    k_diffusion_runs = [
        run_k_diffusion(k, sampler, schedule, prediction, steps)
        for sampler in ["euler", "euler_ancestral", "heun", "dpmpp_2m"]
        for schedule in ["linspace", "karras"]
        for prediction in ["epsilon", "v"]
        for steps in [2, 7]
        # For DPM-Solver linspace means another grid.
        if (sampler, schedule) != ("dpmpp_2m", "linspace")
    ]
    k_diffusion_runs += [
        run_k_diffusion(k, sampler, "karras", "epsilon", steps)
        for sampler in ["euler", "euler_ancestral", "heun", "dpmpp_2m"]
        for steps in [1, 20]
    ]
    diffusers_runs += [
        run_other(sampler, prediction, steps)
        for sampler in OTHER_SCHEDULERS
        # PNDM's history in diffusers is of raw outputs, v at different timesteps mixed; here it is of noise in any case.
        for prediction in (["epsilon"] if sampler == "pndm" else ["epsilon", "v"])
        for steps in [2, 4, 7, 20]
    ]
    diffusers_runs += [run_other("tcd", "epsilon", 4, eta) for eta in [0.0, 0.7]]
    k_diffusion_runs += [
        run_k_diffusion(k, sampler, "karras", prediction, steps)
        for sampler in K_DIFFUSION_SAMPLERS
        for prediction in ["epsilon", "v"]
        for steps in ([2, 7] if "2m_sde" in sampler or "3m_sde" in sampler else [1, 2, 7])  # k-diffusion fails at one
    ]
    k_diffusion_runs += [
        run_formula(sampler, prediction, steps)
        for sampler in ["res_multistep", "res_multistep_ancestral", "er_sde", "ipndm", "ipndm_v", "restart"]
        for prediction in ["epsilon", "v"]
        for steps in ([7, 20, 36] if sampler == "restart" else [1, 2, 7])
    ]
    record = dict(
        note="made by tests/golden/sampling.py",
        versions={name: metadata.version(name) for name in ["torch", "numpy", "diffusers"]}
        | {"k-diffusion": "0.1.1.post1"},
        noise=NOISE.tolist(),
        train_sigmas=numbers(exact_sigmas()[[0, 1, 500, 998, 999]], 16),
        diffusers=diffusers_runs,
        k_diffusion=k_diffusion_runs,
        timestep_hashes=all_timesteps(),
        torch_cpu=torch_cpu_noise(),
        philox=philox_noise(),
    )
    path = Path(__file__).parent / "data" / "sampling.json"
    text = json.dumps(record, separators=(",", ":"))
    path.write_text(text.replace("},{", "},\n{") + "\n")
    print(f"{path}: {path.stat().st_size} bytes")


main()
