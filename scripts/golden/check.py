"""Re-reads the golden files and checks them by other means than those that made them.

    check.py DIR

Every pixel case, mask and conversion is computed again in plain NumPy, every digest of an artifact
with hashlib and xxhash.
"""
import base64
import collections
import hashlib
import json
import pathlib
import sys
import tempfile

import numpy as np
import xxhash

here = pathlib.Path(sys.argv[1])
SIZES = {"f32": 4, "f64": 8, "f16": 2, "bf16": 2, "u8": 1, "i16": 2, "i32": 4, "i64": 8}
NUMPY = {"f32": "<f4", "f64": "<f8", "f16": "<f2", "u8": "|u1", "i16": "<i2", "i32": "<i4", "i64": "<i8"}


def piece(blob, where):
    assert where["offset"] + where["len"] <= len(blob)
    return blob[where["offset"] : where["offset"] + where["len"]]


def truncated(x):
    return np.clip(x, 0, 255).astype(np.uint8)


def bf16_to_f32(raw):
    return (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)


def to_bf16(x):
    """The nearest bfloat16, ties to even, held in a float32."""
    bits = np.asarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).view(np.float32)


def to_f16(x):
    with np.errstate(over="ignore"):
        return np.asarray(x, np.float32).astype(np.float16).astype(np.float32)


# float16 and bfloat16 tensors: every operation in float32, its result rounded.
ROUNDING = {"f16": to_f16, "bf16": to_bf16}


def normalised(x, low, high, rounded):
    """Clamp and subtraction round their numbers to the tensor's type; the divisor stays float32."""
    kind = x.dtype.type
    x = np.clip(x, rounded(kind(low)), rounded(kind(high)))
    x = rounded(x - rounded(kind(low)))
    return rounded(x / kind(max(high - low, 1e-5)))


