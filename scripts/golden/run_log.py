"""Reading the log of an offline run, and bytes stored beside a golden file."""
import json
import struct

from google.protobuf.json_format import MessageToDict
from wandb.proto import wandb_internal_pb2 as pb

# What the clock makes, in history rows and summaries.
VARYING_ITEMS = {("_runtime",), ("_timestamp",), ("_wandb", "runtime")}


class Blob:
    """The .bin beside a golden file."""

    def __init__(self):
        self.bytes = bytearray()

    def stored(self, pixels):
        """Where the array's bytes are, in C order and little endian."""
        offset = len(self.bytes)
        pixels = pixels.astype(pixels.dtype.newbyteorder("<"))
        self.bytes.extend(pixels.tobytes())
        kind = {"b": "bool"}.get(pixels.dtype.kind, f"{pixels.dtype.kind}{8 * pixels.dtype.itemsize}")
        return dict(shape=list(pixels.shape), dtype=kind, offset=offset, len=pixels.nbytes)


def payloads(data):
    """Each record's bytes: LevelDB log framing after a 7-byte file header."""
    pos, whole = 7, b""
    while pos < len(data):
        left = 32768 - pos % 32768
        if left < 7:
            pos += left
            continue
        _, length, kind = struct.unpack("<IHB", data[pos : pos + 7])
        whole, pos = whole + data[pos + 7 : pos + 7 + length], pos + 7 + length
        if kind in (1, 4):
            yield whole
            whole = b""


def records(path):
    """Each record as its kind and its fields; the last must be the exit."""
    kind = None
    for raw in payloads(path.read_bytes()):
        record = pb.Record()
        record.ParseFromString(raw)
        kind = record.WhichOneof("record_type")
        fields = MessageToDict(record, preserving_proto_field_name=True)
        fields.pop("num")
        yield kind, fields
    assert kind == "exit", "the log is not whole"


def step_of(history):
    return int(history.get("step", {}).get("num", 0))


def parsed(value_json):
    return json.loads(value_json, parse_int=lambda word: -0.0 if word == "-0" else int(word),
                      parse_constant=lambda word: {"$float": word})


def item_path(item):
    return tuple(item.get("nested_key") or [item["key"]])


def stable_items(items):
    """The SDK's order of items is random; here they are sorted, and the clock's values replaced."""
    items = sorted(items, key=item_path)
    return [{**i, "value_json": "<varies>"} if item_path(i) in VARYING_ITEMS else i for i in items]


def nested(items):
    row = {}
    for item in items:
        *parents, last = item_path(item)
        place = row
        for parent in parents:
            place = place.setdefault(parent, {})
        varies = item_path(item) in VARYING_ITEMS
        place[last] = "<varies>" if varies else parsed(item["value_json"])
    return row


def json_lines(values):
    return ",\n".join(json.dumps(value, ensure_ascii=False, allow_nan=False) for value in values)
