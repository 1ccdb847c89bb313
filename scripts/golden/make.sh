#!/usr/bin/env bash
# Makes tests/golden/ anew with the real Python SDKs. Needs Python 3.11, PyPI and about 7 GB.
#
#     scripts/golden/make.sh [--venvs DIR] [--out DIR]
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venvs=$here/.venvs
out=$here/../../tests/golden
while [ $# -gt 0 ]; do
    case $1 in
        --venvs) venvs=$2; shift 2 ;;
        --out) out=$2; shift 2 ;;
        *) echo "usage: $0 [--venvs DIR] [--out DIR]" >&2; exit 2 ;;
    esac
done
mkdir -p "$venvs" "$out"
venvs=$(cd "$venvs" && pwd)
out=$(cd "$out" && pwd)

# One environment holds torch; each wandb version has its own that looks into it.
PYTHON=${PYTHON:-python3.11}
command -v "$PYTHON" >/dev/null || PYTHON=python3
if [ ! -e "$venvs/base/ready" ]; then
    "$PYTHON" -m venv "$venvs/base"
    "$venvs/base/bin/pip" install --quiet --no-cache-dir \
        torch==2.9.0 torchvision==0.24.0 numpy==2.3.4 pillow==12.0.0
    touch "$venvs/base/ready"
fi
base_packages=$("$venvs/base/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
for version in 0.19.11 0.28.2 0.31.0; do
    venv=$venvs/wandb-$version
    if [ ! -e "$venv/ready" ]; then
        "$PYTHON" -m venv "$venv"
        packages=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
        echo "$base_packages" > "$packages/base.pth"
        "$venv/bin/pip" install --quiet --no-cache-dir "wandb==$version"
        # What the SDK reads references to buckets with.
        [ "$version" != 0.31.0 ] || "$venv/bin/pip" install --quiet --no-cache-dir \
            boto3==1.44.8 google-cloud-storage==3.17.1
        touch "$venv/ready"
    fi
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1 CUDA_VISIBLE_DEVICES=
export WANDB_SILENT=true WANDB_ERROR_REPORTING=false WANDB_MODE=offline
export WANDB_DIR=$work WANDB_CACHE_DIR=$work/cache WANDB_CONFIG_DIR=$work/config WANDB_DATA_DIR=$work/data
unset WANDB_API_KEY WANDB_BASE_URL WANDB_PROJECT WANDB_ENTITY WANDB_RUN_ID || true

"$venvs/base/bin/python" "$here/pixels_torch.py" "$work/torch.pickle"
for version in 0.19.11 0.28.2 0.31.0; do
    "$venvs/wandb-$version/bin/python" "$here/pixels_wandb.py" "$version" "$work/$version.pickle"
done
"$venvs/base/bin/python" "$here/merge_pixels.py" "$out" \
    "$work/0.19.11.pickle" "$work/0.28.2.pickle" "$work/0.31.0.pickle" "$work/torch.pickle"

(cd "$here" && "$venvs/wandb-0.31.0/bin/python" history.py "$out" "$work")
(cd "$here" && "$venvs/wandb-0.31.0/bin/python" overlays.py "$out" "$work" "$here/../../tests/tools/fake_wandb.py")
# The JSON of a table has sets, in the order of their hashes.
(cd "$here" && PYTHONHASHSEED=0 "$venvs/wandb-0.31.0/bin/python" artifacts.py "$out" "$work")
"$venvs/wandb-0.31.0/bin/python" "$here/check.py" "$out"
