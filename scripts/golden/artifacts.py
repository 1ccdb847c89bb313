"""Artifacts and tables as real wandb 0.31.0 writes them into an offline run.

    artifacts.py OUT_DIR WORK_DIR

Writes OUT_DIR/artifacts_0.31.0.json. Needs boto3 and google-cloud-storage beside wandb, for the
references to buckets, which nothing is read of.
"""
import base64
import json
import os
import pathlib
import struct
import sys
from functools import partialmethod
from types import SimpleNamespace
from unittest import mock

import numpy as np
import wandb
from PIL import Image as PILImage
from requests.structures import CaseInsensitiveDict
from wandb.sdk.artifacts.storage_handlers.http_handler import HTTPHandler

from run_log import json_lines, nested, records

out, work = map(pathlib.Path, sys.argv[1:])
assert wandb.__version__ == "0.31.0", wandb.__version__
# A client of Google's asks for credentials, but not for an emulator's.
os.environ["STORAGE_EMULATOR_HOST"] = "http://127.0.0.1:9"
os.environ["GOOGLE_CLOUD_PROJECT"] = "none"
for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
    os.environ[key] = "none"

given = work / "given"
given.mkdir()
rng = np.random.default_rng(20261129)
HEIGHT, WIDTH = 4, 6
LABELS = {0: "background", 1: "cat", 2: "dog"}
ODD = 'quote " apostrophe \' backslash \\ tab \t line\nnext é 漢 🖼 \u2028 \u007f \u200b'
# Each character that is escaped somewhere, and those beside them. No text of Rust's holds a surrogate.
CODES = [*range(0x24), 0x2f, 0x5b, 0x5c, 0x5d, *range(0x7e, 0xa2), 0xd7ff, 0xe000, 0xfdd0, 0xfeff, 0xfffd, 0xffff, 0x10000, 0x10ffff]
ESCAPED = "".join(map(chr, CODES))


def floats():
    """A number of every exponent, of few digits or of many, and those where the notation changes."""
    digits = np.random.default_rng(20261130)
    for exponent in range(-324, 309):
        mantissa = str(digits.integers(10, 10 ** int(digits.integers(2, 18))))
        yield float(f"{'-' if exponent % 3 == 0 else ''}{mantissa[0]}.{mantissa[1:]}e{exponent}")
    for edge in (1e-7, 1e-6, 1e-5, 1e-4, 1.0, 1e15, 1e16, 1e17, 1e21, 1e22, 2.0**53, 2.0**63, 2.0**64, 2.2250738585072014e-308):
        yield from (float(np.nextafter(edge, 0)), edge, float(np.nextafter(edge, np.inf)), -edge)
    yield from (-0.0, 0.0, 5e-324, 1e-323, 1.7976931348623157e308, 0.1, 0.1 + 0.2, 1 / 3, 5e-5, 100.0, 123456789.0)
    yield float(np.float32(0.1))


FLOATS = [value for value in floats() if abs(value) != float("inf")]


def pixels(*shape):
    return rng.integers(0, 256, shape or (HEIGHT, WIDTH, 3), dtype=np.uint8)


def picture(name, array):
    path = given / name
    path.parent.mkdir(parents=True, exist_ok=True)
    PILImage.fromarray(array).save(path)
    return str(path)


def text(name, content):
    path = given / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return str(path)


def mask(labels=None):
    ids = rng.integers(0, 3, (HEIGHT, WIDTH)).astype(np.uint8)
    ids[0, :3] = 0, 1, 2
    return dict(mask_data=ids, **({} if labels is None else {"class_labels": labels}))


def boxes(*data, labels=None):
    return dict(box_data=list(data), **({} if labels is None else {"class_labels": labels}))


def box(class_id, **more):
    return {"position": {"minX": 0.125, "minY": 0.25, "maxX": 0.5, "maxY": 1.0}, "class_id": class_id, **more}


def pixel_box(class_id, **more):
    return {"position": {"middle": [3.0, 2.0], "width": 2.0, "height": 1.5}, "domain": "pixel", "class_id": class_id, **more}


def classes(labels):
    return [{"id": key, "name": name} for key, name in labels.items()]


# Layers and classes in the order of their names and ids, in which the crate has them.

# --- what is logged ------------------------------------------------------------------------------

