#!/usr/bin/env bash
# Sync a run with W&B's own client to the stand-in backend, and check what arrived.
#
#   sync_run.sh PYTHON RUN_DIR [check_uploads.py options…]
#
# PYTHON is the interpreter of a virtual environment with wandb. Prints the line of
# check_uploads.py; exits 1 where anything is missing.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=$1 run=$2
shift 2
work=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill "$server" 2>/dev/null || true; rm -rf -- "$work"' EXIT

"$python" "$here/fake_wandb.py" --data "$work/data" --port-file "$work/port" >"$work/server.log" 2>&1 &
server=$!
for _ in $(seq 100); do
    [[ ! -s $work/port ]] || break
    sleep 0.1
done
[[ -s $work/port ]] || { echo "fake_wandb.py did not start:"; cat "$work/server.log"; exit 1; }

mkdir "$work/home"
env HOME="$work/home" WANDB_CONFIG_DIR="$work/home" WANDB_CACHE_DIR="$work/home" WANDB_DATA_DIR="$work/home" \
    WANDB_API_KEY="$(printf 'a%.0s' $(seq 40))" WANDB_BASE_URL="http://127.0.0.1:$(<"$work/port")" \
    WANDB_ERROR_REPORTING=false "$(dirname "$python")/wandb" sync "$run" >"$work/sync.log" 2>&1 ||
    { cat "$work/sync.log"; exit 1; }
for received in "$work"/data/*/*/*/; do
    [[ $received != "$work"/data/artifacts/* ]] || continue
    if [[ ! -d $received ]]; then
        echo "nothing arrived:"
        cat "$work/sync.log"
        exit 1
    fi
    "$python" "$here/check_uploads.py" "$received" "$@"
done
