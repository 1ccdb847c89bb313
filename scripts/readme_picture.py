#!/usr/bin/env python3
"""Lays out samples of a run of an example as the picture of the README.

    wandb-image ls RUN --json | scripts/readme_picture.py RUN assets/samples.png

Needs Pillow. Rows are steps 0, 100, 500 and the last; columns are four of the sixteen digits.
"""
import json
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

GAP, LABEL = 8, 84
STEPS, DIGITS = (0, 100, 500, None), (0, 3, 5, 9)


def main():
    run, out = Path(sys.argv[1]), Path(sys.argv[2])
    by_step = {}
    for media in (one for one in json.load(sys.stdin) if one["kind"] != "artifact"):
        by_step.setdefault(media["step"], []).append(media)
    steps = [max(by_step) if step is None else step for step in STEPS]
    tiles = [[tile(run, by_step[step][digit]) for digit in DIGITS] for step in steps]
    width, height = tiles[0][0].size
    sheet = Image.new("RGB", (LABEL + len(DIGITS) * (width + GAP), len(steps) * (height + GAP) + GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for row, step in enumerate(steps):
        top = GAP + row * (height + GAP)
        draw.text((GAP, top + height // 2 - 8), f"step {step}", "black", font)
        for column, picture in enumerate(tiles[row]):
            sheet.paste(picture, (LABEL + column * (width + GAP), top))
    sheet.save(out, optimize=True)


def tile(run, media):
    """The picture with its caption under it, as W&B shows it."""
    picture = Image.open(run / "files" / media["path"]).convert("RGB")
    tile = Image.new("RGB", (picture.width, picture.height + 20), "white")
    tile.paste(picture)
    ImageDraw.Draw(tile).text((2, picture.height + 2), media["caption"], "#444", ImageFont.load_default(13))
    return tile


main()
