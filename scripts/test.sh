#!/usr/bin/env bash
# All tests, from a fresh clone: needs Rust (stable, with clippy and rustfmt) and Python 3.11.
#
#   scripts/test.sh          everything, the frameworks included: about 35 minutes the
#                            first time on two cores, and about 12 GB of disk
#   scripts/test.sh core     the quick ones: no framework, but W&B's own client
#
# What they need besides is installed into .tools/ (or $WANDB_IMAGE_TOOLS), nothing elsewhere:
# W&B's Python client, cargo-deny, and libtorch for tch. The network is used for the package
# registries alone. CARGO_TARGET_DIR is honoured.
set -euo pipefail

case ${1:-full} in
    full | core) mode=${1:-full} ;;
    *) echo "usage: $0 [core]" >&2; exit 2 ;;
esac
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh
# What a full run takes at least, the target folder and the tools together.
disk_gb=9
deny_version=0.20.2

# The frameworks, each with what its examples need, as one build: what stands here is compiled
# once for the lints and the docs, and once more for the tests.
features_ndarray=ndarray,cli
features_candle=candle-bench
features_burn=burn-example
features_tch=tch
features_wgpu=burn-wgpu-test
# What docs.rs builds, where there is no libtorch.
features_docs_rs=candle,burn-train,tch,ndarray,cli,tch/doc-only

# ---- steps: each is counted first, then run; the first failure ends it ----

steps=0 done_steps=0 counting=1 summary=() skipped=()

# step TITLE COMMAND…
step() {
    local title=$1 began=$SECONDS status
    shift
    if [[ $counting ]]; then
        steps=$((steps + 1))
        return
    fi
    done_steps=$((done_steps + 1))
    printf '\n==> [%d/%d, after %s] %s\n' "$done_steps" "$steps" "$(clock "$SECONDS")" "$title"
    set +e
    (set -e; "$@")
    status=$?
    set -e
    summary+=("$(printf '%6s  %s' "$(clock $((SECONDS - began)))" "$title")")
    if [[ $status -ne 0 ]]; then
        print_summary
        printf '\nFAILED: step %d, %s (exit status %d)\n' "$done_steps" "$title" "$status"
        exit 1
    fi
}