run = wandb.init(
    mode="offline", project="golden", entity="golden", id="golden03", dir=str(work),
    settings=wandb.Settings(console="off", x_disable_stats=True, disable_git=True, save_code=False),
)

files = wandb.Artifact("files", "dataset", description="all kinds of files",
                       metadata={"n": 2, "rate": 0.1, "name": ODD, "nested": {"list": [1, None, True, float("nan")]},
                                 "floats": [1e22, 5e-5, 1e-7, -0.0, 1e16, 12.0, 5e-324], "escaped": ESCAPED, "large": 2**64 - 1})
files.add_file(text("notes.txt", b"hello\n"))
files.add_file(text("empty.bin", b""), name="deep/er/nothing.bin")
text("folder/a.txt", b"a")
text("folder/sub/b c.txt", b"bb")
text("folder/sub/\u00e9.txt", b"ccc")
files.add_dir(str(given / "folder"), name="data")
files.add_reference("https://example.invalid/some/x.png?size=2", checksum=False)
files.add_reference("https://example.invalid/y.png", name="pictures/y.png", checksum=False)
files.add_reference("s3://bucket/some/key.png", checksum=False)
files.add_reference("gs://bucket/other/key.bin", checksum=False)
run.log_artifact(files, aliases=["best", "v-one"], tags=["small one"])

# Without a description, metadata, aliases or tags.
plain = wandb.Artifact("plain.1_x-y", "model")
plain.add_file(str(given / "notes.txt"), name="a/notes.txt")
run.log_artifact(plain)

# Images of which every byte is given.
as_given = wandb.Artifact("as-given", "dataset")
first = picture("pictures/first.png", pixels())
jpeg = picture("pictures/second.jpeg", pixels(HEIGHT, WIDTH))
as_given.add(wandb.Image(first), "plain")
as_given.add(wandb.Image(first, caption=ODD, grouping=3), "sub/captioned")
as_given.add(wandb.Image(jpeg, caption="jpeg", classes=classes(LABELS)), "jpeg")
as_given.add(wandb.Image(first, classes=classes({-1: "", 1: ODD, 5: "it's", 7: 'a "b"'}),
                         boxes={"p": boxes(box(1, box_caption=ODD, scores={"accuracy": 0.9, "tiny": 1e-7, "large": 1e21, "n": 12.0}),
                                           pixel_box(2), labels=LABELS)}), "boxed")
as_given.add(wandb.Image(first, boxes={"p": boxes(box(7), box(3), box(-1)), "q": boxes(box(3), labels={3: "three"})}), "unnamed")
run.log_artifact(as_given)

# Images that each encoder writes in its own way.
made = wandb.Artifact("made", "dataset")
made_inputs = {"pixels": pixels(), "masked": pixels(), "all": pixels()}
made_masks = {"one": mask(), "two": mask(LABELS), "three": mask({0: "nothing", 2: "hound"})}
made.add(wandb.Image(made_inputs["pixels"], caption="made"), "pixels")
made.add(wandb.Image(made_inputs["masked"], masks={"m": dict(made_masks["one"])}), "masked")
made.add(wandb.Image(made_inputs["all"], classes=classes({9: "nine"}), masks={"m": dict(made_masks["two"]), "n": dict(made_masks["three"])},
                     boxes={"p": boxes(box(1, scores={"s": 0.5}), labels={1: "box"})}), "all")
run.log_artifact(made)

# Images that stay elsewhere: the SDK asks their servers, so here it is told not to.
referring = wandb.Artifact("referring", "dataset")
with mock.patch.object(wandb.Artifact, "add_reference", partialmethod(wandb.Artifact.add_reference, checksum=False)):
    referring.add(wandb.Image("https://example.invalid/some/dog.jpeg?size=2", caption="a dog", grouping=2), "dog")
    referring.add(wandb.Image("s3://bucket/pictures/cat.png", classes=classes(LABELS),
                              boxes={"p": boxes(pixel_box(1), labels=LABELS)}), "deep/cat")
    referring.add(wandb.Image("gs://bucket/no-ending"), "bird")
run.log_artifact(referring)

# What a server's answer makes of a reference.
asked = wandb.Artifact("asked", "dataset")


def answer(_, url):
    head = CaseInsensitiveDict({"ETag": '"an etag"', "Content-Length": "7"})
    return mock.MagicMock(**{"__enter__.return_value": SimpleNamespace(headers=head, request=SimpleNamespace(url=url))})


