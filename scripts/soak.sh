#!/usr/bin/env bash
# The long form of the tests of what a crash, a fault and hostile input cost: by hand, or each
# night. About an hour and a half on two cores, and a table at the end.
#
#   scripts/soak.sh [OPTION…] [SECTION…]     all sections by default, in this order:
#
#   kills    a run is killed at random moments: what it confirmed is there, and arrives
#   resumes  a run is killed and goes on, again and again
#   faults   disks that are full, folders that vanish, handles that run out
#   torn     logs that are cut and changed at every byte
#   load     a run under constant load: what it holds, and the memory that it takes
#   models   threads in every order that loom finds, and in orders that shuttle draws
#   miri     the pipeline's own tests under Miri
#   threads  the pipeline's own tests under ThreadSanitizer
#   fuzz     every target of fuzz/; new inputs go to fuzz/corpus/
#
#   --quick          everything, in minutes
#   --kills N        kills (200), and --resumes N (40), --faults N rounds (20)
#   --load MINUTES   of constant load (5)
#   --fuzz MINUTES   a target (10)
#
# A section that needs what this machine lacks says so. Where one fails, the others follow, its
# output is shown with its seed (WANDB_IMAGE_SEED takes it), and the exit status is 1. It needs
# what scripts/test.sh core needs; WANDB_IMAGE_PYTHON names an interpreter that has wandb already.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh

kills=200 resumes=40 faults=20 load_s=300 fuzz_s=600 torn=long
all=(kills resumes faults torn load models miri threads fuzz)
sections=()

usage() {
    sed -nE '2,/^set /s/^# ?//p' "$0"
    exit 2
}

positive() {
    [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || { echo "$1 takes a number of at least 1" >&2; exit 2; }
}

while [[ $# -gt 0 ]]; do
    case $1 in
        --quick) kills=10 resumes=3 faults=1 load_s=10 fuzz_s=10 torn=short ;;
        --kills) positive "$@"; kills=$2; shift ;;
        --resumes) positive "$@"; resumes=$2; shift ;;
        --faults) positive "$@"; faults=$2; shift ;;
        --load) positive "$@"; load_s=$(($2 * 60)); shift ;;
        --fuzz) positive "$@"; fuzz_s=$(($2 * 60)); shift ;;
        *) [[ " ${all[*]} " == *" $1 "* ]] || usage; sections+=("$1") ;;
    esac
    shift
done
[[ ${#sections[@]} -gt 0 ]] || sections=("${all[@]}")

# ---- sections ----

# Tests of the one binary, built for release; there must be some.
run_tests() {
    cargo test --locked --release --test it -- --nocapture "$@"
}

kills() {
    WANDB_IMAGE_KILLS=$kills run_tests kill::
}

resumes() {
    WANDB_IMAGE_RESUMES=$resumes run_tests resume::
}

faults() {
    local round
    for round in $(seq "$faults"); do
        echo "round $round of $faults"
        run_tests faults::
    done
}

torn() {
    WANDB_IMAGE_TORN=$torn run_tests torn::
}

load() {
    WANDB_IMAGE_LOAD_SECONDS=$load_s run_tests --ignored --exact load::a_run_holds_a_constant_load
}

# Their build folder is one of its own, as in scripts/test.sh.
models() {
    local flags
    for flags in "--cfg loom" "--cfg loom --cfg shuttle"; do
        RUSTFLAGS=$flags CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/models \
            cargo test --locked --release --lib -- --nocapture loom::
    done
}

miri() {
    MIRIFLAGS=-Zmiri-disable-isolation cargo +nightly miri test --locked --lib pipeline::
}

threads() {
    RUSTFLAGS=-Zsanitizer=thread CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/threads \
        cargo +nightly test --locked -Zbuild-std --target "$(host)" --lib pipeline::
}

fuzz() {
    scripts/fuzz.sh "$fuzz_s"
}

host() {
    rustc +nightly --version --verbose | awk '/^host:/ { print $2 }'
}

# Why a section can't run here; nothing where it can.
lack() {
    local module
    case $1 in
        kills) module=kill ;;
        resumes) module=resume ;;
        faults | torn | load) module=$1 ;;
        models) grep -q '^loom' Cargo.toml || echo "no models: loom isn't among the dependencies" ;;
        miri) has cargo +nightly miri --version ||
            echo "no Miri: rustup +nightly component add miri" ;;
        threads)
            if ! has cargo +nightly --version; then
                echo "no nightly compiler: rustup toolchain install nightly"
            elif [[ ! -d $(rustc +nightly --print sysroot)/lib/rustlib/src/rust/library ]]; then
                echo "no sources of the standard library: rustup +nightly component add rust-src"
            fi ;;
        fuzz)
            if [[ ! -x scripts/fuzz.sh ]]; then
                echo "no scripts/fuzz.sh"
            elif ! has cargo +nightly --version; then
                echo "no nightly compiler: rustup toolchain install nightly"
            fi ;;
    esac
    [[ -z ${module:-} ]] || grep -q "^mod $module;" tests/it/main.rs || echo "no tests/it/$module.rs"
}

# ---- running them ----

# What a section's output has to do with its failure: the failed tests, else its end.
show_failure() {
    echo "the output of $1, from its first failure on:"
    sed -n '/panicked at\|^error/,$p' "$work/$1.log" | head -n 60
    grep -h '^seed ' "$work/$1.log" | sed 's/^seed \([0-9]*\).*/again: WANDB_IMAGE_SEED=\1/' || true
}

