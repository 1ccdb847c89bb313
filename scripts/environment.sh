# What scripts that build and test share: sourced, not run.
#
# $tools is where things are installed: .tools/, or $WANDB_IMAGE_TOOLS.

tools=${WANDB_IMAGE_TOOLS:-$PWD/.tools}
wandb_version=0.31.0
pillow_version=13.0.0
numpy_version=2.3.4

has() {
    "$@" >/dev/null 2>&1
}

clock() {
    printf '%d:%02d' $(($1 / 60)) $(($1 % 60))
}

# The first Python that the client and libtorch run on.
find_python() {
    local name
    for name in python3.11 python3 python3.12 python3.13 python; do
        if has "$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))'; then
            echo "$name"
            return
        fi
    done
    return 1
}

# Where HOME is another folder than at the installation, rustup on the PATH doesn't find its
# toolchains: they lie beside it.
find_toolchains() {
    local cargo beside
    cargo=$(command -v cargo) || return 0
    beside=$(dirname "$cargo")/../../.rustup
    if [[ -z ${RUSTUP_HOME:-} && -d $beside ]] && ! has cargo --version; then
        RUSTUP_HOME=$(cd "$beside" && pwd)
        export RUSTUP_HOME
    fi
}

install_client() {
    local venv=$tools/wandb-$wandb_version
    if [[ ! -e $venv/ready ]]; then
        echo "installing wandb $wandb_version, pillow $pillow_version and numpy $numpy_version into $venv"
        rm -rf -- "$venv"
        "$(find_python)" -m venv "$venv"
        "$venv/bin/python" -m pip install --disable-pip-version-check --no-input --quiet --progress-bar off \
            "wandb==$wandb_version" "pillow==$pillow_version" "numpy==$numpy_version"
        touch "$venv/ready"
    fi
    "$venv/bin/wandb" --version
}

# Runs tests, of which there must be some.
some_pass() {
    local log status=0
    log=$(mktemp)
    "$@" 2>&1 | tee "$log" || status=$?
    grep -q 'test result: ok\. [1-9]' "$log" || { echo "no test passed"; status=1; }
    rm -f -- "$log"
    return "$status"
}

# The threads of a run in many orders, by loom or by shuttle (CONTRIBUTING.md, "Concurrency"): one
# build folder, apart from that of the other tests, for both.
run_models() {
    RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/models \
        cargo test --locked --release --lib "$@" -- --nocapture loom::
}

# Nothing of the user's own settings, and no reports to W&B.
enter_environment() {
    local name
    for name in ${!WANDB_@}; do
        [[ $name == WANDB_IMAGE_* ]] || unset "$name"
    done
    mkdir -p "$tools"
    tools=$(cd "$tools" && pwd)
    export WANDB_ERROR_REPORTING=false
    export WANDB_IMAGE_REQUIRE_PYTHON=1
    find_toolchains
}
