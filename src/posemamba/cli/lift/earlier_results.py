"""Results of an earlier call in a folder: their files, the input they are of, and whether they are all there."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

from posemamba.io.inputs import digest
from posemamba.io.keypoints.detected import FILE as KEYPOINTS
from posemamba.io.keypoints.detected import Detected, read_detected
from posemamba.utils.archives import read_npz
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.reading import reading

# what lifting writes into a folder; of several people with their numbers
RESULT = re.compile(
    r"people\.jpg|overlay\.(mp4|png)|viewer\.html|angles(_\d+)?\.csv"
    r"|(poses|motion)(_\d+)?\.(npz|json|csv|tidy\.csv|trc|bvh|glb)"  # motion: of earlier versions
)


def find_poses(out: Path) -> list[Path]:
    """Return the poses of each person in a folder of results."""
    return [*out.glob("poses.npz"), *out.glob("poses_*.npz")] if out.is_dir() else []


def find_kept(out: Path, digest: str) -> Detected | None:
    """Return the joints that an earlier call kept of the same source with the same detector; None without them."""
    try:
        kept = read_detected(out / KEYPOINTS)
    except PoseMambaError:
        return None
    return kept if kept.digest == digest else None


def is_done(out: Path, call: str) -> bool:
    """Tell whether the results of the same call on the same input are all there."""
    for path in find_poses(out):
        try:
            with reading(path, "a result"):
                done = json.loads(str(read_npz(path, ("header",))["header"]))["details"]["call"]
                if done["digest"] == call:
                    return all((out / str(name)).is_file() for name in done["files"])
        except PoseMambaError:
            continue  # another file of that name
    return False


def own_folder(out: Path, source: Path) -> Path:
    """Return the folder of that name, or a numbered one where it holds the results of another file."""
    marks, number, free = set(marks_of(source)), 2, out
    while any(others and not marks & others for others in _marks_in(free)):
        free, number = out.with_name(f"{out.name}_{number}"), number + 1
    return free


def marks_of(source: Path) -> list[str]:
    """Return two short hashes of a file: of its place, and of its name, size and time of change.

    One stays the same where it is made anew, the other where it is moved.
    """
    return [mark_of_place(source.absolute()), digest({}, source)]


def mark_of_place(place: str | Path) -> str:
    """Return a short hash of a path or an address."""
    return hashlib.sha256(os.fsencode(place)).hexdigest()[:12]


def _marks_in(out: Path) -> list[set[str]]:
    """Return the marks of the sources of a folder's results, by `marks_of`; empty ones: they are not known."""
    found = []
    for path in find_poses(out):
        try:
            with reading(path, "a result"):
                details = json.loads(str(read_npz(path, ("header",))["header"]))["details"]
                found.append(set(details.get("call", {}).get("source") or []))
        except PoseMambaError:
            continue
    return found
