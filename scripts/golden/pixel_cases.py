"""Collects cases in the form that merge_pixels.py joins."""
import pickle

import numpy as np

import inputs


class Cases:
    def __init__(self, sdk):
        self.sdk = sdk
        self.cases = []

    def add(self, name, source, rule, dtype, data, pixels, layout, args=None, grid=None, sdk=None):
        """`pixels` is (H, W) or (H, W, C) uint8; three equal channels of a one-channel input become one."""
        assert pixels.dtype == np.uint8, pixels.dtype
        if pixels.ndim == 2:
            pixels = pixels[:, :, None]
        collapsed = False
        if channels_of(data.shape, layout) == 1 and pixels.shape[2] == 3:
            assert (pixels == pixels[:, :, :1]).all(), name
            pixels, collapsed = pixels[:, :, :1], True
        self.cases.append(
            dict(
                name=name, sdk=sdk or self.sdk, source=source, rule=rule, args=args or {}, dtype=dtype,
                shape=list(data.shape), layout=layout, grid=grid, collapsed=collapsed,
                input=inputs.raw_bytes(data), output=np.ascontiguousarray(pixels).tobytes(),
                width=pixels.shape[1], height=pixels.shape[0], channels=pixels.shape[2],
            )
        )

    def save(self, path):
        with open(path, "wb") as f:
            pickle.dump(self.cases, f)


def channels_of(shape, layout):
    if len(shape) == 2:
        return 1
    return shape[-3] if layout == "chw" else shape[-1]


def shape_text(shape):
    return "x".join(map(str, shape))
