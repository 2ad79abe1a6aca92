"""The joints that a detection has found so far, kept in a file, from which an interrupted detection goes on.

The file grows by a record now and then: a line with the length and the CRC-32 of what follows, then a line of JSON and
the joints as float32. A record that a killed run wrote in part is noticed and dropped. The first record says to what
the file belongs; each other one holds frames, and the state of the detector after them.
"""

from __future__ import annotations

import contextlib
import json
import time
import warnings
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from posemamba.io.keypoints.detected import UNFINISHED
from posemamba.poses.detections import Detection
from posemamba.utils.files import lock

FILE = UNFINISHED
"""The file's name, in the folder of the results; no reader takes it for keypoints."""
FORMAT = "posemamba-unfinished-1"
EVERY = 10.0
"""Seconds of detection from one record to the next: so much a killed run loses at the most."""
_LONGEST_LINE = 64


class Unfinished:
    """The file of one detection: what an interrupted run left in it, and what this run adds.

    While it is in use it is locked: of two runs with one file the second neither reads nor writes it. Where it cannot
    be written, a warning says so and the detection goes on without it.

    Attributes:
        found, times: the people of each frame that an interrupted run left, and these frames' times in seconds; `take`
            empties them.
        state: of the detector, after the last kept frame; None: it has none.
        complete: all frames are there.
        foreign: there is such a file, of another source or of other options.
    """

    def __init__(self, path: str | Path, digest: str, *, restart: bool = False) -> None:
        """Read what an interrupted run left.

        Args:
            path: the file; it, and its folder, are made when there is something to keep.
            digest: short hash of the source and of all options on which the joints depend.
            restart: do not use what is there.
        """
        self.path, self.digest = Path(path), digest
        self.found: list[list[Detection]] = []
        self.times: list[float] = []
        self._kept = 0  # frames in the file
        self.state: dict[str, Any] | None = None
        self.complete = self.foreign = False
        self._file: IO[bytes] | None = None
        self._usable = True
        self._made: list[Path] = []
        self._last = time.monotonic()
        self._end = 0  # of the last whole record
        if self.path.is_file():
            self._open()
            if self._file is not None and not restart:
                self._read(self._file)

    def __len__(self) -> int:
        return self._kept

    def take(self) -> tuple[list[list[Detection]], list[float]]:
        """Return what an interrupted run left, `found` and `times`, which are then the caller's alone."""
        taken = self.found, self.times
        self.found, self.times = [], []
        return taken

    @property
    def due(self) -> bool:
        """True if the last record is so old that another one should be written."""
        return time.monotonic() - self._last >= EVERY

    def save(
        self, found: Sequence[Sequence[Detection]], times: Sequence[float], state: Any, complete: bool = False
    ) -> None:
        """Add the frames that are not kept yet.

        Args:
            found, times: of all frames up to now, the kept ones too; ids of people are numbers, text or None.
            state: of the detector after the last of them, to be written as JSON.
            complete: there are no more.
        """
        self._last = time.monotonic()
        new = found[len(self) : len(times)]
        if not self._usable or self.complete or not (new or complete):
            return
        people = [person for frame in new for person in frame]
        joints = [np.concatenate([p.xy, p.confidence[:, None]], 1).astype("<f4") for p in people]
        head = {
            "times": list(times[len(self) :]),
            "people": [[person.id for person in frame] for frame in new],
            "joints": len(joints[0]) if joints else 0,
            "state": state,
            "complete": complete,
        }
        try:
            if self._file is None:
                self._open()
            if self._file is None:
                return
            if not self._end:
                self._write({"format": FORMAT, "digest": self.digest})
            self._write(head, b"".join(values.tobytes() for values in joints))
        except OSError as error:
            self._usable = False
            warnings.warn(
                f"{self.path}: cannot be written ({error.strerror or error}): what is found from here on would be lost "
                "by an interruption",
                stacklevel=2,
            )
            return
        self._kept += len(new)
        self.state, self.complete = state, complete

    def close(self) -> None:
        """Leave the file, if it holds frames, or those of another detection, for a run to come; else remove it."""
        if not len(self) and not (self.foreign and not self._end):
            self.discard()
        self._close_file()

    def discard(self) -> None:
        """Remove the file, and the folders that were made for it and are empty."""
        if self._file is not None:
            self.path.unlink(missing_ok=True)
        self._close_file()
        self._usable = False
        for folder in reversed(self._made):
            try:
                folder.rmdir()
            except OSError:
                break
        self._made = []

    @classmethod
    def clear(cls, path: Path, digest: str) -> None:
        """Remove the file if it is of this detection and no run uses it, as its results are there."""
        left = cls(path, digest)
        left.close() if left.foreign else left.discard()

    def _close_file(self) -> None:
        """Close the file, and give up what a full disk did not take: that was told before."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None

    def _open(self) -> None:
        """Open and lock the file; it is made if it is not there."""
        folder = self.path.parent
        self._made += [d for d in reversed((folder, *folder.parents)) if not d.exists()]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.path.touch()
            file = self.path.open("r+b")
        except OSError:
            if self._end or not self.path.exists():
                raise
            self._usable = False  # another user's
            return
        if not lock(file.fileno()):
            file.close()
            self._usable = False  # another run's
            return
        self._file = file

    def _write(self, head: dict[str, Any], values: bytes = b"") -> None:
        assert self._file is not None
        content = json.dumps(head).encode() + b"\n" + values
        self._file.seek(self._end)
        self._file.truncate()
        self._file.write(b"%d %d\n" % (len(content), zlib.crc32(content)) + content)
        self._file.flush()
        self._end = self._file.tell()

    def _read(self, file: IO[bytes]) -> None:
        try:
            for index, (head, values, end) in enumerate(_records(file)):
                if index == 0:
                    if head["format"] != FORMAT or head["digest"] != self.digest:
                        self.foreign = True
                        return
                else:
                    people, joints = head["people"], head["joints"]
                    points = iter(np.frombuffer(values, "<f4").reshape(-1, max(joints, 1), 3))
                    frames = [[Detection((p := next(points))[:, :2], p[:, 2], id) for id in frame] for frame in people]
                    times = [float(t) for t in head["times"]]
                    if len(times) != len(frames):
                        return
                    self.found += frames
                    self.times += times
                    self._kept = len(self.times)
                    self.state, self.complete = head["state"], bool(head["complete"])
                self._end = end
        except (OSError, ValueError, KeyError, TypeError, RecursionError, StopIteration):
            return  # not written by this program: what was read before counts


def _records(file: IO[bytes]) -> Iterator[tuple[dict[str, Any], bytes, int]]:
    """Yield the head, the joints and the end of each whole record."""
    while words := file.readline(_LONGEST_LINE).split():
        length, checksum = map(int, words)
        content = file.read(max(length, 0))
        if len(content) != length or zlib.crc32(content) != checksum:
            return
        head, _, values = content.partition(b"\n")
        yield json.loads(head), values, file.tell()
