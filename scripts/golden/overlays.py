"""Masks, boxes, classes, modes and the small methods of wandb.Image, as real wandb 0.31.0 has them.

    overlays.py OUT_DIR WORK_DIR FAKE_WANDB

Writes OUT_DIR/overlays_0.31.0.json and OUT_DIR/overlays.bin. FAKE_WANDB is the stand-in backend that
the run is synced to: the class labels are those that it received.
"""
import copy
import io
import json
import os
import pathlib
import subprocess
import sys
import time

import numpy as np
import torch
import wandb
from PIL import Image as PILImage

from run_log import Blob, json_lines, nested, records, stable_items, step_of

out, work, fake_wandb = map(pathlib.Path, sys.argv[1:])
assert wandb.__version__ == "0.31.0", wandb.__version__

rng = np.random.default_rng(20250102)
blob = Blob()
cases = []
HEIGHT, WIDTH = 5, 6
LABELS = {0: "background", 1: "cat", 2: "dog"}
ODD_TEXT = 'quote " backslash \\ tab \t line\nnext <b>&</b> é 漢 🖼 \u2028 \u007f'


def picture(*shape):
    return rng.integers(0, 256, shape or (HEIGHT, WIDTH, 3), dtype=np.uint8)


def ids(most=2, dtype=np.uint8):
    return rng.integers(0, most + 1, (HEIGHT, WIDTH)).astype(dtype)


def png_of(pixels):
    file = io.BytesIO()
    PILImage.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def text_keys(labels):
    return {str(key): value for key, value in labels.items()}


# --- what is logged ------------------------------------------------------------------------------


def corners(min_x, min_y, max_x, max_y, **more):
    return {"position": {"minX": min_x, "minY": min_y, "maxX": max_x, "maxY": max_y}, **more}


def middle(x, y, width, height, **more):
    return {"position": {"middle": [x, y], "width": width, "height": height}, **more}


def image(pixels=None, masks=None, boxes=None, **options):
    """An image still to be made; `log` makes it and says what it was made of."""
    return dict(pixels=picture() if pixels is None else pixels, masks=masks or {}, boxes=boxes or {}, **options)


def made(spec):
    options = {key: value for key, value in spec.items() if key != "pixels" and value != {}}
    if "classes" in options:
        options["classes"] = [{"id": key, "name": name} for key, name in options["classes"].items()]
    return wandb.Image(spec["pixels"], **copy.deepcopy(options))


def told(spec):
    """The same for the golden file, with its arrays in the blob."""
    spec = dict(spec, pixels=blob.stored(spec["pixels"]))
    spec["masks"] = {key: told_mask(mask) for key, mask in spec["masks"].items()}
    spec["boxes"] = {key: told_labels(boxes) for key, boxes in spec["boxes"].items()}
    if "classes" in spec:
        spec["classes"] = text_keys(spec["classes"])
    return spec


def told_mask(mask):
    mask = told_labels(mask)
    if "path" in mask:
        mask["png"] = blob.stored(np.frombuffer(pathlib.Path(mask.pop("path")).read_bytes(), np.uint8))
        return mask
    data = mask.pop("mask_data")
    return dict(mask, ids=blob.stored(data.numpy() if isinstance(data, torch.Tensor) else data))


def told_labels(layer):
    return {key: text_keys(value) if key == "class_labels" else value for key, value in layer.items()}


def log(name, **values):
    """Logs images and lists of images, one row."""
    log_row(name, values)


def log_row(name, values):
    case = dict(name=name, step=run.step, values=[
        dict(key=key, list=isinstance(value, list), images=[told(i) for i in (value if isinstance(value, list) else [value])])
        for key, value in values.items()
    ])
    run.log({key: [made(i) for i in value] if isinstance(value, list) else made(value) for key, value in values.items()})
    cases.append(case)


def mask(data=None, labels=None):
    return dict(mask_data=ids() if data is None else data, **({} if labels is None else {"class_labels": labels}))


def mask_file(name, pixels, labels=None):
    path = work / name
    path.write_bytes(png_of(pixels))
    return dict(path=str(path), **({} if labels is None else {"class_labels": labels}))


def boxes(*data, labels=None):
    return dict(box_data=list(data), **({} if labels is None else {"class_labels": labels}))


