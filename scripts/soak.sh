#!/usr/bin/env bash
# The long form of the tests of what a crash, a fault and hostile input cost: by hand, or each
# night. About two hours on two cores, and a table at the end.
#
#   scripts/soak.sh [OPTION…] [SECTION…]     all sections by default, in this order:
#
#   kills    a run is killed at random moments: what it confirmed is there, and arrives
#   resumes  a run is killed and goes on, again and again
#   faults   disks that are full, folders that vanish, handles that run out
#   torn     logs that are cut and changed at every byte
#   load     a run under constant load, a table of many rows and an artifact of many files: what
#            they hold, and the memory that they take
#   models   threads in every order that loom finds, and in orders that shuttle draws
#   miri     the core's own tests under Miri
#   threads  the core's tests, and those of its threads and processes, under ThreadSanitizer
#   fuzz     every target of fuzz/, from a copy of fuzz/corpus/; it says where new inputs are
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

kills=200 resumes=40 faults=20 load_s=300 many=100000 fuzz_s=600 torn=long
# Of a program: loom's interruptions and seconds, and the orders that shuttle draws.
loom_preemptions=2 loom_s=45 shuttle_orders=100000
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
        --quick) kills=10 resumes=3 faults=1 load_s=10 many=2000 fuzz_s=10 torn=short loom_preemptions=1 loom_s=3 shuttle_orders=1000 ;;
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
    WANDB_IMAGE_ARTIFACT_KILLS=$kills run_tests artifact_disk::killed::
}

resumes() {
    WANDB_IMAGE_RESUMES=$resumes run_tests resume::
}

faults() {
    local round
    if can_mount; then
        export WANDB_IMAGE_REQUIRE_FAULTS=1
    fi
    for round in $(seq "$faults"); do
        echo "round $round of $faults"
        run_tests faults::
    done
}

# Whether the tests can mount a small disk, and so must not leave it out.
can_mount() {
    [[ $(uname -s) == Linux ]] && { [[ $(id -u) -eq 0 ]] || has unshare -m true; }
}

torn() {
    WANDB_IMAGE_TORN=$torn run_tests torn::
}

load() {
    WANDB_IMAGE_LOAD_SECONDS=$load_s run_tests --ignored --exact load::a_run_holds_a_constant_load
    WANDB_IMAGE_TABLE_ROWS=$many WANDB_IMAGE_ARTIFACT_FILES=$many run_tests artifact_disk::memory::
}

models() {
    LOOM_MAX_PREEMPTIONS=$loom_preemptions LOOM_MAX_DURATION=$loom_s run_models
    SHUTTLE_ORDERS=$shuttle_orders run_models --features shuttle-test
}

# Under both of these a backtrace takes a minute, and tests panic as planned.

# CONTRIBUTING.md, "Concurrency", says why so little.
miri() {
    local left_out=(
        # Too many rounds: 144,000, and 10,000.
        nothing_is_lost_or_counted_twice_in_any_order
        a_seeded_choice
        # Too much text: megabytes.
        long_values_count_and_a_few_scalars_do_not
        a_part_is_short_and_takes_little_memory
        of_a_value_in_several_parts
        a_summary_that_goes_on_elsewhere
        # Folders of temporary files, which Miri can't open.
        pipeline::writer::artifacts::
        what_was_written_of_an_artifact_that_fails_counts_as_written
    )
    with_miri --lib -- pipeline:: run:: sample::choose sample::every sink::wire "${left_out[@]/#/--skip=}"
    # Whole runs in memory, whose rows hold no picture.
    with_miri --test it -- --exact \
        flush::a_flush_comes_between_rows_that_never_pause \
        run::log_counts_steps run::log_counts_from_the_starting_step \
        run::log_closes_an_open_row run::log_at_gathers_a_step_into_one_row \
        run::the_last_clone_finishes_the_run \
        run::a_full_disk_fails_that_row_alone
}

with_miri() {
    MIRIFLAGS=-Zmiri-disable-isolation CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/miri \
        RUST_BACKTRACE=0 cargo +nightly miri test --locked "$@"
}

threads() {
    local left_out=(
        # One thread each, and many rounds or much memory: minutes, for nothing to see.
        nothing_is_lost_or_counted_twice_in_any_order
        every_effort_is_lossless_and_repeatable_and_best_is_the_smallest
        little_is_not_kept_and_much_neither
        values_are_limited
        values_are_as_deep_as_a_stack_allows
        # Whole runs, one for each call to the disk: many minutes. Others of the kind stay.
        a_fault_at_any_call_costs_what_it_hit_alone
        without_fsync_a_loss_of_power_is_seen
    )
    with_threads --lib -- "${left_out[@]/#/--skip=}"
    # What has threads of its own, or processes that have; but for 75 MiB of text, which take longer
    # to flush than the test waits.
    with_threads --test it -- --skip=a_summary_that_is_too_long_for_a_record pipeline:: flush:: run:: sample:: faults:: kill:: resume::
}

# A process that is about to be killed ends at its first report instead, and its test fails.
with_threads() {
    RUSTFLAGS=-Zsanitizer=thread CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/threads \
        RUST_BACKTRACE=0 TSAN_OPTIONS=halt_on_error=1 cargo +nightly test --locked -Zbuild-std --target "$(host)" "$@"
}

fuzz() {
    cp -R fuzz/corpus "$found/corpus"
    WANDB_IMAGE_FUZZ_FOLDER=$found scripts/fuzz.sh "$fuzz_s"
}

