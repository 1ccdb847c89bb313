"""Pixels by torch and torchvision alone, every operation in the tensor's dtype on the CPU.

    pixels_torch.py OUT.pickle
"""
import sys

import numpy as np
import torch
from torchvision.utils import make_grid

import inputs
from pixel_cases import Cases, shape_text

torch.set_num_threads(1)
cases = Cases("torch")


def to_pixels(chw):
    """What wandb 0.19 does with a tensor in [0, 1]."""
    return chw.mul(255).clamp(0, 255).byte().permute(1, 2, 0).numpy()


def bytes_to_pixels(chw):
    return chw.permute(1, 2, 0).numpy()


def value_range(name, low, high, dtype, shape):
    data = inputs.values(name, shape)
    if not inputs.fits(data, dtype):
        return
    t = inputs.tensor(data, dtype)
    grid = make_grid(t.to(torch.float64) if dtype == "u8" else t, normalize=True, value_range=(low, high))
    settings = dict(nrow=8, padding=2, pad_value=0.0, scale_each=False) if len(shape) == 4 else None
    cases.add(f"torch/value-range/{dtype}/{shape_text(shape)}/{name}/{low}..{high}", "tensor", "value-range",
              dtype, t, to_pixels(grid), "chw", args=dict(low=low, high=high), grid=settings)


VALUE_RANGES = [
    ("imagenet", -2.1179, 2.64), ("imagenet", -1, 1), ("imagenet", 0.1, 0.7),
    ("exactly-0-to-1", 0, 1), ("exactly-0-to-1", 0.1, 0.7),
    ("exactly-minus-1-to-1", -1, 1), ("0-to-255", 0, 255), ("minus-50-to-300", 0, 255),
    ("width-1e-6", 0, 1e-6), ("width-1e3", -1000, 1000), ("1000-plus-0.01", 1000, 1000.01),
]
for dtype in inputs.FLOATS:
    for name, low, high in VALUE_RANGES:
        value_range(name, low, high, dtype, (3, 7, 9))
    for shape in [(7, 9), (1, 7, 9), (4, 7, 9), (5, 3, 4, 5), (9, 1, 4, 5)]:
        value_range("imagenet", -2, 2, dtype, shape)
        value_range("ramp" if len(shape) < 4 else "exactly-0-to-1", 0, 1, dtype, shape)
    value_range("ramp", 0, 1, dtype, (16, 16))
for name, low, high in [("whole-0-to-255", 0, 255), ("whole-0-to-255", 50, 200), ("mask-0-1", 0, 1)]:
    value_range(name, low, high, "u8", (3, 7, 9))

for dtype in (*inputs.FLOATS, "u8"):
    unit_ranges = ["exactly-0-to-1", "0-to-just-above-1", "constant-0.7", "mask-0-1", "imagenet", "width-1e-4",
                   "positive-width-1e-2", "positive-width-1e4", "whole-0-to-255", "0-to-255"]
    signed_ranges = ["exactly-minus-1-to-1", "just-below-minus-1", "minus-1-to-just-above-1", "imagenet",
                     "width-1e-6", "width-1e-1", "width-1e3", "constant-negative", "0-to-255"]
    if dtype == "u8":
        unit_ranges, signed_ranges = list(inputs.BYTE_RANGES), []
    plan = [("unit", n, s) for n in unit_ranges for s in [(3, 7, 9)]]
    plan += [("unit", n, s) for n in unit_ranges[:2] for s in [(1, 7, 9), (4, 7, 9)]]
    plan += [("signed", n, s) for n in signed_ranges for s in [(3, 7, 9)]]
    plan += [("signed", n, s) for n in signed_ranges[:2] for s in [(1, 7, 9), (4, 7, 9)]]
    if dtype != "u8":
        plan += [("unit", "ramp", (1, 16, 16)), ("signed", "signed-ramp", (1, 16, 16))]
    for rule, name, shape in plan:
        data = inputs.values(name, shape)
        if not inputs.fits(data, dtype):
            continue
        t = inputs.tensor(data, dtype)
        wide = t.to(torch.float64) if dtype == "u8" else t
        scaled = wide.mul(255) if rule == "unit" else 255 * 0.5 * (wide + 1)
        cases.add(f"torch/{rule}/{dtype}/{shape_text(shape)}/{name}", "tensor", rule, dtype, t,
                  bytes_to_pixels(scaled.clamp(0, 255).byte()), "chw")

