#!/usr/bin/env bash
# Installs libtorch 2.9.0 for the CPU, which tch 0.22 needs, from PyPI into a folder of its own.
#
#   eval "$(scripts/libtorch.sh [DIR])"      DIR is .tools/libtorch by default
#
# Says on stderr what it does; stdout holds two lines, the exports that cargo needs.
# Needs python3 (3.11 to 3.14, with its venv module) and about 2 GB. A second run finds the first
# one's work; one that was interrupted leaves nothing that looks finished.
set -euo pipefail

torch_version=2.9.0
packages=(
    "torch==$torch_version"
    nvidia-cuda-runtime-cu12==12.8.90
    nvidia-cuda-cupti-cu12==12.8.90
)

say() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
}

fail() {
    say "$*"
    exit 1
}

print_exports() {
    printf 'export LIBTORCH=%q\n' "$1"
    # shellcheck disable=SC2016 # the caller's shell expands it
    printf 'export LD_LIBRARY_PATH=%q${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}\n' "$1/lib"
}

# Whether $1 is a finished installation: it is written last, by one rename.
is_installed() {
    [[ -f $1/build-version && $(<"$1/build-version") == "$torch_version" &&
        -e $1/include/torch/csrc/api/include/torch/torch.h && -e $1/lib/libtorch_cpu.so ]]
}

# Links the files of $1 that match the patterns after $2 into the folder $2, by relative paths:
# the whole may be moved.
link_all() {
    local from=$1 to=$2 pattern file found
    shift 2
    for pattern in "$@"; do
        found=
        for file in "$from"/$pattern; do
            [[ -e $file ]] || continue
            ln -s "$(realpath --relative-to="$to" "$file")" "$to/${file##*/}"
            found=1
        done
        [[ -n $found ]] || fail "$from has no $pattern: these packages are not the ones expected"
    done
}

# Lays $1 out as the libtorch archive is, out of the Python packages in $1/venv.
lay_out() {
    local root=$1 packages
    packages=$("$root/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    mkdir "$root/lib"
    ln -s "$(realpath --relative-to="$root" "$packages/torch/include")" "$root/include"
    link_all "$packages/torch/lib" "$root/lib" libtorch_cpu.so libc10.so 'libgomp*.so*' \
        libtorch.so libshm.so libtorch_global_deps.so
    link_all "$packages/nvidia/cuda_runtime/lib" "$root/lib" libcudart.so.12
    link_all "$packages/nvidia/cuda_cupti/lib" "$root/lib" libcupti.so.12
    printf '%s\n' "$torch_version" >"$root/build-version"
}

install() {
    local target=$1
    mkdir -p "$(dirname "$target")"
    rm -rf -- "$target".part-*
    staging=$(mktemp -d "$target.part-XXXXXX")
    trap 'rm -rf -- "$staging"' EXIT
    trap 'exit 130' INT TERM

    say "making a virtual environment"
    python3 -m venv "$staging/venv"
    say "installing ${packages[*]} (1.8 GB; about a minute)"
    "$staging/venv/bin/python" -m pip install --disable-pip-version-check --no-cache-dir \
        --progress-bar off --quiet --no-deps "${packages[@]}" >&2
    say "laying out the libraries"
    lay_out "$staging"

    chmod 755 "$staging"
    [[ ! -e $target ]] || rmdir "$target"
    mv "$staging" "$target"
    trap - EXIT INT TERM
}

[[ $# -le 1 ]] || fail "usage: $0 [DIR]"
[[ $(uname -sm) == "Linux x86_64" ]] ||
    fail "these packages are for Linux on x86_64; this is $(uname -sm): see https://pytorch.org for its libtorch $torch_version"
command -v python3 >/dev/null || fail "python3 is not installed: version 3.11 or later is needed"

root=$(cd "$(dirname "$0")/.." && pwd)
target=$(realpath -m "${1:-$root/.tools/libtorch}")

if is_installed "$target"; then
    say "libtorch $torch_version is in $target already"
else
    [[ ! -e $target || -d $target && -z $(ls -A "$target") ]] ||
        fail "$target exists and isn't libtorch $torch_version: remove it, or name another folder"
    say "installing libtorch $torch_version into $target"
    install "$target"
fi
print_exports "$target"
