"""The Python side: sdk.py INPUTS WORK. Takes one command a line on stdin, as JSON, and answers
each with one line on stdout, as benches/speed does."""

import json
import os
import platform
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import PIL
import PIL.features
import torch
import wandb
from PIL import Image

INPUTS, WORK = Path(sys.argv[1]), Path(sys.argv[2])
WARM_UP = 2


def array(kind):
    listed = json.loads((INPUTS / "inputs.json").read_text())[kind]
    return np.fromfile(INPUTS / listed["file"], "<f4").reshape(listed["shape"])


def draw_number(batch, number):
    """As benches/speed does, so that no two rows hold the same picture."""
    batch[:, :, :8, :8] = number & 255
    batch[:, :, :8, 8:16] = number >> 8 & 255


def log(run, batch, file_type=None):
    run.log({"samples": [wandb.Image(picture, file_type=file_type) for picture in batch]})


def start():
    WORK.mkdir(parents=True, exist_ok=True)
    return wandb.init(project="speed", mode="offline", dir=WORK)


def media(run_dir):
    folder = run_dir / "media/images"
    return sorted(folder.iterdir()) if folder.exists() else []


def caller(kind, repeats):
    """What run.log costs the thread that calls it, the making of the images included."""
    batch = torch.from_numpy(array(kind))
    run = start()
    seconds = []
    for step in range(WARM_UP + repeats):
        draw_number(batch, step)
        began = time.perf_counter()
        log(run, batch)
        seconds.append(time.perf_counter() - began)
    folder = Path(run.dir)
    run.finish()
    shutil.rmtree(folder.parent)
    return {"log_s": seconds[WARM_UP:]}


def sustained(kind, file_type, rows, keep):
    """From tensors to rows on disk, as many and as fast as they go, the end of the run included."""
    batch = torch.from_numpy(array(kind))
    run = start()
    began = time.perf_counter()
    for step in range(rows):
        draw_number(batch, step)
        log(run, batch, file_type)
    logged = time.perf_counter()
    folder = Path(run.dir)
    run.finish()
    finished = time.perf_counter()
    files = media(folder)
    if len(files) != rows * len(batch):
        raise RuntimeError(f"{rows * len(batch)} pictures were logged, and {len(files)} are on disk")
    answer = {
        "pictures": len(files),
        "bytes": sum(file.stat().st_size for file in files),
        "seconds": finished - began,
        "finish_s": finished - logged,
        "dir": str(folder.parent),
    }
    if not keep:
        shutil.rmtree(folder.parent)
    return answer


def check(kind, dir):
    """The greatest difference between the pictures of a run, either side's, and the input."""
    inputs = array(kind).transpose(0, 2, 3, 1)
    worst = 0
    for file in media(Path(dir) / "files"):
        picture = np.asarray(Image.open(file), dtype="f4").reshape(inputs.shape[1:])
        nearest = min(inputs, key=lambda wanted: np.abs(wanted - picture).mean())
        worst = max(worst, int(np.abs(nearest - picture).max()))
    return {"worst": worst}


def versions():
    zlib = "zlib-ng " if PIL.features.check("zlib_ng") else "zlib "
    zlib += str(PIL.features.version("zlib_ng") or PIL.features.version("zlib"))
    return {
        "Python": platform.python_version(),
        "wandb": wandb.__version__,
        "torch": torch.__version__,
        "Pillow": f"{PIL.__version__} ({zlib})",
    }


def answer(line):
    command = json.loads(line)
    run = {"caller": caller, "sustained": sustained, "check": check, "versions": versions}[command.pop("do")]
    try:
        return run(**command)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def main():
    # Only answers go to stdout, whatever else prints.
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    for line in sys.stdin:
        print(json.dumps(answer(line)), file=out)


if __name__ == "__main__":
    main()
