"""Pixels by the real wandb.Image.

    pixels_wandb.py VERSION OUT.pickle
"""
import sys

import numpy as np
import torch
import wandb

import inputs
from pixel_cases import Cases, shape_text

torch.set_num_threads(1)
version, out = sys.argv[1:]
assert wandb.__version__ == version, wandb.__version__
cases = Cases(version)
RULES = {
    ("0.19.11", "tensor"): "min-max", ("0.19.11", "array"): "to-uint8",
    ("0.28.2", "tensor"): "guess", ("0.28.2", "array"): "guess",
    ("0.31.0", "tensor"): "off", ("0.31.0", "array"): "off",
}
DEFAULT_GRID = dict(nrow=8, padding=2, pad_value=0.0, scale_each=False)


def left_out(source, dtype, data):
    """True where the SDK's own answer is nonsense (see README.md)."""
    rule = RULES[version, source]
    low, high = float(data.min()), float(data.max())
    if rule == "off":
        return low < 0 or high >= 256
    if rule == "to-uint8":
        return low == high < 0
    return False


def add(source, dtype, name, shape):
    layout = "chw" if source == "tensor" else "hwc"
    values = inputs.values(name, shape, layout)
    if not inputs.fits(values, dtype):
        return
    data = (inputs.tensor if source == "tensor" else inputs.array)(values, dtype)
    if left_out(source, dtype, data):
        return
    pixels = np.asarray(wandb.Image(data.clone() if source == "tensor" else data.copy()).image)
    cases.add(f"{version}/{source}/{dtype}/{shape_text(shape)}/{name}", source, RULES[version, source], dtype, data,
              pixels, layout, grid=DEFAULT_GRID if len(shape) == 4 else None)


# bfloat16 fails in .numpy() of the later two; pixels_torch.py computes it.
tensor_dtypes = ("f32", "f64", "f16", "u8") + (("bf16",) if version == "0.19.11" else ())
tensor_few = [(1, 7, 9), (4, 7, 9)] + ([(7, 9)] if version == "0.19.11" else [])
array_few = [(7, 9), (7, 9, 1), (7, 9, 4)]

for dtype in tensor_dtypes:
    for name in inputs.ranges_for(dtype):
        add("tensor", dtype, name, (3, 7, 9))
    for shape in tensor_few:
        for name in inputs.ranges_for(dtype, few=True):
            add("tensor", dtype, name, shape)
    if dtype != "u8":
        for name in ("ramp", "signed-ramp"):
            add("tensor", dtype, name, (1, 16, 16))
    if version == "0.19.11":
        for count in (1, 2, 5, 9, 17):
            for channels in (1, 3):
                for name in ["whole-0-to-255", "mask-0-1"] if dtype == "u8" else ["imagenet", "width-1e-4"]:
                    add("tensor", dtype, name, (count, channels, 4, 5))

for dtype in inputs.NUMPY_DTYPES:
    for name in inputs.ranges_for(dtype):
        add("array", dtype, name, (7, 9, 3))
    for shape in array_few:
        for name in inputs.ranges_for(dtype, few=True):
            add("array", dtype, name, shape)
    if dtype in inputs.FLOATS:
        for name in ("ramp", "signed-ramp"):
            add("array", dtype, name, (16, 16))

cases.save(out)
