"""Writes tests/golden/files/: tensor files as NumPy and the Python package safetensors make them.

    pip install numpy==2.3.4 safetensors==0.8.0
    python scripts/golden/files.py
"""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

out = Path(__file__).resolve().parents[2] / "tests" / "golden" / "files"
out.mkdir(parents=True, exist_ok=True)

# Quarters from -2: exact in every float type.
steps = (np.arange(2 * 3 * 3) - 8) / 4
field = steps.reshape(2, 3, 3)
np.save(out / "fortran_big_endian.npy", np.asfortranarray(field.astype(">f4")))

save_file(
    {
        "image": field.astype(np.float16).transpose(2, 0, 1).copy(),
        "batch": np.arange(2 * 1 * 2 * 3, dtype=np.int32).reshape(2, 1, 2, 3),
        "mask": np.array([[True, False], [False, True]]),
    },
    out / "tensors.safetensors",
)
