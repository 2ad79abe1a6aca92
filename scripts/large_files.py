"""Refuse files above 16 MB: weights are split into shards instead (`posemamba export --shard-mb 16`)."""

from __future__ import annotations

import sys
from pathlib import Path

LARGEST = 16_000_000


def main(paths: list[str]) -> int:
    """List the files that are too large; exit code 1 if there are any."""
    large = [path for path in paths if Path(path).is_file() and Path(path).stat().st_size > LARGEST]
    for path in large:
        print(f"{path}: {Path(path).stat().st_size:,} bytes, more than {LARGEST:,}")
    return bool(large)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