def as_grid(batch, grid):
    count, channels, height, width = batch.shape
    if count == 1:
        return batch[0]
    pad = grid["padding"]
    across = min(grid["nrow"], count)
    down = -(-count // across)
    canvas = np.full((channels, down * (height + pad) + pad, across * (width + pad) + pad), grid["pad_value"], batch.dtype)
    for i in range(count):
        y, x = i // across * (height + pad) + pad, i % across * (width + pad) + pad
        canvas[:, y : y + height, x : x + width] = batch[i]
    return canvas


def expected(case, data):
    """HWC pixels by the rules as the Rust crate has to follow them."""
    rule, args, grid = case["rule"], case.get("args", {}), case["grid"]
    if case["source"] == "array":
        x = data if data.ndim == 3 else data[:, :, None]
        if rule == "off":
            return x.astype(np.uint8)
        if rule == "to-uint8":
            if x.min() < 0:
                x = (x - x.min()) / np.ptp(x)
            if x.max() <= 1:
                x = (x * 255).astype(np.int32)
            return truncated(x)
    rounded = ROUNDING.get(case["dtype"], lambda v: v) if case["source"] == "tensor" else lambda v: v
    x = data if data.dtype.kind == "f" else data.astype(np.float64)
    if rounded in ROUNDING.values():
        x = x.astype(np.float32)
    kind = x.dtype.type
    if rule == "off":
        return truncated(x).transpose(1, 2, 0)
    if rule == "guess":
        low, high = x.min(), x.max()
        if 0 <= low and high <= 1:
            x = rounded(x * kind(255))
        elif -1 <= low and high <= 1:
            x = rounded(kind(127.5) * rounded(x + kind(1)))
        x = truncated(x)
        return x.transpose(1, 2, 0) if case["source"] == "tensor" else x if x.ndim == 3 else x[:, :, None]
    if x.ndim == 2:
        x = x[None]
    if rule in ("min-max", "value-range"):
        def one(t):
            low, high = (args["low"], args["high"]) if rule == "value-range" else (float(t.min()), float(t.max()))
            return normalised(t, low, high, rounded)

        x = np.stack([one(t) for t in x]) if grid and grid["scale_each"] else one(x)
        if x.ndim == 4:
            x = rounded(as_grid(x, grid))
        x = rounded(x * kind(255))
    elif rule == "unit":
        x = rounded(x * kind(255))
    elif rule == "signed":
        x = rounded(kind(127.5) * rounded(x + kind(1)))
    elif rule == "mean-std":
        mean, std = (rounded(np.array(args[k], dtype=kind))[:, None, None] for k in ("mean", "std"))
        x = rounded(rounded(rounded(x * std) + mean) * kind(255))
    return truncated(x).transpose(1, 2, 0)


blob = (here / "pixels.bin").read_bytes()
counts, used = collections.Counter(), bytearray(len(blob))
for case in json.loads((here / "pixels.json").read_text())["cases"]:
    name, output = case["name"], case["output"]
    raw = piece(blob, case["input"])
    assert len(raw) == np.prod(case["shape"]) * SIZES[case["dtype"]], name
    pixels = np.frombuffer(piece(blob, output), np.uint8).reshape(output["height"], output["width"], output["channels"])
    for where in (case["input"], output):
        used[where["offset"] : where["offset"] + where["len"]] = b"\1" * where["len"]
    counts[case["rule"], case["sdk"], case["source"], case["dtype"]] += 1
    data = bf16_to_f32(raw) if case["dtype"] == "bf16" else np.frombuffer(raw, NUMPY[case["dtype"]])
    want = expected(case, data.reshape(case["shape"]))
    assert want.shape == pixels.shape and (want == pixels).all(), name
assert all(used), "bytes that no case uses"

history = json.loads((here / "history_0.31.0.json").read_text(encoding="utf-8"))
blob = (here / "history.bin").read_bytes()
end = 0
for case in history["cases"]:
    for picture in case.get("inputs", []):
        assert picture["offset"] == end and len(piece(blob, picture)) == np.prod(picture["shape"]), case["name"]
        end += picture["len"]
    assert case["row"]["_step"] == case["step"], case["name"]
    if case.get("inputs"):
        logged = case["row"][case["key"]]
        assert logged["_type"] == ("images/separated" if case["list"] else "image-file"), case["name"]
        assert [logged["height"], logged["width"]] == case["inputs"][0]["shape"][:2], case["name"]
        if case["list"]:
            assert logged["count"] == len(logged["filenames"]) == len(case["inputs"]), case["name"]
assert end == len(blob)
assert sum(r["type"] == "history" for r in history["records"]) == len(history["cases"])

overlays = json.loads((here / "overlays_0.31.0.json").read_text(encoding="utf-8"))
blob = (here / "overlays.bin").read_bytes()


def array(where):
    kind = {"bool": "?"}.get(where["dtype"]) or f"<{where['dtype'][0]}{int(where['dtype'][1:]) // 8}"
    return np.frombuffer(piece(blob, where), kind).reshape(where["shape"])


def grey(pixels):
    """Pillow's L, A of pixels of any mode."""
    if pixels.dtype == np.uint16:
        return np.clip(pixels, 0, 255).astype(np.uint8)
    red, green, blue = (pixels[..., i].astype(np.int64) for i in range(3))
    return ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16).astype(np.uint8)


for case in overlays["cases"]:
    assert case["row"]["_step"] == case["step"], case["name"]
    images = [image for value in case["values"] for image in value["images"]]
    given = [mask["ids"] for image in images for mask in image["masks"].values() if "ids" in mask]
    made = sorted(array(f["shows"]).tobytes() for f in case["files"] if "mode" in f["shows"] and f["path"].endswith(".mask.png"))
    assert made == sorted(array(ids).astype(np.uint8).tobytes() for ids in given), case["name"]
    boxes = [boxes for image in images for boxes in image["boxes"].values()]
    assert all(f["shows"] in boxes for f in case["files"] if "box_data" in f["shows"]), case["name"]
for case in overlays["modes"]:
    assert case["mode"] == case["shows"] and array(case["input"]).tobytes() == array(case["output"]).tobytes(), case["mode"]
