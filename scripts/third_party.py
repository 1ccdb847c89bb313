#!/usr/bin/env python3
"""Writes THIRD-PARTY.md: the crates that a program with wandb-image is made of.

    scripts/third_party.py             write the file anew
    scripts/third_party.py --check     fail where it isn't what would be written
    scripts/third_party.py FEATURES    print the list with these features (candle, burn-train, …)

The crates of all systems together, by Cargo.lock. What tests and benchmarks alone need isn't in it.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "THIRD-PARTY.md"
SYSTEMS = [
    "x86_64-unknown-linux-gnu",
    "aarch64-unknown-linux-gnu",
    "aarch64-apple-darwin",
    "x86_64-pc-windows-msvc",
]
CRATES_IO = "registry+https://github.com/rust-lang/crates.io-index"

HEAD = """# Third-party crates

What a program with `wandb-image` is made of besides it, on Linux, macOS and Windows together, in \
the versions of `Cargo.lock`. "Build" is code that runs while the program is built, and isn't in it. \
Each crate comes from crates.io, and its package there holds the text of its licence. `deny.toml` \
says which licences may come in.

Written by `scripts/third_party.py`; `scripts/test.sh` fails where it is out of date. The frameworks \
are a program's own choice, and bring hundreds of crates: `scripts/third_party.py candle` (or \
`burn-train`, `tch`, several with commas) prints the list with one.
"""


def crates_on(system, features):
    """The crates as (name, version, licence), each with whether it is in the program."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", system]
    text = subprocess.run(
        command + ["--features", features], cwd=ROOT, check=True, stdout=subprocess.PIPE
    ).stdout
    metadata = json.loads(text)
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    root = metadata["resolve"]["root"]
    found = {}
    todo = [(root, True)]
    while todo:
        id, is_in_program = todo.pop()
        if found.get(id, False) or (id in found and not is_in_program):
            continue
        found[id] = is_in_program
        for dependency in nodes[id]["deps"]:
            kinds = {kind["kind"] for kind in dependency["dep_kinds"]} - {"dev"}
            target = packages[dependency["pkg"]]
            is_macro = any("proc-macro" in part["kind"] for part in target["targets"])
            if kinds:
                todo.append((dependency["pkg"], is_in_program and None in kinds and not is_macro))
    del found[root]
    return {of_package(packages[id]): is_in_program for id, is_in_program in found.items()}


def of_package(package):
    if package["source"] != CRATES_IO:
        sys.exit(f"{package['name']} is not from crates.io but from {package['source']}")
    # Some write a slash for OR, as cargo once took it.
    licence = (package["license"] or "see its package").replace("/", " OR ")
    return package["name"], package["version"], licence


def crates(features):
    found = {}
    for system in SYSTEMS:
        for crate, is_in_program in crates_on(system, features).items():
            found[crate] = found.get(crate, False) or is_in_program
    return found


def table(found):
    lines = ["| Crate | Version | Licence | Part of |", "| --- | --- | --- | --- |"]
    for (name, version, licence), is_in_program in sorted(found.items()):
        link = f"[{name}](https://crates.io/crates/{name}/{version})"
        part = "the program" if is_in_program else "build"
        lines.append(f"| {link} | {version} | {licence} | {part} |")
    return "\n".join(lines) + "\n"


def document():
    base = crates("")
    text = f"{HEAD}\n## Without a feature\n\n{table(base)}"
    for feature in ["ndarray", "cli"]:
        added = {
            crate: is_in_program
            for crate, is_in_program in crates(feature).items()
            if is_in_program > base.get(crate, -1)
        }
        text += f"\n## With `{feature}`, besides\n\n{table(added)}"
    return text


def main():
    match sys.argv[1:]:
        case []:
            FILE.write_text(document(), encoding="utf-8")
        case ["--check"]:
            if FILE.read_text(encoding="utf-8") != document():
                sys.exit("THIRD-PARTY.md is out of date: run scripts/third_party.py, and commit it")
        case [features] if not features.startswith("-"):
            print(table(crates(features)), end="")
        case _:
            sys.exit(__doc__)


main()