run = wandb.init(
    mode="offline", project="golden", entity="golden", id="golden02", dir=str(work), config={"lr": 0.1},
    settings=wandb.Settings(console="off", x_disable_stats=True, disable_git=True, save_code=False),
)
log("one mask, labels", a=image(masks={"prediction": mask(labels=LABELS)}))
log("one mask, no labels", b=image(masks={"prediction": mask(np.array([[0, 3], [7, 3]], np.uint8))}, pixels=picture(2, 2, 3)))
log("two masks, one has labels", c=image(masks={"prediction": mask(labels=LABELS), "truth": mask()}))
log("labels for absent and odd ids", d=image(masks={"prediction": mask(labels={-1: "minus", 1: "one", 300: "many"})}))
log("ids to 127", e=image(masks={"m": mask(np.arange(128, dtype=np.uint8).reshape(8, 16))}, pixels=picture(8, 16, 3)))
log("ids over 127", f=image(masks={"m": mask(np.arange(256, dtype=np.uint8).reshape(16, 16))}, pixels=picture(16, 16, 3)))
for kind in (np.int8, np.int16, np.int32, np.int64, np.uint16, np.uint32, bool):
    log(f"ids as {np.dtype(kind).name}", g=image(masks={"m": mask(ids(1, kind))}))
log("ids as a torch tensor", h=image(masks={"m": mask(torch.from_numpy(ids(2, np.int64)), LABELS)}))
log("mask from a file", i=image(masks={"m": mask_file("mask.png", ids(200))}))
log("mask from a file, labels", j=image(masks={"m": mask_file("labels.png", ids(2), LABELS)}))
log("mask of another size", k=image(masks={"m": mask(np.zeros((3, 4), np.uint8))}))
log("corners, fractions", l=image(boxes={"p": boxes(corners(0.1, 0.25, 0.5, 1, class_id=1), labels=LABELS)}))
log("corners, pixels", m=image(boxes={"p": boxes(corners(1, 2, 3, 4.5, domain="pixel", class_id=2), labels=LABELS)}))
log("middle, fractions", n=image(boxes={"p": boxes(middle(0.5, 0.25, 0.5, 0.1, class_id=0), labels=LABELS)}))
log("middle, pixels", o=image(boxes={"p": boxes(middle(3, 2.5, 2, 5, domain="pixel", class_id=0), labels=LABELS)}))
log("scores and captions", p=image(boxes={"p": boxes(
    corners(0, 0, 1, 1, class_id=1, box_caption="a cat", scores={"accuracy": 0.9, "loss": 12}),
    middle(1, 1, 1, 1, domain="pixel", class_id=2, box_caption="", scores={}),
    corners(0, 0, 0.5, 0.5, class_id=1, scores={"tiny": 1e-7, "large": 1e21, "negative": -0.5, ODD_TEXT: 1}),
    labels=LABELS)}))
log("boxes, no labels", q=image(boxes={"p": boxes(corners(0, 0, 1, 1, class_id=7), corners(0, 0, 1, 1, class_id=3),
                                                  corners(0, 0, 0.5, 1, class_id=7), corners(0, 0, 1, 0.5, class_id=-1))}))
log("no boxes", r=image(boxes={"p": boxes(labels=LABELS)}))
log("no boxes, no labels", r2=image(boxes={"p": boxes()}))
log("a box over the edge", s=image(boxes={"p": boxes(corners(-0.25, 0.5, 1.5, 1.25, class_id=0),
                                                      corners(-3, -2, 20, 4, domain="pixel", class_id=0))}))
log("a box without size", t=image(boxes={"p": boxes(corners(0.5, 0.5, 0.5, 0.5, class_id=0), middle(0.5, 0.5, 0, 0, class_id=0))}))
log("layers of boxes", u=image(boxes={"prediction": boxes(corners(0, 0, 1, 1, class_id=1), labels=LABELS),
                                      "truth": boxes(middle(3, 2, 1, 1, domain="pixel", class_id=2), labels={2: "hound"})}))
log("all of it", v=image(caption="all", grouping=4, masks={"m": mask(labels=LABELS), "n": mask()},
                         boxes={"p": boxes(corners(0, 0, 1, 1, class_id=1)), "q": boxes(corners(0, 0, 1, 1, class_id=2), labels=LABELS)}))
log("one layer name for mask and boxes", w=image(masks={"same": mask(labels={1: "mask"})},
                                                 boxes={"same": boxes(corners(0, 0, 1, 1, class_id=1), labels={1: "box"})}))
log_row("odd texts", {"odd/key é 🖼": image(
    caption=ODD_TEXT, masks={ODD_TEXT: mask(labels={0: ODD_TEXT, 1: ""}), "a/b.c": mask()},
    boxes={"réponse 🙂": boxes(corners(0, 0, 1, 1, class_id=1, box_caption=ODD_TEXT), labels={1: ODD_TEXT})})})
