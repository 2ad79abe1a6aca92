"""The command line of the harness."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.interrupts.run import KINDS, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.interrupts", description=__doc__)
    parser.add_argument("--runs", type=int, default=30, help="of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=sorted(KINDS))
    parser.add_argument("--keep", type=Path, help="a folder for the runs' files")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        return 1 if run(options.keep or Path(temporary), options.runs, options.seed, options.only) else 0


if __name__ == "__main__":
    sys.exit(main())
