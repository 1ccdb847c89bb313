"""History rows and records of real wandb 0.31.0 offline runs.

    history.py OUT_DIR WORK_DIR

Writes OUT_DIR/history_0.31.0.json and OUT_DIR/history.bin.
"""
import json
import pathlib
import sys

import numpy as np
import wandb

from run_log import Blob, json_lines, nested, records, stable_items, step_of

out, work = map(pathlib.Path, sys.argv[1:])
assert wandb.__version__ == "0.31.0", wandb.__version__

# What differs from machine to machine or run to run, wherever it occurs.
VARYING_FIELDS = {
    "mailbox_slot", "host", "start_time", "started_at", "os", "python", "python_version", "platform", "program",
    "code_path", "code_path_local", "root", "executable", "writer_id", "args", "cpu_count", "cpu_count_logical", "runtime",
}

rng = np.random.default_rng(20250101)
blob = Blob()
cases = []


def picture(*shape):
    return rng.integers(0, 256, shape or (10, 12, 3), dtype=np.uint8)


# --- what is logged ------------------------------------------------------------------------------


def log_image(run, name, key, pixels, **options):
    run.log({key: wandb.Image(pixels, **options)})
    cases.append(dict(name=name, key=key, step=run.step - 1, list=False, inputs=[blob.stored(pixels)], options=[options]))


def log_images(run, name, key, pictures, options=None):
    options = options or [{} for _ in pictures]
    run.log({key: [wandb.Image(p, **o) for p, o in zip(pictures, options)]})
    cases.append(dict(name=name, key=key, step=run.step - 1, list=True, inputs=[blob.stored(p) for p in pictures],
                      options=options))


def log_values(run, name, values):
    run.log(values)
    cases.append(dict(name=name, step=run.step - 1, values=marked(values)))


def marked(value):
    """JSON for a logged value; what JSON lacks is {"$float": "NaN"} or {"$f32": 0.1}."""
    if isinstance(value, dict):
        return {key: marked(v) for key, v in value.items()}
    if isinstance(value, list):
        return [marked(v) for v in value]
    if isinstance(value, np.float32):
        return {"$f32": float(value)}
    if isinstance(value, float) and not np.isfinite(value):
        return {"$float": {np.inf: "Infinity", -np.inf: "-Infinity"}.get(value, "NaN")}
    return value


ODD_TEXT = 'quote " backslash \\ tab \t line\nnext <b>&</b> é 漢 🖼 \u2028 \u007f'
CONFIG = {
    "lr": 0.1, "layers": 3, "flag": True, "name": "resnet", "nothing": None, "list": [1, 2.5, "x"],
    "nested": {"a": 1, "b": {"c": [1, 2]}}, "dotted.key": 1, "slash/key": 2, "odd": ODD_TEXT,
    "tiny": 1e-7, "large": 1e21, "whole_float": 2.0, "big_int": 2**53 + 1,
}

run = wandb.init(
    mode="offline", project="golden", id="golden01", name="golden run", group="the-group", job_type="train",
    notes="some notes", tags=["one", "two"], dir=str(work), config=CONFIG,
    settings=wandb.Settings(console="off", x_disable_stats=True, disable_git=True, save_code=False),
)
log_image(run, "caption", "sample", picture(), caption="a caption")
log_image(run, "no caption", "sample", picture())
log_image(run, "empty caption", "sample", picture(), caption="")
log_image(run, "odd caption", "sample", picture(), caption=ODD_TEXT)
log_image(run, "jpg", "sample", picture(), file_type="jpg")
log_image(run, "jpeg", "sample", picture(), file_type="jpeg")
log_image(run, "bmp", "sample", picture(), file_type="bmp", caption="a bitmap")
log_image(run, "gray", "gray", picture(10, 12))
log_image(run, "gray, one channel", "gray", picture(10, 12, 1))
log_image(run, "rgba", "rgba", picture(10, 12, 4))
log_image(run, "rgba as jpg", "rgba", picture(10, 12, 4), file_type="jpg")
log_image(run, "grouping", "sample", picture(), grouping=3)
log_image(run, "slash in key", "val/samples", picture(), caption="in a folder")
log_image(run, "dot in key", "val.samples", picture())
log_image(run, "leading slash in key", "/lead/samples", picture())
log_image(run, "dot segments in key", "a/../b/./c", picture())
log_image(run, "space in key", "my samples é", picture())
log_images(run, "list, captions", "list", [picture() for _ in range(3)],
           [{"caption": "one"}, {"caption": "two"}, {"caption": "three"}])
