"""Prints what compare.py measured as Markdown: table.py FILE"""

import json
import sys
from pathlib import Path
from statistics import median

MIB = 2**20
QUEUE = 256 * MIB  # the default bound of the queue


def spread(values, form="{:.2f}"):
    """The median, and between which values it lies."""
    text = form.format(median(values))
    return text if len(values) == 1 else f"{text} ({form.format(min(values))} to {form.format(max(values))})"


def times(values):
    """Ratios, with as many digits as they deserve."""
    return spread(values, "{:.0f}" if median(values) >= 20 else "{:.1f}" if median(values) >= 2 else "{:.2f}")


def rate(run):
    return run["pictures"] / run["seconds"]


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


# ---- the rows of the first table: each is what, measured, reach ----


def callers(rounds):
    python = [median(turn["python"]["log_s"]) for turn in rounds]
    for way, said in (("drained", "after a flush"), ("paced", "after 100 ms of rest")):
        ticks = [median(turn[way]["tick_s"]) for turn in rounds]
        slowest = max(max(turn[way]["tick_s"]) for turn in rounds)
        fresh = [median(turn[way]["fresh_copy_s"]) for turn in rounds]
        warm = [median(turn[way]["warm_copy_s"]) for turn in rounds]
        what = f"time in the caller of a due tick, 16×3×256² f32 of candle, {said}"
        ms = [tick * 1e3 for tick in ticks]
        yield what, f"{spread(ms)} ms; the slowest {slowest * 1e3:.1f} ms", ""
        python_ms = spread([seconds * 1e3 for seconds in python], "{:.0f}")
        yield f"— Python's `run.log` of them ({python_ms} ms) ÷ that", times([p / t for p, t in zip(python, ticks)]), "≥ 200"
        yield "— that ÷ a `Vec::clone` of the bytes", times([t / c for t, c in zip(ticks, fresh)]), "≤ 1"
        yield "— that ÷ a copy of the bytes into memory used before", times([t / c for t, c in zip(ticks, warm)]), ""


def idle(rounds):
    yield "time of a tick that isn't due", spread([turn["tick_s"] * 1e9 for turn in rounds], "{:.1f}") + " ns", "< 50 ns"


def pixels(rounds):
    ratios = [median(turn["pixels_s"]) / median(turn["copy_s"]) for turn in rounds]
    ms = spread([median(turn["pixels_s"]) * 1e3 for turn in rounds])
    yield f"f32 (C, H, W) to u8 (H, W, C) with `MinMax`, 3×1024², one core ({ms} ms) ÷ a copy of the source", times(ratios), "≤ 1.5"


def memory(name, run, reach):
    last = run["blocks"][-1]
    pictures = sum(block["pictures"] for block in run["blocks"])
    grown = (last["peak_bytes"] - run["before_bytes"]) / MIB
    measured = f"{grown:.0f} MiB over the {run['before_bytes'] / MIB:.0f} MiB before the run"
    yield f"peak memory over {pictures:,} pictures of 256², {name}", measured, reach


def growth(run):
    first, last = run["blocks"][0], run["blocks"][-1]
    per_picture = [block["seconds"] / block["pictures"] for block in (first, last)]
    pictures = sum(block["pictures"] for block in run["blocks"])
    what = f"time per picture, last {last['pictures']:,} of {pictures:,} ÷ first {first['pictures']:,} (JPEG)"
    yield what, f"{per_picture[1] / per_picture[0]:.3f}", "≤ 1.10"
    open_files = sorted({block["open_files"] for block in run["blocks"]})
    yield "open files at the end of each tenth of it", " to ".join(map(str, {open_files[0]: 0, open_files[-1]: 0})), "constant"


def training(rounds, said):
    def against_off(way):
        return [(turn[way]["seconds"] / turn["off"]["seconds"] - 1) * 100 for turn in rounds]

    off = spread([turn["off"]["seconds"] for turn in rounds], "{:.1f}")
    what = f"candle_digits' loop with sampling every 10 steps, against sampling off ({off} s), {said}"
    yield what, spread(against_off("logged"), "{:+.1f}") + " %", "≤ +3 %"
    yield "— of it, computing the sampled tensors, which any library needs", spread(against_off("computed"), "{:+.1f}") + " %", ""