log("one layer name under several keys", key1=image(masks={"m": mask(labels={1: "first"})}), key2=image(masks={"m": mask(labels={1: "second"})}))
log("labels of a layer, first row", later=image(masks={"m": mask(labels={0: "zero", 1: "old"})}))
log("labels of a layer, second row", later=image(masks={"m": mask(labels={1: "new", 2: "two"})}))
log("names of a layer", named=image(masks={"m": mask(np.array([[0, 1], [5, 1]], np.uint8), labels={1: "cat"})}, pixels=picture(2, 2, 3)))
log("no names of that layer", named=image(masks={"m": mask(np.array([[5, 1], [0, 1]], np.uint8))}, pixels=picture(2, 2, 3)))
log("classes of the image alone", x=image(masks={"m": mask(np.array([[0, 1], [5, 1]], np.uint8))}, pixels=picture(2, 2, 3), classes=LABELS))
log("classes of the image, layers with labels", y=image(masks={"m": mask(labels={1: "own"})}, classes=LABELS))
log("list, masks and boxes", z=[
    image(masks={"m": mask(labels=LABELS)}, boxes={"p": boxes(corners(0, 0, 1, 1, class_id=1), labels=LABELS)}),
    image(masks={"m": mask(labels=LABELS), "n": mask()}, boxes={"q": boxes(middle(1, 1, 2, 2, domain="pixel", class_id=2))}),
])
log("list, some have none", z2=[image(), image(masks={"m": mask(labels=LABELS)}), image(boxes={"p": boxes(corners(0, 0, 1, 1, class_id=1))}), image()])
log("list, masks on the first only", z3=[image(masks={"m": mask()}), image()])
log("list, boxes on the last only", z4=[image(), image(boxes={"p": boxes(labels=LABELS)})])
log("list, labels of one layer", z5=[image(masks={"m": mask(labels={0: "zero", 1: "old"})}), image(masks={"m": mask(labels={1: "new"})})])
log("list, captions and grouping", z6=[image(caption="one", grouping=1, masks={"m": mask()}), image(caption="two", grouping=2)])
log("list of one", z7=[image(masks={"m": mask(labels=LABELS)})])
log("more than 108", z8=[image(picture(2, 2, 3)) for _ in range(110)])
log("grouping", grouping=image(grouping=3))
log("grouping 0", grouping=image(grouping=0))
log("grouping below 0", grouping=image(grouping=-2))


# --- modes ---------------------------------------------------------------------------------------


SHAPES = {"L": (HEIGHT, WIDTH), "LA": (HEIGHT, WIDTH, 2), "RGB": (HEIGHT, WIDTH, 3), "RGBA": (HEIGHT, WIDTH, 4)}
MODES = [*SHAPES, "I;16"]


def pil(mode):
    pixels = rng.integers(0, 2**16, (HEIGHT, WIDTH), dtype=np.uint16) if mode == "I;16" else picture(*SHAPES[mode])
    return pixels, PILImage.fromarray(pixels)


def converted(mode, pixels, to):
    """What `wandb.Image(pixels, mode=to)` shows; for 16 bits, which it can't be given, Pillow's own convert."""
    case = dict(mode=mode, to=to, input=blob.stored(pixels))
    try:
        logged = PILImage.fromarray(pixels).convert(to) if mode == "I;16" else wandb.Image(pixels, mode=to).image
    except (ValueError, OSError) as error:
        return dict(case, error=str(error))
    return dict(case, shows=logged.mode, output=blob.stored(np.asarray(logged)))


def logged_modes():
    for mode in MODES:
        pixels, source = pil(mode)
        assert source.mode == mode
        key = f"mode {mode}".replace(";", "")
        logged = wandb.Image(source)
        run.log({key: logged})
        shown = logged.image
        yield dict(mode=mode, key=key, step=run.step - 1, input=blob.stored(pixels), shows=shown.mode,
                   output=blob.stored(np.asarray(shown)), data_array=logged.to_data_array())


modes = list(logged_modes())
conversions = [converted(mode, pil(mode)[0], to) for mode in MODES for to in MODES]
# Every colour's grey can't be stored; these hold all that the weights can round differently.
ramp = np.stack([rng.integers(0, 256, 4096), rng.integers(0, 256, 4096), rng.integers(0, 256, 4096)], 1).astype(np.uint8)
conversions.append(converted("RGB", ramp.reshape(64, 64, 3), "L"))


# --- the rest ------------------------------------------------------------------------------------


def error_of(action):
    try:
        action()
    except (ValueError, TypeError) as error:
        return str(error)
    raise AssertionError("no error")


def copied():
    for options in ({}, {"caption": "second"}, {"grouping": 5}):
        pixels = picture()
        first = wandb.Image(pixels, caption="first", grouping=2, masks={"m": mask(labels=LABELS)},
                            boxes={"p": boxes(corners(0, 0, 1, 1, class_id=1), labels=LABELS)})
        # A copy takes the file with it: the SDK can copy an image that isn't logged once.
        run.log({"copy": wandb.Image(first, **options)})
        yield dict(step=run.step - 1, input=blob.stored(pixels), options=options)