# section NAME
section() {
    local name=$1 began=$SECONDS status=0 reason
    reason=$(lack "$name")
    if [[ -n $reason ]]; then
        printf '\n==> %s: SKIPPED: %s\n' "$name" "$reason"
        printf '%s\tskipped\t0\t%s\n' "$name" "$reason" >>"$work/results"
        return
    fi
    printf '\n==> %s, after %s\n' "$name" "$(clock "$SECONDS")"
    export WANDB_IMAGE_SOAK_REPORT=$work/$name.report
    (set -e; "$name") >"$work/$name.log" 2>&1 &
    watch "$name" $! || status=$?
    # What some of its tests left out.
    grep -h '^SKIPPED: ' "$work/$name.log" | sort -u || true
    if [[ $status -eq 0 && $name != fuzz ]] && ! grep -q 'test result: ok\. [1-9]' "$work/$name.log"; then
        echo "no test of $name ran" | tee -a "$work/$name.log"
        status=1
    fi
    if [[ $status -ne 0 ]]; then
        failed+=("$name")
        show_failure "$name"
    fi
    printf '%s\t%s\t%s\t\n' "$name" "$([[ $status -eq 0 ]] && echo passed || echo failed)" $((SECONDS - began)) >>"$work/results"
}

# Shows how far a section is until it ends.
watch() {
    local name=$1 process=$2 shown=$SECONDS
    while kill -0 "$process" 2>/dev/null; do
        sleep 1
        if ((SECONDS - shown >= 30)); then
            shown=$SECONDS
            printf '    %s  %s\n' "$(clock "$SECONDS")" "$(tail -n 1 "$work/$name.log" | cut -c 1-120)"
        fi
    done
    wait "$process"
}

# What the sections reported and what cargo said, as Markdown.
table() {
    "$(find_python)" - "$work" <<'PYTHON'
import re, sys
from pathlib import Path

work = Path(sys.argv[1])
KNOWN = ("rows_confirmed", "rows_found", "files_checked")
ASIDE = ("seed", "seconds", "target", "cov", "peak_mib", "growth_mib", "pictures_side")

def reported(name):
    """The sums of what a section's lines say, and how many lines there are."""
    path, sums, texts, lines = work / f"{name}.report", {}, {}, 0
    for line in path.read_text().splitlines() if path.exists() else []:
        lines += 1
        for key, value in re.findall(r"(\w+)=(\S+)", line):
            texts[key] = value
            if re.fullmatch(r"\d+", value):
                sums[key] = sums.get(key, 0) + int(value)
    return sums, texts, lines

def load(sums, texts):
    if "load_rows_per_s" not in texts:
        return "—"
    held = f"{texts['load_rows_per_s']} rows/s and {texts['load_pictures_per_s']} pictures/s held"
    return (f"{held}, of {texts['asked_rows_per_s']} and {texts['asked_pictures_per_s']} asked for; "
            f"{texts['peak_mib']} MiB at most, {texts['growth_mib']} MiB from the first quarter to the last")

def faults(name, sums, lines):
    apart = [key for key in sums if key not in KNOWN + ASIDE and "_per_s" not in key]
    said = [f"{sums[key]:,} {key.replace('_', ' ')}" for key in apart]
    log = (work / f"{name}.log").read_text(errors="replace")
    passed = sum(map(int, re.findall(r"test result: ok\. (\d+) passed", log)))
    orders = sum(map(int, re.findall(r"^(\d+) orders", log, re.M)))
    tests = "test" if passed == 1 else "tests"
    said += [f"{lines} targets"] if name == "fuzz" else [f"{passed} {tests} passed"]
    said += [f"{orders:,} orders of threads"] if orders else []
    return ", ".join(said)

print("| section | load held | faults injected | rows confirmed | rows found | files checked | time |")
print("| --- | --- | --- | ---: | ---: | ---: | ---: |")
seen = set()
for line in (work / "results").read_text().splitlines():
    name, status, seconds, reason = line.split("\t")
    if name in seen:
        continue
    seen.add(name)
    time = f"{int(seconds) // 60}:{int(seconds) % 60:02}"
    if status == "skipped":
        print(f"| {name} | — | not run: {reason} | — | — | — | — |")
        continue
    sums, texts, lines = reported(name)
    cells = [load(sums, texts), faults(name, sums, lines)]
    cells += [f"{sums[key]:,}" if key in sums else "—" for key in KNOWN]
    title = name if status == "passed" else f"{name}: FAILED"
    print("| " + " | ".join([title, *cells, time]) + " |")
PYTHON
}

enter_environment
work=$(mktemp -d "${TMPDIR:-/tmp}/soak.XXXXXX")
trap 'rm -rf -- "$work"' EXIT
mkdir "$work/tmp"
export TMPDIR=$work/tmp
failed=()

has cargo --version || { echo "cargo is not on the PATH: install Rust, https://rustup.rs"; exit 1; }
has find_python || { echo "no Python 3.11 or later with its venv module (Debian: python3-venv)"; exit 1; }
if [[ -z ${WANDB_IMAGE_PYTHON:-} ]]; then
    install_client
    export WANDB_IMAGE_PYTHON=$tools/wandb-$wandb_version/bin/python
fi
cargo --version
printf '\n==> build\n'
cargo test --locked --release --test it --no-run

for name in "${sections[@]}"; do
    section "$name"
done
printf '\n==> Table (%s, %s processors, %s in all)\n\n' "$(uname -sm)" "$(getconf _NPROCESSORS_ONLN)" "$(clock "$SECONDS")"
table
if [[ ${#failed[@]} -gt 0 ]]; then
    printf '\nFAILED: %s\n' "${failed[*]}"
    exit 1
fi