print_summary() {
    printf '\n==> Summary (minutes:seconds)\n'
    printf '%s\n' "${summary[@]}"
    printf '%6s  in all\n' "$(clock "$SECONDS")"
    [[ ${#skipped[@]} -eq 0 ]] || printf 'SKIPPED: %s\n' "${skipped[@]}"
}

# ---- what is needed ----

# Where the disk is too small, a linker's error in the middle says it badly: it is said first.
# A target folder from before holds its part already.
check_disk() {
    local target=${CARGO_TARGET_DIR:-target} free_kb
    [[ $mode == full && ! -e $target ]] || return 0
    free_kb=$(df -Pk "$(dirname "$target")" 2>/dev/null | awk 'NR == 2 { print $4 }')
    if [[ -n $free_kb && $free_kb -lt $((disk_gb * 1000000)) ]]; then
        echo "a full run takes $disk_gb to 12 GB, and $((free_kb / 1000000)) GB are free: make room, or name a folder elsewhere with CARGO_TARGET_DIR"
        return 1
    fi
}

check_prerequisites() {
    local missing=0
    has cargo --version || { echo "cargo is not on the PATH: install Rust, https://rustup.rs"; missing=1; }
    has cargo clippy --version || { echo "clippy is missing: rustup component add clippy"; missing=1; }
    has cargo fmt --version || { echo "rustfmt is missing: rustup component add rustfmt"; missing=1; }
    find_python >/dev/null || { echo "no Python 3.11 or later with its venv module (Debian: python3-venv)"; missing=1; }
    check_disk || missing=1
    [[ $missing -eq 0 ]]
    cargo --version
    "$(find_python)" --version
    echo "tools go to $tools"
}

# Not optimised, which halves the minutes that it takes to build.
install_deny() {
    local root=$tools/cargo-deny-$deny_version
    if [[ ! -x $root/bin/cargo-deny ]]; then
        echo "installing cargo-deny $deny_version into $root"
        CARGO_TARGET_DIR=$root/build cargo install --locked --quiet --debug --root "$root" \
            --version "$deny_version" cargo-deny
        rm -rf -- "$root/build"
    fi
    "$root/bin/cargo-deny" --version
}

# ---- cargo ----

with_torch() {
    LIBTORCH=$tools/libtorch LD_LIBRARY_PATH=$tools/libtorch/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} "$@"
}

lint() {
    cargo clippy --locked --all-targets --features "$1" -- -D warnings
}

# The library under each feature by itself.
lint_alone() {
    local feature
    for feature in "$@"; do
        cargo clippy --locked --lib --bins --features "$feature" -- -D warnings
    done
}

docs() {
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --lib --no-deps --features "$1"
}

# Unit, integration and doc tests.
run_tests() {
    cargo test --locked --features "$1"
}

# The same but for those that take long and whose code no feature touches: those that run W&B's
# client or Pillow, the disk, memory, and hostile input. They run once, without one.
run_own_tests() {
    local features=$1 group
    local groups=(artifact_disk artifact_reading artifacts faults flush invariants kill pillow resume sync sync_overlays torn verify)
    shift
    groups+=("$@")
    cargo test --locked --features "$features" -- $(for group in "${groups[@]}"; do echo "--skip=$group::"; done)
}

# What the command's feature adds to has run before.
run_framework_tests() {
    run_own_tests "$1" cli fuzz hostile overlay_properties
}

# The integration tests whose name has $2.
run_some_tests() {
    some_pass cargo test --locked --features "$1" --test it -- "$2"
}

# Syncs the run $1 with W&B's client and lists its pictures and tables, of which there must be some.
check_run() {
    local listed found
    tests/tools/sync_run.sh "$WANDB_IMAGE_PYTHON" "$1"
    listed=$(cargo run --locked --quiet --features "$features_ndarray" --bin wandb-image -- ls "$1")
    found=$(grep -cE '\.(png|jpg|bmp|table\.json)' <<<"$listed" || true)
    echo "wandb-image ls: $found pictures and tables, the first ones:"
    head -n 3 <<<"$listed"
    [[ $found -gt 0 ]]
}

# Runs the example $2 with the features $1 and the arguments after them, in a folder of its own, and
# checks what it logged. It isn't optimised, since to compile a framework once more so would take
# longer than all the rest: so those that train get a small number of steps.
run_example() {
    local features=$1 example=$2 run
    shift 2
    work=$(mktemp -d)
    trap 'rm -rf -- "$work"' EXIT
    WANDB_DIR=$work cargo run --locked --features "$features" --example "$example" -- "$@"
    for run in "$work"/wandb/offline-run-*; do
        check_run "$run"
    done
}

run_burn_train() {
    burn=$(mktemp -d)
    trap 'rm -rf -- "$burn"' EXIT
    (run_example "$features_burn" burn_train_digits "$burn" 1)
}

# Every licence, every source; a crate in two versions only where a framework brings it.
deny() {
    local deny=$tools/cargo-deny-$deny_version/bin/cargo-deny
    "$deny" --locked check licenses bans sources
    "$deny" --locked --features "$features_ndarray" check licenses bans sources
    "$deny" --locked --all-features check --allow duplicate licenses bans sources
    "$deny" --locked --manifest-path fuzz/Cargo.toml --config deny.toml check licenses sources
}

third_party() {
    "$(find_python)" scripts/third_party.py --check
}

package() {
    local dirty=()
    if [[ -n $(git status --porcelain 2>/dev/null) ]]; then
        echo "the working tree has changes, which go into the package too"
        dirty=(--allow-dirty)
    fi
    cargo package --locked --list ${dirty[@]+"${dirty[@]}"} >"$tools/package.txt"
    local wanted
    for wanted in integrations/mod.rs src/lib.rs LICENSE-MIT LICENSE-APACHE THIRD-PARTY.md CHANGELOG.md README.md; do
        grep -qx "$wanted" "$tools/package.txt" || { echo "the package lacks $wanted"; return 1; }
    done
    cargo package --locked ${dirty[@]+"${dirty[@]}"}
    # What is in it is whole: its own tests don't lean on what isn't.
    local target=${CARGO_TARGET_DIR:-$PWD/target}
    local unpacked=("$target"/package/wandb-image-*/Cargo.toml)
    CARGO_TARGET_DIR=$target cargo test --locked --no-run --manifest-path "${unpacked[0]}"
}

# ---- a Vulkan device whose memory is not the host's, without a GPU ----

# The description of llvmpipe, Mesa's driver on the processor, where it is installed.
find_llvmpipe() {
    local places=${VK_DRIVER_FILES:-${VK_ICD_FILENAMES:-}} place file
    places=${places:-/usr/share/vulkan/icd.d:/usr/local/share/vulkan/icd.d:/etc/vulkan/icd.d}
    local IFS=:
    for place in $places; do
        for file in "$place" "$place"/*.json; do
            if [[ -f $file && $file == *.json ]] && grep -Eq 'lvp|llvmpipe' "$file"; then
                echo "$file"
                return
            fi
        done
    done
    return 1
}

wgpu_step() {
    local driver title="contract through burn's wgpu on llvmpipe"
    if ! driver=$(find_llvmpipe); then
        [[ $counting ]] || printf '\n==> SKIPPED: %s\n' "$title"
        [[ $counting ]] || skipped+=("$title: no Vulkan driver of that name is installed (Debian: apt install mesa-vulkan-drivers)")
        return
    fi
    step "$title ($driver)" env VK_DRIVER_FILES="$driver" VK_ICD_FILENAMES="$driver" \
        MESA_SHADER_CACHE_DISABLE=true bash -c "$(declare -f some_pass run_some_tests); run_some_tests $features_wgpu wgpu"
}

# ---- the order of things ----

core() {
    step "what is needed" check_prerequisites
    step "format" cargo fmt --check
    step "the list of third-party crates" third_party
    step "lints, no features" lint ""
    step "docs, no features" docs ""
    step "install W&B's client" install_client
    step "tests, no features, W&B's client and Pillow among them" run_tests ""
    step "lints, $features_ndarray" lint "$features_ndarray"
    step "docs, $features_ndarray" docs "$features_ndarray"
    step "tests, $features_ndarray" run_own_tests "$features_ndarray"
    step "example random_fields" run_example "$features_ndarray" random_fields
}

full() {
    step "the package" package
    step "install cargo-deny" install_deny
    step "licences, sources, and crates in two versions" deny
    step "threads in every order, with loom" some_pass run_models
    step "threads in drawn orders, with shuttle" some_pass run_models --features shuttle-test
    step "lints, candle, burn, burn-train, ndarray and cli alone" lint_alone candle burn burn-train ndarray cli
    step "lints, $features_candle" lint "$features_candle"
    step "docs, $features_candle" docs "$features_candle"
    step "tests, $features_candle" run_framework_tests "$features_candle"
    step "example candle_digits" run_example "$features_candle" candle_digits 20
    step "example segmentation" run_example "$features_candle" segmentation 20
    step "example predictions_table" run_example "$features_candle" predictions_table
    step "lints, $features_burn" lint "$features_burn"
    step "docs, $features_burn" docs "$features_burn"
    step "tests, $features_burn" run_framework_tests "$features_burn"
    step "example burn_digits" run_example "$features_burn" burn_digits 20
    step "example burn_train_digits" run_burn_train
    step "install libtorch" scripts/libtorch.sh "$tools/libtorch"
    step "lints, $features_tch" with_torch lint "$features_tch"
    step "docs, $features_tch" with_torch docs "$features_tch"
    step "tests, $features_tch" with_torch run_framework_tests "$features_tch"
    step "example tch_digits" with_torch run_example "$features_tch" tch_digits 100
    step "lints as docs.rs builds it: all frameworks, no libtorch" lint "$features_docs_rs"
    step "docs as docs.rs builds it: all frameworks, no libtorch" docs "$features_docs_rs"
    wgpu_step
}

all() {
    core
    if [[ $mode == full ]]; then
        full
    fi
}

enter_environment
# What is built once gains nothing by what cargo keeps to build it again.
[[ -z ${CI:-} ]] || export CARGO_INCREMENTAL=0
export WANDB_IMAGE_PYTHON=$tools/wandb-$wandb_version/bin/python

all
counting=
all
print_summary
printf '\nall %d steps passed\n' "$steps"
