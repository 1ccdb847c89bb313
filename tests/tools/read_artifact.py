"""Reads the folder of an artifact with the classes of the real SDK (0.31.0), and tells what is in it.

    read_artifact.py FOLDER NAME...

Prints a JSON object that says of each name, such as `cat.image-file.json` or `p.table.json`, what
the SDK's own `from_json` makes of it.
"""
import base64
import datetime
import json
import math
import pathlib
import sys

import wandb
from PIL import Image as PILImage
from wandb.sdk.data_types import _dtypes
from wandb.sdk.data_types.base_types.wb_value import WBValue

assert wandb.__version__ == "0.31.0", wandb.__version__


class Entry:
    def __init__(self, path):
        self.path = path

    def download(self):
        assert self.path.is_file(), self.path
        return str(self.path)


class Folder:
    """As much of an artifact as `from_json` asks for."""

    def __init__(self, root):
        self.root = pathlib.Path(root)

    def get_entry(self, name):
        return Entry(self.root / name)

    def get(self, name):
        value = json.loads((self.root / name).read_text(encoding="utf-8"))
        return WBValue.init_from_json(value, self)


def pixels(picture):
    return dict(mode=picture.mode, size=list(picture.size), bytes=base64.b64encode(picture.tobytes()).decode())


def box(one):
    return dict(
        class_id=int(one["class_id"]),
        domain=one.get("domain"),
        caption=one.get("box_caption"),
        position={key: [float(x) for x in value] if key == "middle" else float(value) for key, value in one["position"].items()},
        scores={name: float(score) for name, score in (one.get("scores") or {}).items()},
    )


def words(value):
    """What the SDK takes for a caption or a name may be of any kind."""
    return value if value is None or isinstance(value, str) else json.dumps(value)


def image(value):
    classes = value._classes._class_set if value._classes is not None else []
    return dict(
        caption=words(value._caption),
        grouping=value._grouping,
        pixels=pixels(value.image),
        classes={str(one["id"]): words(one["name"]) for one in classes},
        boxes={key: [box(one) for one in boxes._val] for key, boxes in (value._boxes or {}).items()},
        masks={key: pixels(PILImage.open(mask._path)) for key, mask in (value._masks or {}).items()},
    )


def cell(value):
    if isinstance(value, wandb.Image):
        return {"image": image(value)}
    if isinstance(value, WBValue):
        return {"other": value._log_type}
    if isinstance(value, datetime.datetime):
        return float(value.timestamp() * 1000)
    if isinstance(value, list):
        return [cell(one) for one in value]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    return float(value) if math.isfinite(value) else json.dumps(float(value))


def column_type(kind):
    kinds = kind.params["allowed_types"] if isinstance(kind, _dtypes.UnionType) else [kind]
    names = [one.name for one in kinds if not isinstance(one, _dtypes.NoneType)]
    return names[0] if names else None


def table(value):
    types = value._column_types.params["type_map"]
    return dict(
        columns=value.columns,
        types=[column_type(types[name]) for name in value.columns],
        rows=[[cell(one) for one in row] for row in value.data],
    )


def told(value):
    if isinstance(value, wandb.Image):
        return image(value)
    assert isinstance(value, wandb.Table), value
    return table(value)


folder = Folder(sys.argv[1])
print(json.dumps({name: told(folder.get(name)) for name in sys.argv[2:]}, allow_nan=False))