def captions(*texts):
    return dict(captions=texts, all_captions=wandb.Image.all_captions([wandb.Image(picture(), caption=c) for c in texts]))


def guessed(shape, channels_first):
    data = torch.zeros(shape) if channels_first else np.zeros(shape)
    some = wandb.Image(picture())
    try:
        return dict(shape=shape, channels_first=channels_first, mode=some.guess_mode(data))
    except ValueError as error:
        return dict(shape=shape, channels_first=channels_first, error=str(error))


def reference(uri):
    image = wandb.Image(uri)
    return dict(uri=uri, format=image.format, error=error_of(lambda: run.log({"reference": image})))


copies = list(copied())
methods = dict(
    media_subdir=wandb.Image.get_media_subdir(),
    captions=[captions("a", "b"), captions("a", None), captions(None, "b"), captions(None, None), captions("", None)],
    guesses=[guessed(shape, first) for shape in ((4, 5), (4, 5, 1), (4, 5, 3), (4, 5, 4), (4, 5, 2), (1, 4, 5), (3, 4, 5), (4, 4, 5), (2, 4, 5))
             for first in (False, True)],
    references=[reference(uri) for uri in ("https://example.invalid/a/cat.png", "http://example.invalid/cat.jpg?v=2",
                                           "s3://bucket/cat.bmp", "gs://bucket/cat.png")],
)
run.finish()
# finish() may return before the log's last block is on disk; wandb-core writes it before it exits.
wandb.teardown()


# --- what the backend receives -------------------------------------------------------------------


def synced_config(run_dir):
    """The run's config as it arrives by `wandb sync`."""
    data, port = work / "backend", work / "port"
    server = subprocess.Popen([sys.executable, fake_wandb, "--data", data, "--port-file", port], stdout=subprocess.DEVNULL)
    try:
        while not port.exists():
            assert server.poll() is None, "the stand-in backend ended"
            time.sleep(0.05)
        env = {**os.environ, "WANDB_BASE_URL": f"http://127.0.0.1:{port.read_text().strip()}", "WANDB_API_KEY": "a" * 40}
        env.pop("WANDB_MODE", None)
        subprocess.run([pathlib.Path(sys.executable).with_name("wandb"), "sync", run_dir], env=env, check=True, capture_output=True)
    finally:
        server.terminate()
        server.wait()
    return json.loads((data / "golden" / "golden" / "golden02" / "config.json").read_text())


def layers_of(value):
    """(path, type) of the masks and boxes in a row."""
    if isinstance(value, dict):
        if value.get("_type") in ("mask", "boxes2D"):
            yield value["path"], value["_type"]
        for inner in value.values():
            yield from layers_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from layers_of(inner)


def shown(path, kind):
    """What a layer's file says: the boxes, or the ids."""
    file = run_dir / "files" / path
    if kind == "boxes2D":
        return json.loads(file.read_text(encoding="utf-8"))
    mask = PILImage.open(file)
    return dict(mode=mask.mode, **blob.stored(np.asarray(mask)))


(run_dir,) = work.glob("wandb/offline-run-*-golden02")
rows = {}
for kind, fields in records(run_dir / "run-golden02.wandb"):
    if kind == "history":
        row = nested(stable_items(fields["history"]["item"]))
        # Objects in lists have their keys in a random order.
        rows[step_of(fields["history"])] = json.loads(json.dumps(row, sort_keys=True))
for case in cases:
    case["row"] = rows[case["step"]]
    # In the row's order.
    case["files"] = [dict(path=path, shows=shown(path, kind)) for path, kind in layers_of(case["row"])]
for case in modes + copies:
    case["row"] = rows[case["step"]]

config = synced_config(run_dir)["_wandb"]["value"]
labels = {kind: config[kind] for kind in ("mask/class_labels", "bounding_box/class_labels")}
(out / "overlays.bin").write_bytes(blob.bytes)
(out / "overlays_0.31.0.json").write_text(
    '{"sdk":"0.31.0",\n"labels":' + json.dumps(labels, ensure_ascii=False, sort_keys=True)
    + ',\n"methods":' + json.dumps(methods, ensure_ascii=False)
    + ',\n"cases":[\n' + json_lines(cases) + '\n],\n"modes":[\n' + json_lines(modes)
    + '\n],\n"conversions":[\n' + json_lines(conversions) + '\n],\n"copies":[\n' + json_lines(copies) + "\n]}\n",
    encoding="utf-8",
)
