"""Reading of YAML with bounds: aliases of aliases, which unfold to billions of values, are refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from posemamba.utils.errors import PoseMambaError
from posemamba.utils.reading import reading

LARGEST = 100_000
"""Bytes of a file: settings written by people are a hundredth of it."""
_MOST, _DEEPEST = 20_000, 40


def read_yaml(path: Path, what: str) -> Any:
    """Read a YAML file of plain values.

    Args:
        path: the file.
        what: what it holds, with its article, for the message.

    Raises:
        PoseMambaError: it is not readable, no YAML, larger than any such file, or unfolds to more than it says.
    """
    with reading(path, what):
        with path.open("rb") as file:
            text = file.read(LARGEST + 1)
        if len(text) > LARGEST:
            raise PoseMambaError(f"{path}: larger than {LARGEST:,} bytes, expected {what}")
        depth = 0
        for mark in re.findall(rb"[][{}]", text):
            depth += 1 if mark in b"[{" else -1
            if depth > _DEEPEST:  # the work of PyYAML grows with the square
                raise PoseMambaError(f"{path}: nested too deeply for {what}: more than {_DEEPEST} levels")
        try:
            value = yaml.safe_load(text.decode("utf-8-sig"))
        except yaml.YAMLError as error:
            raise PoseMambaError(f"{path}: not YAML ({' '.join(str(error).split())})") from error
        except UnicodeDecodeError as error:
            raise PoseMambaError(f"{path}: not YAML (not text in UTF-8)") from error
        if not is_small(value):
            raise PoseMambaError(
                f"{path}: unfolds to more than {_MOST:,} values or {_DEEPEST} levels, expected {what}: write its "
                "aliases out"
            )
    return value


def is_small(value: Any, most: int = _MOST) -> bool:
    """Tell whether a value, its shared parts written out, has few levels and at most so many values."""
    level, count = [value], 0
    for _ in range(_DEEPEST):
        level = [
            part
            for one in level
            if isinstance(one, dict | list | tuple | set)
            for part in ([*one.keys(), *one.values()] if isinstance(one, dict) else one)
        ]
        count += len(level)
        if not level:
            return True
        if count > most:
            return False
    return False