with mock.patch.object(HTTPHandler, "_get_stream", answer):
    asked.add_reference("https://example.invalid/with/checksum.png")
run.log_artifact(asked)

hashed = wandb.Artifact("hashed", "dataset", digest_algorithm="XXH128")
hashed.add_file(str(given / "notes.txt"))
hashed.add_file(str(given / "empty.bin"))
hashed.add(wandb.Image(first, classes=classes(LABELS)), "classed")
run.log_artifact(hashed)

# A picture of a file that is there under a name of its own.
shared = wandb.Artifact("shared", "dataset")
shared.add_file(first, name="given.png")
shared.add(wandb.Image(first), "again")
run.log_artifact(shared)

refusals = {}
for name, image in {
    "boxes of nothing": lambda: wandb.Image(first, boxes={"p": boxes()}),
    "mask of a file": lambda: wandb.Image(first, masks={"m": {"path": picture("mask.png", np.zeros((HEIGHT, WIDTH), np.uint8))}}),
}.items():
    try:
        wandb.Artifact("refused", "dataset").add(image(), "x")
    except ValueError as error:
        refusals[name] = str(error)

numbers = wandb.Table(columns=["int", "float", "text", "flag", "maybe", "never", "nan", "vector", "words", "mixed"])
numbers.add_data(1, 0.1, "a", True, None, None, float("nan"), [0.5, 2], ["x", "y"], [1, None])
numbers.add_data(-2, 1e-7, ODD, False, 3.5, None, 1.5, [1, 2, 3], [], [])
numbers.add_data(2**53, 1e22, "", None, None, None, float("inf"), [], ["z"], [None])
numbers.add_data(None, -0.0, None, True, 4, None, -float("inf"), None, None, None)
run.log({"numbers": numbers})

pictures = wandb.Table(columns=["id", "picture"])
pictures.add_data(0, wandb.Image(first))
pictures.add_data(1, wandb.Image(jpeg, caption="two"))
pictures.add_data(2, None)
pictures.add_data(3, wandb.Image(first, caption="again"))
run.log({"val/pictures of it!": pictures})

overlaid = wandb.Table(columns=["picture", "score"])
for classes_of, labels, score in ((None, LABELS, "a"), ({1: "tiger", 4: "bird"}, {1: "lion", 2: "dog", 3: "fox"}, "b")):
    overlaid.add_data(wandb.Image(first, classes=None if classes_of is None else classes(classes_of),
                                  boxes={f"only {score}": boxes(box(6)), "p": boxes(box(1, scores={score: 0.5, "s": 1.0}), labels=labels)}), 0.5)
overlaid.add_data(wandb.Image(first), 1)
run.log({"overlaid": overlaid}, step=7)

masked = wandb.Table(columns=["picture"])
table_masks = [mask(LABELS), mask(), mask({0: "sky", 1: "sea"})]
table_inputs = [pixels() for _ in range(2)]
masked.add_data(wandb.Image(table_inputs[0], masks={"prediction": dict(table_masks[1]), "truth": dict(table_masks[0])}))
masked.add_data(wandb.Image(table_inputs[1], masks={"truth": dict(table_masks[2])}))
run.log({"masked": masked}, step=8)

run.log({"empty": wandb.Table(columns=["a", "b"])}, step=9)

spelled = wandb.Table(columns=["floats", "text"])
for at in range(0, len(FLOATS), 16):
    spelled.add_data(FLOATS[at : at + 16], ESCAPED if at == 0 else None)
run.log({"spelled": spelled}, step=10)

run.log({"listed": wandb.Table(columns=["a"], data=[[[1.0, float("nan")]]])}, step=11)