def sustained(kinds):
    """Over the kinds that could be measured."""
    for said, belongs, reach in GROUPS:
        ratios = [median(ratios_of(kind)) for name, kind in kinds.items() if belongs(*name.split())]
        if ratios:
            what = f"pictures per second from tensor to disk ÷ Python's, {said}"
            yield what, " to ".join(sorted({f"{ratio:.1f}" for ratio in (min(ratios), max(ratios))}, key=float)), reach
    png = [kind for name, kind in kinds.items() if name.endswith("png")]
    if png:
        whole = sum(batch_bytes(kind, "ours") for kind in png) / sum(batch_bytes(kind, "python") for kind in png)
        yield "bytes of the PNG files, whole set ÷ Pillow's", f"{whole:.2f}", "≤ 1.10"
        yield "— of the kind with the greatest ratio", f"{max(map(size_ratio, png)):.2f}", "≤ 1.30"


GROUPS = [
    ("PNG, photographs of 256² and more", lambda kind, file: file == "png" and is_large_photo(kind), "≥ 25"),
    ("PNG, photographs of 32²", lambda kind, file: file == "png" and kind == "photo-32", "≥ 10"),
    ("PNG, noise, flat shapes and digits", lambda kind, file: file == "png" and not kind.startswith("photo"), ""),
    ("JPEG, all", lambda _, file: file == "jpg", "≥ 4"),
]


def is_large_photo(kind):
    return kind.startswith("photo") and kind != "photo-32"


def batch_bytes(kind, side):
    run = kind["rounds"][0][side]
    return run["bytes"] / run["pictures"] * kind["batch"]


def size_ratio(kind):
    return batch_bytes(kind, "ours") / batch_bytes(kind, "python")


def ratios_of(kind):
    return [rate(turn["ours"]) / rate(turn["python"]) for turn in kind["rounds"]]


def summary(found):
    parts = {
        "callers": callers,
        "idle": idle,
        "sustained": sustained,
        "pixels": pixels,
        "long png": lambda run: memory("PNG", run, f"≤ {QUEUE // MIB + 64} MiB"),
        "long jpg": lambda run: [*memory("JPEG", run, "the same"), *growth(run)],
        "training": lambda rounds: training(rounds, "all cores"),
        "training one thread": lambda rounds: training(rounds, "training on one thread"),
    }
    for name, rows in parts.items():
        if found.get(name):
            yield from rows(found[name])
    for name, error in found.get("errors", {}).items():
        yield name, f"not measured: {error}", ""


def by_name(found):
    """The sustained runs, by kind and file type."""
    prefix = "sustained "
    return {name.removeprefix(prefix): kind for name, kind in found.items() if name.startswith(prefix)}


# ---- the second table: by kind ----


def by_kind(kinds):
    for name, kind in kinds.items():
        ours, python = ([rate(turn[side]) for turn in kind["rounds"]] for side in ("ours", "python"))
        same = "" if kind["worst"] is None else "/".join(str(kind["worst"][side]) for side in ("ours", "python"))
        yield name, f"{median(python):,.0f}", f"{median(ours):,.0f}", times(ratios_of(kind)), f"{size_ratio(kind):.2f}", same


def heading(found):
    machine = found["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in found.get("versions", {}).items())
    yield f"{machine['cpu']}, {machine['cores']} cores, {machine['memory']}; {machine['os']}; {machine['rust']}; {versions}."
    others = f"other programs took {found['others'] * 100:.0f} % of the processors"
    yield f"wandb-image at {machine['commit']}; {machine['date']}; {found['seconds'] / 60:.0f} minutes, of which {others}."
    if found["others"] > 0.05:
        yield "**The machine was not idle: take these figures with care.**"
    if found["quick"]:
        yield "**Quick mode: few repetitions, smaller runs. For development, not to be quoted.**"


def main():
    found = json.loads(Path(sys.argv[1]).read_text())
    found["sustained"] = by_name(found)
    print("\n".join(heading(found)), end="\n\n")
    print(table(["what", "measured: median (least to greatest)", "to reach"], summary(found)), end="\n\n")
    if found["sustained"]:
        head = ["kind", "Python, pictures/s", "here, pictures/s", "ratio", "bytes ÷ Python's", "greatest difference from the input, here/Python"]
        print(table(head, by_kind(found["sustained"])))


if __name__ == "__main__":
    main()