host() {
    rustc +nightly --version --verbose | awk '/^host:/ { print $2 }'
}

# What a section lacks that builds the standard library.
lack_nightly() {
    if ! has cargo +nightly --version; then
        echo "no nightly compiler: rustup toolchain install nightly"
    elif [[ ! -d $(rustc +nightly --print sysroot)/lib/rustlib/src/rust/library ]]; then
        echo "no sources of the standard library: rustup component add rust-src --toolchain nightly"
    fi
}

# Why a section can't run here; nothing where it can.
lack() {
    local module
    case $1 in
        kills) module=kill ;;
        resumes) module=resume ;;
        faults | torn) module=$1 ;;
        load)
            module=load
            [[ $(uname -s) == Linux ]] || echo "no /proc, which says how much memory is taken" ;;
        models) grep -q '^loom' Cargo.toml || echo "no models: loom isn't among the dependencies" ;;
        miri)
            if ! has cargo +nightly --version || has cargo +nightly miri --version; then
                lack_nightly
            else
                echo "no Miri: rustup component add miri --toolchain nightly"
            fi ;;
        threads) lack_nightly ;;
        fuzz)
            if [[ ! -x scripts/fuzz.sh ]]; then
                echo "no scripts/fuzz.sh"
            elif ! has cargo +nightly --version; then
                echo "no nightly compiler: rustup toolchain install nightly"
            elif ! has command -v c++; then
                echo "no C++ compiler, which builds libFuzzer"
            fi ;;
    esac
    [[ -z ${module:-} ]] || grep -q "^mod $module;" tests/it/main.rs || echo "no tests/it/$module.rs"
}

# ---- running them ----

# What a section's output has to do with its failure: the failed tests, else its end.
show_failure() {
    echo "the output of $1, from its first failure on:"
    sed -nE '/panicked at|^error|^WARNING: ThreadSanitizer/,$p' "$work/$1.log" | head -n 60
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
    # A process group of its own, so that all of it can be ended.
    set -m
    (set -e; "$name") >"$work/$name.log" 2>&1 </dev/null &
    running=$!
    set +m
    watch "$name" "$running" || status=$?
    running=
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

# The lines that tell which inputs a folder of corpora has.
inputs() {
    (cd "$1" && find . -type f -exec cksum {} +) | awk '{ split($3, part, "/"); print $1, $2, part[2] }' | sort -u
}

# What fuzzing found stays, and is named; without any its folder goes.
keep_found() {
    local new=0
    [[ ! -d $found/corpus ]] || new=$(comm -13 <(inputs fuzz/corpus) <(inputs "$found/corpus") | wc -l)
    if ((new > 0)); then
        printf '\nnew inputs of fuzz: %d, in %s/corpus, which can take the place of fuzz/corpus\n' "$new" "$found"
    fi
    if [[ -n $(find "$found" -path '*/artifacts/*' -type f) ]]; then
        printf '\ninputs that fail in fuzz: %s/artifacts\n' "$found"
    elif ((new == 0)); then
        rm -rf -- "$found"
    fi
}

# Also when it is interrupted: nothing of it runs or lies on.
clean_up() {
    trap '' INT TERM HUP
    if [[ -n $running ]]; then
        kill -TERM -- "-$running" 2>/dev/null || true
        sleep 1
        kill -KILL -- "-$running" 2>/dev/null || true
    fi
    rm -rf -- "$work"
    keep_found
}

# What the sections reported and what cargo said, as Markdown.
table() {
    "$(find_python)" - "$work" <<'PYTHON'
import re, sys
from pathlib import Path

work = Path(sys.argv[1])
KNOWN = ("rows_confirmed", "rows_found", "files_checked")
# What a tool says when it finds something.
FINDINGS = {
    "miri": r"^error: (?:Undefined Behavior|memory leaked|.*deadlocked)",
    "threads": r"^WARNING: ThreadSanitizer",
}
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
    if name in FINDINGS:
        left_out = sum(map(int, re.findall(r"(\d+) filtered out", log)))
        findings = len(re.findall(FINDINGS[name], log, re.M))
        said += [f"{left_out} left out", f"{findings} reports"]
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
failed=() running=
work=$(mktemp -d "${TMPDIR:-/tmp}/soak.XXXXXX")
found=$(mktemp -d "${TMPDIR:-/tmp}/soak-fuzz.XXXXXX")
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
mkdir "$work/tmp"
# A test does a part of its work as another user.
chmod 711 "$work" "$work/tmp"
export TMPDIR=$work/tmp

has cargo --version || { echo "cargo is not on the PATH: install Rust, https://rustup.rs"; exit 1; }
has find_python || { echo "no Python 3.11 or later with its venv module (Debian: python3-venv)"; exit 1; }
cargo --version
if [[ " ${sections[*]} " =~ " "(kills|resumes|faults|torn|load)" " ]]; then
    if [[ -z ${WANDB_IMAGE_PYTHON:-} ]]; then
        install_client
        export WANDB_IMAGE_PYTHON=$tools/wandb-$wandb_version/bin/python
    fi
    printf '\n==> build\n'
    cargo test --locked --release --test it --no-run
fi

for name in "${sections[@]}"; do
    section "$name"
done
printf '\n==> Table (%s, %s processors, %s in all)\n\n' "$(uname -sm)" "$(getconf _NPROCESSORS_ONLN)" "$(clock "$SECONDS")"
table
if [[ ${#failed[@]} -gt 0 ]]; then
    printf '\nFAILED: %s\n' "${failed[*]}"
    exit 1
fi
