"""Samplers that neither k-diffusion nor diffusers has, from their papers' formulas, in f64.

`model(x, sigma)` gives the denoised latent; latents are signal plus sigma times noise. Each function returns the latent at the
start of every step, then the last one. Sources: the papers named, and for their constants ComfyUI's comfy/k_diffusion/sampling.py
(res_multistep, er_sde, ipndm, ipndm_v) and A1111's modules/sd_samplers_extra.py (restart).
"""

import numpy as np
from numpy.polynomial import polynomial


def ancestral(sigma, end, eta):
    """Song et al. 2021 (arXiv 2011.13456): down to `down`, then `up` of fresh noise, so that both make `end`."""
    up = min(end, eta * np.sqrt(end**2 * (sigma**2 - end**2) / sigma**2))
    return np.sqrt(end**2 - up**2), up


def res_multistep(model, x, sigmas, draws, eta):
    """Zhang et al. 2023 (arXiv 2308.02157), the second order with the step before as its other stage."""
    states, before = [x], None
    for sigma, end in zip(sigmas[:-1], sigmas[1:]):
        down, up = ancestral(sigma, end, eta)
        denoised = model(x, sigma)
        if down == 0 or before is None:
            x = x + (x - denoised) / sigma * (down - sigma)
        else:
            last_sigma, last_down, last_denoised = before
            h = np.log(sigma) - np.log(down)
            c_2 = (np.log(last_down) - np.log(last_sigma)) / h
            phi_1 = (np.exp(-h) - 1) / -h
            phi_2 = (phi_1 - 1) / -h
            x = np.exp(-h) * x + h * ((phi_1 - phi_2 / c_2) * denoised + phi_2 / c_2 * last_denoised)
        if end > 0 and eta > 0:
            x = x + up * next(draws)
        before = (sigma, down, denoised)
        states.append(x)
    return states


def er_sde(model, x, sigmas, draws):
    """Cui et al. 2023 (arXiv 2309.06169), algorithm 3 with the noise measure ER-SDE 5 and 200 points of integration."""

    def measure(sigma):
        return sigma * (np.exp(sigma**0.3) + 10.0)

    states, denoised_before, slopes = [x], [], []
    for i, (sigma, end) in enumerate(zip(sigmas[:-1], sigmas[1:])):
        denoised = model(x, sigma)
        if end == 0:
            x = denoised
        else:
            r = measure(end) / measure(sigma)
            x = r * x + (1 - r) * denoised
            places = end + np.arange(200) * (sigma - end) / 200
            piece = (sigma - end) / 200
            if i >= 1:
                slope = (denoised - denoised_before[-1]) / (sigma - sigmas[i - 1])
                x = x + (end - sigma + np.sum(1 / measure(places)) * piece * measure(end)) * slope
                if i >= 2:
                    bend = (slope - slopes[-1]) / ((sigma - sigmas[i - 2]) / 2)
                    weighted = np.sum((places - sigma) / measure(places)) * piece
                    x = x + ((end - sigma) ** 2 / 2 + weighted * measure(end)) * bend
                slopes.append(slope)
            x = x + np.sqrt(max(end**2 - sigma**2 * r**2, 0.0)) * next(draws)
        denoised_before.append(denoised)
        states.append(x)
    return states


EQUAL = [[1.0], [3 / 2, -1 / 2], [23 / 12, -16 / 12, 5 / 12], [55 / 24, -59 / 24, 37 / 24, -9 / 24]]


def lagrange(nodes, start, end):
    """The integral of each node's basis polynomial from start to end, by numpy's polynomials."""
    weights = []
    for j, node in enumerate(nodes):
        others = [other for k, other in enumerate(nodes) if k != j]
        basis = polynomial.polyfromroots(others) / np.prod([node - other for other in others])
        whole = polynomial.polyint(basis)
        weights.append(polynomial.polyval(end, whole) - polynomial.polyval(start, whole))
    return weights


def ipndm(model, x, sigmas, variable):
    """Zhang & Chen 2022 (arXiv 2204.13902): Adams-Bashforth of up to the fourth order; to sigma 0 the denoised latent."""
    states, slopes = [x], []
    for i, (sigma, end) in enumerate(zip(sigmas[:-1], sigmas[1:])):
        denoised = model(x, sigma)
        slopes.insert(0, (x - denoised) / sigma)
        order = min(4, i + 1)
        if end == 0:
            x = denoised
        elif variable:
            weights = lagrange(sigmas[i - order + 1 : i + 1][::-1], sigma, end)
            x = x + sum(w * d for w, d in zip(weights, slopes))
        else:
            x = x + (end - sigma) * sum(w * d for w, d in zip(EQUAL[order - 1], slopes))
        states.append(x)
    return states


def karras(n, low, high):
    ramp = np.linspace(0, 1, n)
    return (high ** (1 / 7) + ramp * (low ** (1 / 7) - high ** (1 / 7))) ** 7


def restart(model, x, steps, low, high, draws):
    """Xu et al. 2023 (arXiv 2306.14878) with A1111's plan: Heun's steps, from 0.1 up to 2 again."""
    again, times = (0, 0) if steps < 20 else (9, 1) if steps < 36 else (steps // 4, 2)
    sigmas = np.append(karras(steps - again * times, low, high), 0.0)
    bottom, top = np.argmin(abs(sigmas - 0.1)), np.argmin(abs(sigmas - 2.0))
    pairs = []
    for i in range(len(sigmas) - 1):
        pairs.append((sigmas[i], sigmas[i + 1]))
        if i + 1 == bottom and times and top < bottom:
            levels = karras(again + 1, sigmas[bottom], sigmas[top])
            pairs += list(zip(levels[:-1], levels[1:])) * times
    assert len(pairs) == steps
    states, reached = [], None
    for start, end in pairs:
        if reached is not None and reached < start:
            x = x + np.sqrt(start**2 - reached**2) * next(draws)
        states.append(x)
        slope = (x - model(x, start)) / start
        euler = x + (end - start) * slope
        if end == 0:
            x = euler
        else:
            x = x + (end - start) * (slope + (euler - model(euler, end)) / end) / 2
        reached = end
    return [*states, x], [start for start, _ in pairs] + [0.0]
