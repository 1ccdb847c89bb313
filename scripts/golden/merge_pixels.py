"""Joins the cases into pixels.json and pixels.bin; equal bytes are stored once.

    merge_pixels.py OUT_DIR PICKLE...
"""
import json
import pathlib
import pickle
import sys

out, *parts = sys.argv[1:]
blob = bytearray()
offsets = {}


def stored(data):
    if data not in offsets:
        offsets[data] = len(blob)
        blob.extend(data)
    return dict(offset=offsets[data], len=len(data))


lines, names = [], set()
for part in parts:
    with open(part, "rb") as f:
        for case in pickle.load(f):
            assert case["name"] not in names, case["name"]
            names.add(case["name"])
            size = {key: case.pop(key) for key in ("width", "height", "channels")}
            case["input"] = stored(case["input"])
            case["output"] = {**stored(case["output"]), **size}
            if not case["args"]:
                del case["args"]
            if not case["collapsed"]:
                del case["collapsed"]
            lines.append(json.dumps(case, separators=(",", ":")))
out = pathlib.Path(out)
(out / "pixels.bin").write_bytes(blob)
(out / "pixels.json").write_text('{"cases":[\n' + ",\n".join(lines) + "\n]}\n")