log_images(run, "list, no captions", "list", [picture() for _ in range(3)])
log_images(run, "list, caption on the second only", "list", [picture() for _ in range(3)],
           [{}, {"caption": "second"}, {}])
log_images(run, "list, caption on the first only", "list", [picture() for _ in range(2)], [{"caption": "first"}, {}])
log_images(run, "list, empty caption first", "list", [picture() for _ in range(2)], [{"caption": ""}, {"caption": "b"}])
log_images(run, "list of one", "list", [picture()], [{"caption": "alone"}])
log_images(run, "list, sizes differ", "list", [picture(10, 12, 3), picture(6, 5, 3)])
log_images(run, "list, jpg", "val/list", [picture() for _ in range(2)], [{"file_type": "jpg"}, {"file_type": "jpg"}])
log_images(run, "list, formats differ", "list", [picture() for _ in range(2)], [{}, {"file_type": "bmp"}])
same = picture()
log_images(run, "list, the same twice", "list", [same, same])
log_values(run, "nested keys", {"a": {"b": 1, "c": {"d": 2.5}}, "val/loss": 0.5, "dot.ted": 1})
log_values(run, "not finite", {"nan": float("nan"), "inf": float("inf"), "minus_inf": float("-inf")})
log_values(run, "not finite in a list", {"list": [1.0, float("nan"), float("inf"), float("-inf")]})
log_values(run, "kinds", {"yes": True, "no": False, "text": "some text", "none": None, "numbers": [1, 2.5, -3],
                          "texts": ["a", "b"], "empty_list": [], "empty_text": ""})
log_values(run, "odd text", {"odd": ODD_TEXT})
log_values(run, "numbers", {"zero": 0, "minus": -3, "whole_float": 2.0, "tenth": 0.1, "third": 1 / 3, "tiny": 1e-7,
                            "small": 1e-6, "large": 1e20, "larger": 1e21, "big_int": 2**53 + 1, "max_i64": 2**63 - 1,
                            "f32": np.float32(0.1), "minus_zero": -0.0, "smallest": 5e-324, "greatest": 1.7976931348623157e308})
log_values(run, "lists in lists", {"rows": [[1, 2], [3, 4]], "objects": [{"a": 1}, {"b": None}]})
log_values(run, "empty object", {"empty": {}, "x": 1})
run.log({"loss": 0.25}, commit=False)
log_image(run, "image and scalar of two calls, one step", "sample", picture(), caption="merged")
run.log({"jump": 1}, step=100)
run.log({"also": 2}, step=100)
cases.append(dict(name="explicit step, two calls", step=100, values={"jump": 1, "also": 2}))
run.log({"after": 1}, step=101)
cases.append(dict(name="the step after", step=101, values={"after": 1}))
run.config["later"] = {"a": 1, "b": [True, None]}
run.config.update({"lr": 0.2, "late.dot": "x"}, allow_val_change=True)
run.summary["best"] = 0.75
run.summary["text"] = "done"
run.summary["nested"] = {"a": {"b": 1}}
run.summary["nan"] = float("nan")
run.finish(exit_code=3)
# finish() may return before the log's last block is on disk; wandb-core writes it before it exits.
wandb.teardown()


# --- reading the log -----------------------------------------------------------------------------


def stable(value):
    """A record with what varies replaced."""
    if isinstance(value, list):
        return [stable(v) for v in value]
    if not isinstance(value, dict):
        return value
    return {
        k: "<varies>" if k in VARYING_FIELDS else stable_items(v) if k in ("update", "item") else stable(v)
        for k, v in value.items()
    }


(log,) = work.glob("wandb/offline-run-*/run-golden01.wandb")
rows, log_records = {}, []
for kind, fields in records(log):
    if kind == "history":
        step = step_of(fields["history"])
        rows[step] = stable_items(fields["history"]["item"])
        log_records.append(dict(type=kind, step=step, step_field=fields["history"].get("step")))
    else:
        log_records.append(dict(type=kind, **stable(fields)))

for case in cases:
    case["items"] = rows[case["step"]]
    case["row"] = nested(case["items"])

(out / "history.bin").write_bytes(blob.bytes)
(out / "history_0.31.0.json").write_text(
    '{"sdk":"0.31.0",\n"config":' + json.dumps(CONFIG, ensure_ascii=False)
    + ',\n"cases":[\n' + json_lines(cases) + '\n],\n"records":[\n' + json_lines(log_records) + "\n]}\n",
    encoding="utf-8",
)
