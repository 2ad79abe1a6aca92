"""The command line of the fuzz harness."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.fuzz.run import run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="a part of a target's name")
    parser.add_argument("--case", type=int, help="one case again; with --only")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--minutes", type=float, help="end after so long")
    parser.add_argument("--keep", type=Path, help="a folder for the cases' files")
    options = parser.parse_args()
    report = run(
        options.cases,
        options.seed,
        only=options.only,
        case=options.case,
        workers=options.workers,
        minutes=options.minutes,
        keep=options.keep,
    )
    print(report.table())
    for count, where, again in report.places():
        print(f"{count:5} {where}   [{again}]")
    if options.case is not None and report.findings:
        print(report.findings[0][2].text)
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
