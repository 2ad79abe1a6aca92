"""The command lines of the studies: common options, and errors in one line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from posemamba.utils.errors import PoseMambaError


def study_parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """Make the parser of ``python -m studies.NAME``; `description` may have line breaks."""
    return argparse.ArgumentParser(
        prog=f"python -m studies.{name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_benchmark_options(parser: argparse.ArgumentParser, split: str) -> None:
    """Add --quick, --weights and --split, for studies on the benchmark's clips; `split` says the default."""
    parser.add_argument("--quick", action="store_true", help="take every eighth clip")
    parser.add_argument("--weights", default="posemamba-s", help="name or file (default: posemamba-s)")
    parser.add_argument("--split", choices=("validation", "test"), help=f"subjects (default: {split})")


def every_nth_clip(options: argparse.Namespace) -> int:
    """Return how many clips to go on by: 8 with --quick."""
    return 8 if options.quick else 1


def report(measure: Callable[[], object]) -> int:
    """Run a measurement; print an error that the user can fix in one line. Returns the exit status."""
    try:
        measure()
    except PoseMambaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
