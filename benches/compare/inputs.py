"""Makes the pictures that both sides are given: inputs.py DIR

Each kind is a batch (N, C, H, W) of whole numbers from 0 to 255, as raw little-endian f32, listed
in DIR/inputs.json. 0 to 255 is what the Python SDK 0.31 takes and only casts. Every picture ends with a 0 and a 255, so that
MinMax, this crate's default, does its work and draws the same pixels; and begins with two squares
whose greys both sides set to the two bytes of the row's number: no picture comes twice, which this
crate would store once, in a way that JPEG keeps.
"""

import gzip
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
SEED = 31


def photographs():
    """The two photographs, (H, W, C), 427×640."""
    folder = ROOT / "examples/data"
    return [np.asarray(Image.open(folder / name).convert("RGB")) for name in ("china.jpg", "flower.jpg")]


def crops(count, side, rng):
    """Squares of the photographs at places drawn at random. A side longer than the photograph's is
    filled up by its mirror image, which keeps the detail that enlarging would smooth away."""
    pictures = []
    for index in range(count):
        photo = photographs()[index % 2]
        missing = [(0, max(0, side - length)) for length in photo.shape[:2]]
        whole = np.pad(photo, [*missing, (0, 0)], mode="symmetric")
        top = rng.integers(whole.shape[0] - side + 1)
        left = rng.integers(whole.shape[1] - side + 1)
        picture = whole[top : top + side, left : left + side].copy()
        pictures.append(picture.transpose(2, 0, 1))
    return np.stack(pictures)


def noise(count, side, rng):
    return rng.integers(0, 256, (count, 3, side, side))


def flat(count, side, rng):
    """Rectangles and disks of one colour each on a white ground, as in a diagram or a
    segmentation."""
    y, x = np.mgrid[:side, :side]
    pictures = []
    for _ in range(count):
        picture = np.full((3, side, side), 255)
        for shape in range(8):
            centre_y, centre_x = rng.integers(0, side, 2)
            half_height, half_width = rng.integers(side // 16, side // 4, 2)
            box = (abs(y - centre_y) < half_height) & (abs(x - centre_x) < half_width)
            disk = (y - centre_y) ** 2 + (x - centre_x) ** 2 < half_height**2
            picture[:, box if shape % 2 else disk] = rng.integers(0, 256, (3, 1))
        pictures.append(picture)
    return np.stack(pictures)


def digits(count, scale):
    """Handwritten digits, each pixel enlarged to a square, from paper (0) to ink (255)."""
    with gzip.open(ROOT / "examples/data/digits.csv.gz", "rt") as file:
        rows = np.loadtxt(file, delimiter=",", max_rows=count)[:, :64]
    ink = np.round(rows / rows.max(axis=1, keepdims=True) * 255).reshape(count, 1, 8, 8)
    return ink.repeat(scale, axis=2).repeat(scale, axis=3)


def main(folder):
    rng = np.random.default_rng(SEED)
    kinds = {
        "photo-256": crops(16, 256, rng),
        "photo-32": crops(64, 32, rng),
        "photo-512": crops(4, 512, rng),
        "photo-1024": crops(1, 1024, rng),
        "noise-256": noise(16, 256, rng),
        "flat-256": flat(16, 256, rng),
        "digits-32": digits(64, 4),
    }
    listed = {}
    for kind, batch in kinds.items():
        batch[:, :, :8, :16] = 0  # the number of row 0
        batch[:, :, -1, -2:] = 0, 255
        batch.astype("<f4").tofile(folder / f"{kind}.f32")
        listed[kind] = {"file": f"{kind}.f32", "shape": batch.shape}
    (folder / "inputs.json").write_text(json.dumps(listed))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
