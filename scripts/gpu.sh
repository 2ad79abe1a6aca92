#!/usr/bin/env bash
# On a machine with an NVIDIA GPU: the GPU tests, then timings. Needs the package's dependencies and pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
export PYTHONPATH=src
python3 -m pytest -m gpu -q --no-header -p no:cacheprovider "$@"
python3 -m posemamba bench --size s --size l --clips 1 --clips 16
python3 -m posemamba bench --size s --size l --clips 1 --clips 16 --half
