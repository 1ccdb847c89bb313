#!/usr/bin/env bash
# This crate and the Python SDK side by side: what logging pictures costs each, on the same
# pictures, on this machine, by turns in one run. Prints Markdown: the README's figures.
#
#   benches/compare.sh [--quick]     about 20 minutes on two cores; --quick: about 3
#
# It needs Rust, Linux and Python 3.11. The first time it installs wandb 0.31.0 and torch 2.9.0
# from PyPI into .tools/ (or $WANDB_IMAGE_TOOLS): about 7 GB, since PyPI's torch for Linux can't
# be imported without the CUDA libraries it links to; no GPU is used. An interpreter that has
# both already is taken from WANDB_IMAGE_BENCH_PYTHON. The runs go to a folder below TMPDIR,
# which needs 3 GB for a while. Figures are reported, never judged: whatever they are, it ends
# well. Close other programs before it; the load is printed with the figures.
#
# The pictures (compare/inputs.py), f32 from 0 to 255, read by both from the same files: crops of
# two photographs (16 of 256², 64 of 32², 4 of 512², 1 of 1024²; what is larger than the
# photograph is filled up by its mirror image), uniform noise, flat shapes, handwritten digits.
# Both draw the same pixels of them, which is checked: here by MinMax, the default, which looks for
# the range first; in Python by a cast, which is all that SDK 0.31 does.
#
# Two squares of 8² in each picture hold the number of its row, since this crate stores once what
# is the same.
#
# What is measured:
#
# - Time in the caller of a due tick: the tick alone, of a candle tensor on the CPU with its
#   pictures as a list. Once with nothing queued (a flush before each), once after 100 ms of rest.
#   Python: run.log with a wandb.Image of each tensor, made there. Beside it, after the same rest, a
#   Vec::clone of the same bytes, and a copy of them into memory used before.
# - A tick that isn't due: a loop of five million.
# - Pictures per second: rows of the same pictures as fast as they go, for 2.5 seconds or more a
#   repetition, from the first tick to the end of finish, every picture on disk (counted). wandb's
#   service process and this crate's workers use what cores there are.
# - Bytes: the PNG files of one batch of each kind, against those that Python wrote (Pillow's
#   default level).
# - Pixels: Image::pixels of a HostTensor on one thread, the memory for the pixels included, the
#   snapshot not; against a copy of the source into memory used before.
# - Memory: VmHWM less VmRSS before the run starts, in a process of its own: 10,000 pictures as
#   PNG, then 100,000 as JPEG (1.1 GB of files; as PNG they would be ten times that).
# - Growth: of the 100,000, the last 10,000 against the first, each until flushed; all files stay.
# - Training: the model and samples of examples/candle_digits.rs, 100 steps, sampling every 10
#   against none; the loss is logged in both, and the end of the run isn't part of it. A third loop
#   computes what is sampled and drops it. The three take turns fifteen times: on all cores, and
#   with candle held to one thread, which leaves another to the encoding.
#
# Every ratio is one of medians within a round, ours and Python's by turns; five rounds (quick: two)
# give the median and the spread that are printed.
set -euo pipefail

usage() {
    echo "usage: $0 [--quick]" >&2
    exit 2
}

quick=()
case ${1:-} in
    "") ;;
    --quick) quick=(--quick) ;;
    *) usage ;;
esac
[[ $# -le 1 ]] || usage
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools=${WANDB_IMAGE_TOOLS:-$PWD/.tools}
packages=(wandb==0.31.0 torch==2.9.0 numpy==2.3.4 pillow==13.0.0)

say() {
    printf '%s\n' "$*" >&2
}

# The Python that torch 2.9.0 has wheels for, and that was measured with first.
find_python() {
    command -v python3.11 || command -v python3 || { say "python3 is not installed"; return 1; }
}

install_sdk() {
    local venv=$1
    say "installing ${packages[*]} into $venv (about 7 GB)"
    rm -rf -- "$venv"
    "$(find_python)" -m venv "$venv"
    "$venv/bin/python" -m pip install --disable-pip-version-check --no-input --no-cache-dir --quiet \
        --progress-bar off "${packages[@]}" >&2
    touch "$venv/ready"
}

# The interpreter that has the SDK.
find_sdk() {
    local venv=$tools/compare-wandb-0.31.0
    if [[ -n ${WANDB_IMAGE_BENCH_PYTHON:-} ]]; then
        echo "$WANDB_IMAGE_BENCH_PYTHON"
        return
    fi
    [[ -e $venv/ready ]] || install_sdk "$venv"
    echo "$venv/bin/python"
}

# Builds the Rust side and says where it lies. $1 is the interpreter that reads cargo's answer.
build() {
    cargo bench --locked --no-run --features candle-bench --bench speed --message-format=json |
        "$1" -c 'import json, sys
print([m["executable"] for m in map(json.loads, sys.stdin)
       if m.get("executable") and m["target"]["name"] == "speed"][-1])'
}

python=$(find_sdk)
program=$(build "$python")
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
results=${CARGO_TARGET_DIR:-target}/compare.json
"$python" benches/compare/compare.py --program "$program" --work "$work/runs" --out "$results" "${quick[@]}"
say "all that was measured is in $results"
"$python" benches/compare/table.py "$results"