for case in overlays["conversions"]:
    if case["mode"] in ("RGB", "RGBA", "I;16") and case["to"] == "L":
        assert (array(case["output"]) == grey(array(case["input"]))).all(), case["mode"]

artifacts = json.loads((here / "artifacts_0.31.0.json").read_text(encoding="utf-8"))


def named(value):
    """Every object in a value that names a file."""
    if isinstance(value, dict) and "path" in value:
        yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        yield from named(one)


def hashed_name(path, data):
    """What a picture or the names of classes are called, by their content."""
    md5, sha256 = hashlib.md5(data).hexdigest()[:20], hashlib.sha256(data).hexdigest()[:20]
    if path.endswith(".classes.json"):
        shown = str(json.loads(data)["class_set"]).encode()
        return f"media/classes/{hashlib.md5(shown).hexdigest()}_cls.classes.json"
    folder, name = path.rsplit("/", 1)
    is_copy = folder not in ("media/images", "media/images/mask")
    return f"media/images/{sha256}/{name}" if is_copy else f"{folder}/{md5}.{name.split('.', 1)[1]}"


hashed = 0
for artifact in artifacts["artifacts"]:
    algorithm = {"MANIFEST_MD5": hashlib.md5, "MANIFEST_XXH128": xxhash.xxh128}[artifact["digest_algorithm"]]
    digest_of = lambda data: base64.b64encode(algorithm(data).digest()).decode()
    entries = sorted(artifact["manifest"]["contents"], key=lambda entry: entry["path"])
    lines = "".join(f"{entry['path']}:{entry['digest']}\n" for entry in entries)
    whole = f"wandb-artifact-manifest-v1\n{lines}".encode()
    assert algorithm(whole).hexdigest() == artifact["digest"], artifact["name"]
    files = {}
    for entry in entries:
        if "ref" in entry:
            assert entry["digest"] == ("an etag" if artifact["name"] == "asked" else entry["ref"]), entry["path"]
            files[entry["path"]] = entry["ref"].encode()
            continue
        data = entry["text"].encode() if "text" in entry else base64.b64decode(entry["base64"])
        assert digest_of(data) == entry["digest"], entry["path"]
        assert int(entry.get("size", 0)) == len(data), entry["path"]
        files[entry["path"]] = data
    for path, data in files.items():
        hashed += 1
        if path.startswith("media/"):
            assert path == hashed_name(path, data), path
        for one in named(json.loads(data)) if path.endswith(".json") else ():
            data = files[one["path"]]
            assert one.get("sha256") in (None, hashlib.sha256(data).hexdigest()), one["path"]
            assert one.get("digest") in (None, digest_of(data)), one["path"]
            assert "sha256" in one or "digest" in one, one["path"]
given = {path.rsplit("/", 1)[-1]: base64.b64decode(data) for path, data in artifacts["inputs"]["files"].items()}
for entry in artifacts["artifacts"][0]["manifest"]["contents"]:
    name = entry["path"].rsplit("/", 1)[-1].replace("nothing", "empty")
    assert "ref" in entry or entry["text"].encode() == given[name], entry["path"]
for row in artifacts["rows"]:
    value, data = row["value"], row["text"].encode()
    sha256 = hashlib.sha256(data).hexdigest()
    assert value["sha256"] == sha256 and value["size"] == len(data), row["key"]
    assert value["path"].endswith(f"_{sha256[:20]}.table.json"), row["key"]
    table = json.loads(data)
    assert [value["ncols"], value["nrows"]] == [len(table["columns"]), len(table["data"])], row["key"]

own_paths = (tempfile.gettempdir(), str(pathlib.Path.home()), str(pathlib.Path(__file__).resolve().parents[2]), sys.prefix)
for path in here.glob("*.json"):
    text = path.read_text(encoding="utf-8")
    assert not any(own in text for own in own_paths), f"{path} holds a path of this machine"

for key, count in sorted(counts.items()):
    print(f"{count:5}  {' '.join(key)}")
print(f"{sum(counts.values())} pixel cases, all computed again; {len(history['cases'])} history cases, {len(overlays['cases'])} cases of overlays, {hashed} files of artifacts hashed again")
