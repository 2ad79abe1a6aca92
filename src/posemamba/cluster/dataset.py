"""Lifting as a step of a Ray Data pipeline of one's own."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from posemamba.cluster.session import load_ray
from posemamba.cluster.stream import Stage, attach, gpus
from posemamba.io.addresses import address_of, fetch, stand_in
from posemamba.io.inputs import find_inputs
from posemamba.pipeline.lift import Found, View, lift_found
from posemamba.pipeline.reading import Reading
from posemamba.poses import Poses3D
from posemamba.utils.errors import PoseMambaError

if TYPE_CHECKING:
    from posemamba.detect import Detector
    from posemamba.lifting.lifter import Lifter

TOGETHER = 16
"""Files whose windows are lifted in one batch."""


def lift_dataset(
    data: Any,
    *,
    column: str = "path",
    person: str | int = "longest",
    weights: str | Path = "posemamba-s",
    device: str | None = None,
    height_m: float | None = None,
    fov: float | None = None,
    camera_roll: float | None = None,
    gpu_share: float = 0.5,
    **reading: Any,
) -> Any:
    """Lift the files that a Ray dataset names, and return a Ray dataset with a row for each person; nothing runs yet.

    A file that cannot be lifted has one row, with its `error`. A GPU of the cluster is shared by several lifting
    processes, which find the joints in videos, too; without GPUs each process takes a processor. Nothing is written:
    that is the pipeline's part.

    >>> files = ray.data.from_items([{"path": "a.npz"}, {"path": "s3://bucket/b.mp4"}])
    >>> for row in lift_dataset(files).iter_rows():
    ...     print(row["path"], row["error"] or row["xyz"].shape)

    Args:
        data: a Ray dataset.
        column: the column with the files' paths, which every machine must see, or addresses.
        person, weights, height_m, fov, camera_roll, reading: see `posemamba.lift`.
        device: ``cpu``, ``cuda``; None: the cluster's GPUs if there are any.
        gpu_share: the share of a GPU that a process takes.

    Returns:
        A dataset with the columns `path`, `person` (from 1 on), `fps`, `verdict`, `error` ("" if there is none), and as
        arrays `xyz` (F, 17, 3) in metres, `confidence`, `expected_error` (F, 17), NaN where it is not known, `seen`,
        `trust_level` and `times` (F,).

    Raises:
        PoseMambaError: Ray is missing, or an option is wrong.
    """
    load_ray()
    chosen = Reading.by_keywords("lift_dataset", {"person": str(person), **reading})
    view = View(fov, camera_roll).checked()
    on_gpu = device != "cpu" and gpus() > 0
    stage = Stage("lift", LiftFiles, batch=TOGETHER, gpus=gpu_share if on_gpu else 0.0)
    arguments = {"column": column, "reading": chosen, "view": view, "weights": str(weights), "height_m": height_m}
    return attach(data, stage, LiftFiles, arguments | {"device": device})


class LiftFiles:
    """The work of `lift_dataset` on a batch of files; weights and detectors are loaded once."""

    def __init__(
        self, column: str, reading: Reading, view: View, weights: str, height_m: float | None, device: str | None
    ) -> None:
        """Keep the options, which are those of `lift_dataset`."""
        self._column, self._reading, self._view, self._height = column, reading, view, height_m
        self._weights, self._device = weights, device
        self._lifter: Lifter | None = None
        self._detectors: dict[str, Detector] = {}

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Return the columns of `lift_dataset` for a batch with the column of paths."""
        from posemamba.lifting.lifter import Lifter

        if self._lifter is None:
            self._lifter = Lifter.from_pretrained(self._weights, device=self._device)
        paths = [str(path) for path in batch[self._column]]
        with tempfile.TemporaryDirectory(prefix="posemamba_") as folder:
            found = [self._find(path, Path(folder) / str(number)) for number, path in enumerate(paths)]
            able = [each for each in found if isinstance(each, Found)]
            results = iter(lift_found(able, self._reading, self._lifter, self._view))
        rows: list[dict[str, Any]] = []
        for path, each in zip(paths, found, strict=True):
            result = next(results) if isinstance(each, Found) else each
            rows += _rows(path, result)
        return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}

    def _find(self, path: str, folder: Path) -> Found | PoseMambaError:
        """Return who is in a file, which is copied into the folder first if it is at an address."""
        try:
            local = Path(path)
            if (address := address_of(path)) is not None:
                folder.mkdir()
                local = stand_in(address, folder)
                fetch(address, local)
            elif not local.exists():
                raise PoseMambaError(f"{path}: no such file")
            inputs = find_inputs([local], Path(), keypoints=self._reading.format is not None)
            if len(inputs) != 1:
                raise PoseMambaError(f"{path}: holds {len(inputs)} inputs, expected one; name each in a row")
            (one,) = inputs
            self._reading.check([one])
            detector = None
            if one.kind != "keypoints":
                mode = self._reading.mode_of(one)
                if mode not in self._detectors:
                    self._detectors[mode] = self._reading.make_detector(self._device or "auto", mode=mode)
                detector = self._detectors[mode]
            people = self._reading.people(one, detector=detector)
            return Found(one, people, (self._height,) * len(people))
        except PoseMambaError as error:
            return error


def _rows(path: str, result: Sequence[Poses3D] | PoseMambaError) -> list[dict[str, Any]]:
    """Return the row of each person, or that of the error."""
    if isinstance(result, PoseMambaError):
        none = np.empty(0, np.float32)
        arrays = {"xyz": none.reshape(0, 17, 3), "confidence": none.reshape(0, 17), "seen": np.empty(0, bool)}
        arrays |= {"expected_error": none.reshape(0, 17), "trust_level": np.empty(0, np.uint8)}
        return [
            {"path": path, "person": 0, "fps": 0.0, "verdict": "", "error": str(result), "times": np.empty(0)} | arrays
        ]
    rows = []
    for poses in result:
        expected, trust = poses.expected_error, poses.trust
        rows.append(
            {
                "path": path,
                "person": poses.person,
                "fps": float(poses.fps),
                "verdict": "" if trust is None else trust.word,
                "error": "",
                "times": poses.frame_times(),
                "xyz": poses.xyz,
                "confidence": poses.confidence,
                "seen": poses.seen,
                "expected_error": np.full_like(poses.confidence, np.nan) if expected is None else expected,
                "trust_level": np.zeros(len(poses), np.uint8) if trust is None else trust.levels,
            }
        )
    return rows
