#!/usr/bin/env python3
"""Draws what W&B shows of a run of examples/segmentation.rs, for the README.

    tests/tools/dump_run.py RUN/run-*.wandb | scripts/segmentation_picture.py RUN assets/segmentation.jpg

Needs Pillow. All that is drawn comes from the run: pictures, masks and boxes from its files, the
names of the classes from its config. Columns are the photograph, the ground truth, and the
prediction after 100 steps and at the end.
"""
import json
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

GAP, HEAD = 8, 24
EARLY_STEP = 100
COLORS = ["#7cc4ff", "#2f5fd0", "#2fa84f", "#e0303c", "#1f9a93", "#ffb020"]
FONT, SMALL = ImageFont.load_default(15), ImageFont.load_default(11)


def main():
    run, out = Path(sys.argv[1]), Path(sys.argv[2])
    labels, rows = read(sys.stdin)
    last = rows[max(rows)]
    columns = [
        ("photograph", lambda i: photo(run, last, i)),
        ("ground truth", lambda i: overlay(run, last, i, "ground truth")),
        (f"prediction, step {EARLY_STEP}", lambda i: overlay(run, rows[EARLY_STEP], i, "prediction")),
        (f"prediction, step {max(rows)}", lambda i: overlay(run, last, i, "prediction")),
    ]
    pictures = [[draw(i) for _, draw in columns] for i in range(last["count"])]
    width, height = pictures[0][0].size
    size = len(columns) * (width + GAP) + GAP, HEAD * 2 + len(pictures) * (height + GAP)
    sheet = Image.new("RGB", size, "white")
    for column, (title, _) in enumerate(columns):
        ImageDraw.Draw(sheet).text((GAP + column * (width + GAP), 3), title, "black", FONT)
        for row, picture in enumerate(pictures):
            sheet.paste(picture[column], (GAP + column * (width + GAP), HEAD + row * (height + GAP)))
    legend(sheet, labels["samples_wandb_delimeter_prediction"]["value"], size[1] - HEAD)
    sheet.save(out, quality=80, optimize=True, subsampling=0)


def read(lines):
    """The names of the classes of each mask, and the samples of each step."""
    labels, rows = {}, {}
    for record in map(json.loads, lines):
        for item in record.get("config", {}).get("update", []):
            keys = item.get("nestedKey") or item.get("nested_key") or [item["key"]]
            put(labels, keys, json.loads(item["value_json"]))
        row = {}
        for item in record.get("history", {}).get("item", []):
            put(row, item.get("nested_key") or [item["key"]], json.loads(item["value_json"]))
        if "samples" in row:
            rows[row["_step"]] = row["samples"]
    return labels["_wandb"]["mask/class_labels"], rows


def put(place, keys, value):
    for key in keys[:-1]:
        place = place.setdefault(key, {})
    if isinstance(value, dict):
        for key, inner in value.items():
            put(place, [keys[-1], key], inner)
    else:
        place[keys[-1]] = value


def photo(run, samples, index):
    return Image.open(run / "files" / samples["filenames"][index]).convert("RGB")


def overlay(run, samples, index, layer):
    """The photograph under a layer's mask and boxes."""
    picture = photo(run, samples, index)
    mask = Image.open(run / "files" / samples["all_masks"][index][layer]["path"])
    colors = mask.copy()
    colors.putpalette([channel for color in COLORS for channel in Image.new("RGB", (1, 1), color).getpixel((0, 0))])
    picture = Image.blend(picture, colors.convert("RGB"), 0.5)
    draw = ImageDraw.Draw(picture)
    boxes = json.loads((run / "files" / samples["all_boxes"][index][layer]["path"]).read_text())
    for box in boxes["box_data"]:
        edges = [box["position"][edge] for edge in ("minX", "minY", "maxX", "maxY")]
        edges[2:] = [edge - 1 for edge in edges[2:]]
        draw.rectangle(edges, outline=COLORS[box["class_id"]], width=2)
    for box in boxes["box_data"]:
        corner = box["position"]["minX"] + 2, max(box["position"]["minY"], 0) + 2
        draw.rectangle(draw.textbbox(corner, box["box_caption"], SMALL), fill=COLORS[box["class_id"]])
        draw.text(corner, box["box_caption"], "black", SMALL)
    return picture


def legend(sheet, names, top):
    draw, left = ImageDraw.Draw(sheet), GAP
    for class_id, name in sorted(names.items()):
        draw.rectangle((left, top + 4, left + 14, top + 18), fill=COLORS[int(class_id)])
        draw.text((left + 20, top + 2), name, "black", FONT)
        left += 44 + round(draw.textlength(name, FONT))


main()
