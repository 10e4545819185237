"""What torch does on the same NVIDIA card: matrix products and attention at shapes of the bench `ops`, in bf16.

Prints lines of JSON as the benches append them. Without diffusers there is no UNet to compare with.
"""

import argparse
import json
import statistics
import sys
import time

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    sys.exit("torch_cuda.py: no torch here (pip install torch)")

SAMPLES = 15
SAMPLE_S = 0.05

# Rows, inputs, columns.
PRODUCTS = [(8192, 320, 2560), (8192, 1280, 320), (2048, 640, 5120), (2048, 1280, 10240), (8192, 8192, 8192)]
# Batch, length, width, keys, heads.
ATTENTIONS = [(2, 4096, 320, 4096, 8), (2, 4096, 640, 4096, 10), (2, 1024, 1280, 1024, 20), (2, 4096, 320, 77, 8)]
# Batch, side, channels, result's channels.
CONVOLUTIONS = [(2, 64, 320, 320), (2, 32, 640, 640), (2, 16, 1280, 1280), (2, 128, 320, 320)]


def seconds(work):
    """The median time of one run, over samples of many."""

    def lap(count):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(count):
            work()
        torch.cuda.synchronize()
        return (time.perf_counter() - start) / count

    lap(3)
    count = max(1, round(SAMPLE_S / lap(3)))
    return statistics.median(lap(count) for _ in range(SAMPLES))


def report(name, size, flops, work):
    taken = seconds(work)
    line = {
        "bench": "torch",
        "name": name,
        "size": size,
        "dtype": "bf16",
        "device": torch.cuda.get_device_name(),
        "driver": f"torch {torch.__version__}, CUDA {torch.version.cuda}",
        "figures": {"ms": taken * 1e3, "GFLOP": flops / 1e9, "GFLOP/s": flops / 1e9 / taken, "samples": SAMPLES},
        "command": "python3 benches/compare/torch_cuda.py",
        "date": int(time.time()),
    }
    print(json.dumps(line), flush=True)


def draw(*shape):
    return torch.randn(shape, device="cuda", dtype=torch.bfloat16)


@torch.inference_mode()
def main():
    argparse.ArgumentParser(description=__doc__).parse_args()
    if not torch.cuda.is_available():
        sys.exit("torch_cuda.py: torch finds no CUDA device")
    for rows, inputs, columns in PRODUCTS:
        x, weight = draw(rows, inputs), draw(columns, inputs)
        flops = 2 * rows * inputs * columns
        report("linear", f"{rows}×{inputs} → {columns}", flops, lambda: F.linear(x, weight))
    for batch, length, width, keys, heads in ATTENTIONS:
        q, k, v = (draw(batch, heads, tokens, width // heads) for tokens in (length, keys, keys))
        flops = 4 * batch * length * keys * width
        size = f"{batch}×{length}×{width}, {keys} keys, {heads} heads"
        report("attention", size, flops, lambda: F.scaled_dot_product_attention(q, k, v))
    for batch, side, channels, out in CONVOLUTIONS:
        x = draw(batch, channels, side, side).to(memory_format=torch.channels_last)
        weight = draw(out, channels, 3, 3).to(memory_format=torch.channels_last)
        flops = 2 * 9 * batch * side * side * channels * out
        report("conv2d", f"{batch}×{side}×{side}×{channels} → {out}, 3×3 / 1", flops, lambda: F.conv2d(x, weight, padding=1))


if __name__ == "__main__":
    main()