# What a column of such values takes, or the kind of the error; and how many rows the table has then.
table_refusals = {}
for name, rows in {
    "text for a number": [(1,), ("a",)],
    "a flag for a number": [(1,), (True,)],
    "a number for a flag": [(True,), (1,)],
    "a number for a text": [("a",), (1.5,)],
    "a list for a number": [(1,), ([1],)],
    "a number for a list": [([1],), (1,)],
    "words for numbers": [([1],), (["a"],)],
    "a list of both": [([1, "a"],)],
    "a picture for a number": [(1,), (wandb.Image(first),)],
    "a number for a picture": [(wandb.Image(first),), (1,)],
    "a row too long": [(1, 2)],
    "a row too short": [()],
    "a float for a whole number": [(1,), (0.5,)],
    "nothing for a number": [(1,), (None,)],
    "a number for nothing": [(None,), (1,)],
    "NaN for a text": [("a",), (float("nan"),)],
    "NaN for a picture": [(wandb.Image(first),), (float("nan"),)],
    "a longer list": [([1],), ([1, 2.5],)],
    "an empty list for words": [(["a"],), ([],)],
    "a list of nothing for words": [(["a"],), ([None],)],
}.items():
    refused, error = wandb.Table(columns=["a"]), None
    try:
        for row in rows:
            refused.add_data(*row)
    except (TypeError, ValueError) as caught:
        error = type(caught).__name__
    table_refusals[name] = dict(error=error, rows=len(refused.data))

in_artifact = wandb.Artifact("with-table", "predictions")
again = wandb.Table(columns=["n", "picture"], data=[[1, wandb.Image(first)]])
in_artifact.add(again, "deep/predictions")
run.log_artifact(in_artifact)
run.finish()
# The log is whole once the service has ended.
wandb.teardown()

# --- what became of it ---------------------------------------------------------------------------


def content(path):
    data = pathlib.Path(path).read_bytes()
    if path.endswith(".json") or data.isascii():
        return {"text": data.decode()}
    return {"base64": base64.b64encode(data).decode()}


def told(record):
    """The artifact's record, its files read, what is random replaced."""
    assert len(record["client_id"]) == len(record["sequence_client_id"]) == 128
    record.update(client_id="<varies>", sequence_client_id="<varies>", aliases=sorted(record.get("aliases", [])))
    record["manifest"] = dict(record["manifest"], contents=[entry(e) for e in record["manifest"].get("contents", [])])
    return record


def entry(entry):
    path = entry.pop("local_path", None)
    if path is None:
        return entry
    data = pathlib.Path(path).read_bytes()
    name = entry["path"]
    shown = name.endswith((".json", ".txt", ".bin"))
    return dict(entry, text=data.decode()) if shown else dict(entry, base64=base64.b64encode(data).decode())


def pathless(row):
    """In an order of its own: that of the SDK's items is random."""
    varies = ("artifact_path", "_latest_artifact_path")
    return {key: "<varies>" if key in varies else value for key, value in sorted(row.items())}


folder = next((work / "wandb").glob("offline-run-*-golden03"))
log = list(records(folder / "run-golden03.wandb"))
artifacts = [told(fields["artifact"]) for kind, fields in log if kind == "artifact"]
rows = []
for kind, fields in log:
    if kind == "history":
        row = nested(fields["history"]["item"])
        key = next(key for key in row if not key.startswith("_"))
        file = folder / "files" / row[key]["path"]
        rows.append(dict(key=key, step=row["_step"], value=pathless(row[key]),
                         keys=[path for path in row[key]["artifact_path"].split("/")[3:]],
                         text=file.read_text(encoding="utf-8")))


def shown(array):
    return dict(shape=list(array.shape), base64=base64.b64encode(array.tobytes()).decode())


inputs = dict(
    files={str(path.relative_to(given)): base64.b64encode(path.read_bytes()).decode() for path in sorted(given.rglob("*")) if path.is_file()},
    pixels={name: shown(array) for name, array in made_inputs.items()},
    masks={name: shown(one["mask_data"]) for name, one in made_masks.items()},
    table_pixels=[shown(array) for array in table_inputs],
    table_masks=[shown(one["mask_data"]) for one in table_masks],
    odd=ODD,
    escaped=ESCAPED,
    floats=[struct.pack(">d", value).hex() for value in FLOATS],
)
text = (
    '{\n"wandb": "0.31.0",\n'
    f'"inputs": {json.dumps(inputs, ensure_ascii=False)},\n'
    f'"refusals": {json.dumps(refusals)},\n"table_refusals": {json.dumps(table_refusals)},\n'
    f'"artifacts": [\n{json_lines(artifacts)}\n],\n"rows": [\n{json_lines(rows)}\n]\n}}\n'
)
(out / "artifacts_0.31.0.json").write_text(text, encoding="utf-8")
