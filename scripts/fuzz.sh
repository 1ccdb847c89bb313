#!/usr/bin/env bash
# Looks for inputs that break a promise: every target of fuzz/ under libFuzzer and
# AddressSanitizer.
#
#   scripts/fuzz.sh [SECONDS [TARGET…]]     600 seconds a target by default, all targets
#
# As many targets at a time as there are processors, or as WANDB_IMAGE_FUZZ_JOBS says.
# Needs a nightly compiler and a C++ one (libFuzzer is built from its sources): where there is
# none it says so and does nothing. What is found lies in fuzz/artifacts/, and new inputs, reduced
# to those that reach more, in fuzz/corpus/, which tests/it/fuzz.rs replays on the stable compiler.
# WANDB_IMAGE_FUZZ_FOLDER names another folder than fuzz/ for both.
# CARGO_TARGET_DIR is honoured. WANDB_IMAGE_SOAK_REPORT names a file that gets a line a target.
set -euo pipefail

seconds=${1:-600}
[[ $seconds =~ ^[1-9][0-9]*$ ]] || { echo "usage: $0 [SECONDS [TARGET…]]" >&2; exit 2; }
shift || true
jobs=${WANDB_IMAGE_FUZZ_JOBS:-$(getconf _NPROCESSORS_ONLN)}
[[ $jobs =~ ^[1-9][0-9]*$ ]] || { echo "WANDB_IMAGE_FUZZ_JOBS takes a number of at least 1, not $jobs" >&2; exit 2; }
report=${WANDB_IMAGE_SOAK_REPORT:-}
[[ -z $report || $report == /* ]] || report=$PWD/$report
folder=${WANDB_IMAGE_FUZZ_FOLDER:-.}
[[ $folder == . || $folder == /* ]] || folder=$PWD/$folder
cargo_target=${CARGO_TARGET_DIR:-../target}
[[ -z ${CARGO_TARGET_DIR:-} || $cargo_target == /* ]] || cargo_target=$PWD/$cargo_target
cd "$(dirname "${BASH_SOURCE[0]}")/../fuzz"
targets=("$@")
if [[ ${#targets[@]} -eq 0 ]]; then
    for file in fuzz_targets/*.rs; do
        targets+=("$(basename "$file" .rs)")
    done
fi

skip() {
    echo "SKIPPED: fuzzing: $1"
    exit 0
}

cargo +nightly --version >/dev/null 2>&1 || skip "no nightly compiler: rustup toolchain install nightly"
command -v c++ >/dev/null || skip "no C++ compiler, which builds libFuzzer"
host=$(rustc +nightly --version --verbose | awk '/^host:/ { print $2 }')
[[ $host == *-linux-gnu || $host == *-apple-darwin ]] || skip "AddressSanitizer has no runtime for $host"

# What cargo-fuzz does, but that nothing has to be installed for it.
export CARGO_TARGET_DIR=$cargo_target/fuzz
flags=(-Cpasses=sancov-module)
for argument in level=4 inline-8bit-counters pc-table trace-compares; do
    flags+=("-Cllvm-args=-sanitizer-coverage-$argument")
done
flags+=(-Clink-dead-code -Cllvm-args=-sanitizer-coverage-stack-depth --cfg fuzzing)
flags+=(-Zsanitizer=address -Cdebug-assertions -Ccodegen-units=1)
RUSTFLAGS=${flags[*]} cargo +nightly build --locked --release --target "$host" "${targets[@]/#/--bin=}"
programs=$CARGO_TARGET_DIR/$host/release
export ASAN_OPTIONS=detect_odr_violation=0
work=$(mktemp -d)
lanes=()
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

clean_up() {
    local lane
    for lane in ${lanes[@]+"${lanes[@]}"}; do
        kill -TERM -- "-$lane" 2>/dev/null || true
    done
    rm -rf -- "$work"
}

# The coverage in the lines of the log $1 that were written within the first $2 seconds.
coverage_after() {
    awk -v until="$2" '$1 <= until { for (i = 2; i < NF; i++) if ($i == "cov:") cov = $(i + 1) } END { print cov + 0 }' "$1"
}

# The second in which the coverage rose for the last time.
last_rise() {
    awk '{ for (i = 2; i < NF; i++) if ($i == "cov:" && $(i + 1) > cov) { cov = $(i + 1); at = $1 } } END { print at + 0 }' "$1"
}

# keep_named FOLDER OTHER: what libFuzzer didn't name, such as a finding, goes to the other too.
keep_named() {
    { find "$1" -type f | grep -vE '/[0-9a-f]{40}$' || true; } | while IFS= read -r input; do
        cp -- "$input" "$2/" || return 1
    done
}

# replace FOLDER OTHER: the other takes its place; where that fails, one of both stays.
replace() {
    rm -rf -- "$1.new" && mv -- "$2" "$1.new" && rm -rf -- "$1" && mv -- "$1.new" "$1"
}

# fuzz TARGET
fuzz() {
    local target=$1 program=$programs/$1 corpus=$folder/corpus/$1 artifacts=$folder/artifacts/$1 mine=$work/$1
    local limits=(-max_len=8192 -timeout=120 -rss_limit_mb=4096) crashes=0 began execs
    mkdir -p "$corpus" "$artifacts" "$mine/new" "$mine/least"
    began=$(date +%s)
    "$program" "${limits[@]}" -max_total_time="$seconds" -print_final_stats=1 \
        -artifact_prefix="$artifacts/" "$mine/new" "$corpus" 2>&1 |
        while IFS= read -r line; do
            printf '%s %s\n' "$(($(date +%s) - began))" "$line"
        done >"$mine/log" || crashes=1
    execs=$(sed -nE 's/.*number_of_executed_units: ([0-9]+).*/\1/p' "$mine/log")
    if [[ $crashes -ne 0 ]]; then
        grep -aE 'panicked at|ERROR|SUMMARY|Test unit written' -A 2 "$mine/log" | cut -d ' ' -f 2- || true
    # The fewest inputs that reach as much.
    elif ! "$program" "${limits[@]}" -set_cover_merge=1 -use_counters=0 \
        "$mine/least" "$corpus" "$mine/new" >"$mine/merge" 2>&1; then
        tail -n 20 "$mine/merge"
        crashes=1
    elif ! keep_named "$corpus" "$mine/least" || ! replace "$corpus" "$mine/least"; then
        echo "the corpus $corpus could not be replaced; $corpus.new may hold the new one"
        crashes=1
    fi
    printf '%-12s %9s executions; coverage %s after half the time and %s at the end, risen last after %s s; corpus %s inputs, %s bytes; %s crashes\n' \
        "$target" "${execs:-0}" "$(coverage_after "$mine/log" $((seconds / 2)))" \
        "$(coverage_after "$mine/log" "$((seconds * 2))")" "$(last_rise "$mine/log")" \
        "$(find "$corpus" -type f | wc -l)" "$(find "$corpus" -type f -exec cat {} + | wc -c)" "$crashes"
    if [[ -n $report ]]; then
        echo "SOAK fuzz target=$target execs=${execs:-0} cov=$(coverage_after "$mine/log" "$((seconds * 2))") seconds=$seconds crashes=$crashes" >>"$report"
    fi
    rm -rf -- "$mine"
    return "$crashes"
}

# Every $jobs-th target, from the one at $1 on.
lane() {
    local index failed=0
    for ((index = $1; index < ${#targets[@]}; index += jobs)); do
        fuzz "${targets[index]}" || failed=1
    done
    return "$failed"
}

failed=0
# A process group each, so that all of it can be ended.
set -m
for ((first = 0; first < jobs && first < ${#targets[@]}; first++)); do
    lane "$first" &
    lanes+=("$!")
done
set +m
for lane in "${lanes[@]}"; do
    wait "$lane" || failed=1
done
exit "$failed"