for dtype in inputs.FLOATS:
    for shape, mean, std in [
        ((3, 7, 9), inputs.IMAGENET_MEAN, inputs.IMAGENET_STD),
        ((3, 7, 9), [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]),
        ((3, 7, 9), [0.45], [0.225]),
        ((1, 7, 9), [0.1307], [0.3081]),
        ((1, 7, 9), [0.5], [0.5]),
    ]:
        for name in ["imagenet", "exactly-minus-1-to-1", "exactly-0-to-1", "width-1e1", "constant-zero"]:
            t = inputs.tensor(inputs.values(name, shape), dtype)
            std_t = torch.tensor(std, dtype=t.dtype)[:, None, None]
            mean_t = torch.tensor(mean, dtype=t.dtype)[:, None, None]
            pixels = t.mul(std_t).add(mean_t).mul(255).clamp(0, 255).byte()
            cases.add(f"torch/mean-std/{dtype}/{shape_text(shape)}/{name}/mean{mean[0]}x{len(mean)}", "tensor",
                      "mean-std", dtype, t, bytes_to_pixels(pixels), "chw", args=dict(mean=mean, std=std))

# Grids.
plan = []
for nrow in range(1, 9):
    for padding in range(4):
        plan += [("f32", (5, 3, 4, 5), nrow, padding, 0.0, False), ("f32", (9, 1, 4, 5), nrow, padding, 0.0, False)]
for count in (1, 2, 5, 8, 9):
    for channels in (1, 3):
        shape = (count, channels, 4, 5)
        plan += [("f32", shape, 8, 2, 0.5, False), ("f32", shape, 8, 2, 1.0, True), ("f32", shape, 3, 1, 0.5, True),
                 ("f32", shape, 2, 2, 1.0, False), ("f32", shape, 4, 0, 0.0, True)]
for dtype in ("f64", "f16", "bf16", "u8"):
    for shape in [(5, 3, 4, 5), (9, 1, 4, 5), (1, 3, 4, 5), (8, 3, 4, 5)]:
        plan += [(dtype, shape, 3, 1, 0.5, True), (dtype, shape, 2, 2, 1.0, False), (dtype, shape, 8, 3, 0.3, True)]
for dtype, shape, nrow, padding, pad_value, scale_each in plan:
    t = inputs.tensor(inputs.values("whole-0-to-255" if dtype == "u8" else "imagenet", shape), dtype)
    grid = make_grid(t.to(torch.float64) if dtype == "u8" else t, nrow=nrow, padding=padding, normalize=True,
                     scale_each=scale_each, pad_value=pad_value)
    each = "each" if scale_each else "whole"
    cases.add(f"torch/grid/{dtype}/{shape_text(shape)}/nrow{nrow}-pad{padding}-{pad_value}-{each}", "tensor",
              "min-max", dtype, t, to_pixels(grid), "chw",
              grid=dict(nrow=nrow, padding=padding, pad_value=pad_value, scale_each=scale_each))

# What wandb 0.28.2 and 0.31.0 would do with bfloat16, which NumPy lacks.
def guess(t):
    if t.min() >= 0 and t.max() <= 1:
        return (t * 255).to(torch.uint8)
    if t.min() >= -1 and t.max() <= 1:
        return (255 * 0.5 * (t + 1)).to(torch.uint8)
    return t.clamp(0, 255).to(torch.uint8)


for shape in [(3, 7, 9), (1, 7, 9), (4, 7, 9), (1, 16, 16)]:
    names = inputs.ranges_for("bf16", few=shape != (3, 7, 9))
    if shape == (1, 16, 16):
        names = ["ramp", "signed-ramp"]
    for name in names:
        t = inputs.tensor(inputs.values(name, shape), "bf16")
        cases.add(f"torch/guess/bf16/{shape_text(shape)}/{name}", "tensor", "guess", "bf16", t,
                  bytes_to_pixels(guess(t)), "chw")
        if t.min() >= 0 and t.max() < 256:
            cases.add(f"torch/off/bf16/{shape_text(shape)}/{name}", "tensor", "off", "bf16", t,
                      bytes_to_pixels(t.to(torch.uint8)), "chw")

cases.save(sys.argv[1])
