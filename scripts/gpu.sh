#!/usr/bin/env bash
# On a machine with an NVIDIA GPU: the GPU tests, then timings. Needs the package's dependencies and pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
export PYTHONPATH=src${PYTHONPATH:+:$PYTHONPATH}
python3 -m pytest -m gpu -q --no-header -p no:cacheprovider "$@"
python3 -m posemamba bench scan-s:bf16 scan-l:bf16 s l s:bf16 l:bf16 l:bf16+graph --clips 1,16 --task forward,train
