"""Every value of the floats of eight bits, by torch 2.15: `python float8.py` writes data/float8.json."""

import json
import math
import pathlib

import torch

bits = torch.arange(256, dtype=torch.uint8)
types = {"e4m3fn": torch.float8_e4m3fn, "e5m2": torch.float8_e5m2}
values = {name: bits.view(dtype).float().tolist() for name, dtype in types.items()}
finite = {name: [v if math.isfinite(v) else None for v in vs] for name, vs in values.items()}
path = pathlib.Path(__file__).parent / "data" / "float8.json"
path.write_text(json.dumps({"torch": torch.__version__} | finite, separators=(",", ":")) + "\n")
