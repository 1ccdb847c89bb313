"""The pictures that the golden cases start from: seeded, the same on every machine."""
import zlib

import numpy as np
import torch

FLOATS = ("f32", "f64", "f16", "bf16")
TORCH_DTYPES = {
    "f32": torch.float32,
    "f64": torch.float64,
    "f16": torch.float16,
    "bf16": torch.bfloat16,
    "u8": torch.uint8,
}
NUMPY_DTYPES = {
    "f32": np.float32,
    "f64": np.float64,
    "f16": np.float16,
    "u8": np.uint8,
    "i16": np.int16,
    "i32": np.int32,
    "i64": np.int64,
}
IMAGENET_MEAN = [0.485, 0.456, 0.406]
IMAGENET_STD = [0.229, 0.224, 0.225]
F16_MAX = 65504.0


def uniform(low, high):
    return lambda rng, shape: rng.uniform(low, high, shape)


def constant(value):
    return lambda rng, shape: np.full(shape, float(value))


def with_ends(low, high):
    """Random values that surely hold both ends."""

    def make(rng, shape):
        values = rng.uniform(low, high, shape)
        values.flat[1], values.flat[-2] = low, high
        return values

    return make


def whole(low, high):
    return lambda rng, shape: rng.integers(low, high, shape, endpoint=True).astype(np.float64)


def ramp(rng, shape):
    """Every k/255 in turn: where ×255 and truncation are most easily one off."""
    return (np.arange(np.prod(shape)) % 256 / 255).reshape(shape)


def signed_ramp(rng, shape):
    return ramp(rng, shape) * 2 - 1


def standardised(rng, shape, layout):
    channel_axis = len(shape) - (3 if layout == "chw" else 1)
    channels = shape[channel_axis] if len(shape) > 2 else 1
    wide = [1] * len(shape)
    if len(shape) > 2:
        wide[channel_axis] = channels
    mean = np.array((IMAGENET_MEAN + [0.5])[:channels]).reshape(wide)
    std = np.array((IMAGENET_STD + [0.25])[:channels]).reshape(wide)
    return (rng.random(shape) - mean) / std


DECADES = {f"width-1e{d}": uniform(-0.3 * 10.0**d, 0.7 * 10.0**d) for d in range(-8, 9)}
SIGNED_RANGES = {
    **DECADES,
    "negative": uniform(-5, -1),
    "constant-negative": constant(-0.7),
    "exactly-minus-1-to-1": with_ends(-1, 1),
    "just-below-minus-1": with_ends(-1.01, 1),
    "minus-1-to-just-above-1": with_ends(-1, 1.01),
    "minus-50-to-300": uniform(-50, 300),
    "imagenet": None,  # see standardised()
}
POSITIVE_RANGES = {
    **{f"positive-width-1e{d}": uniform(0, 10.0**d) for d in (-4, -2, 1, 2, 4)},
    "constant-zero": constant(0),
    "constant-0.7": constant(0.7),
    "constant-3": constant(3),
    "constant-200": constant(200),
    "exactly-0-to-1": with_ends(0, 1),
    "0-to-just-above-1": with_ends(0, 1.01),
    "0-to-255": with_ends(0, 255),
    "whole-0-to-255": whole(0, 255),
    "0-to-1000": uniform(0, 1000),
    "mask-0-1": whole(0, 1),
    "1000-plus-0.01": uniform(1000, 1000.01),
    "1e6-plus-1": uniform(1e6, 1e6 + 1),
    "100-plus-1e-4": uniform(100, 100.0001),
    "spread-1e-6": uniform(0.5, 0.5 + 1e-6),
    "spread-8e-6": uniform(0, 8e-6),
}
FLOAT_RANGES = {**SIGNED_RANGES, **POSITIVE_RANGES}
FEW_FLOAT_RANGES = ("imagenet", "width-1e-4", "width-1e3", "exactly-0-to-1", "exactly-minus-1-to-1",
                    "0-to-255", "constant-0.7", "negative", "1000-plus-0.01")
BYTE_RANGES = {
    "whole-0-to-255": with_ends(0, 255),
    "whole-100-to-105": whole(100, 105),
    "whole-250-to-255": whole(250, 255),
    "mask-0-1": whole(0, 1),
    "constant-zero": constant(0),
    "constant-1": constant(1),
    "constant-128": constant(128),
    "constant-255": constant(255),
}
INT_RANGES = {
    **BYTE_RANGES,
    "whole-minus-1-to-1": whole(-1, 1),
    "whole-minus-5-to-20": whole(-5, 20),
    "whole-minus-900-to-minus-100": whole(-900, -100),
    "whole-0-to-1000": whole(0, 1000),
    "whole-minus-300-to-300": whole(-300, 300),
    "constant-300": constant(300),
}


def ranges_for(dtype, few=False):
    """Range names for a dtype."""
    if dtype == "u8":
        return list(BYTE_RANGES)[: 4 if few else None]
    if dtype.startswith("i"):
        return list(INT_RANGES)
    return list(FEW_FLOAT_RANGES if few else FLOAT_RANGES)


RAMPS = {"ramp": ramp, "signed-ramp": signed_ramp}


def values(name, shape, layout="chw"):
    """The float64 values of a named range; the same whatever the dtype they go into."""
    rng = np.random.default_rng(zlib.crc32(f"{name} {shape} {layout}".encode()))
    if name == "imagenet":
        return standardised(rng, shape, layout)
    return {**FLOAT_RANGES, **INT_RANGES, **RAMPS}[name](rng, shape)


def fits(data, dtype):
    """Whether float16 can hold the values and their spread."""
    return dtype != "f16" or (np.abs(data).max() <= F16_MAX and np.ptp(data) <= F16_MAX)


def tensor(data, dtype):
    return torch.from_numpy(np.ascontiguousarray(data)).to(TORCH_DTYPES[dtype])


def array(data, dtype):
    return np.ascontiguousarray(data).astype(NUMPY_DTYPES[dtype])


def raw_bytes(data):
    """Little-endian bytes in C order."""
    if isinstance(data, torch.Tensor):
        data = data.contiguous()
        data = data.view(torch.int16).numpy() if data.dtype == torch.bfloat16 else data.numpy()
    return data.astype(data.dtype.newbyteorder("<")).tobytes(order="C")
