"""Targets of files that commands keep for later calls: records of failures and of detections, runs, reports."""

from __future__ import annotations

import csv
import json
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from tests.fuzz.mutate import Random
from tests.fuzz.target import Target, command

DIGEST = "0" * 24
UNFINISHED = "keypoints.unfinished"


def make(folder: Path) -> None:
    """Write whole files; those of `seeds.py` are there."""
    _write_tables(folder / "many")
    with _networks():
        _write_unfinished(folder)
    (folder / "journal.json").write_text(json.dumps({"moved": ["poses.npz"], "removed": ["old.csv"]}))
    _write_run(folder)
    _write_bench(folder / "bench.json")


def _write_tables(folder: Path) -> None:
    from posemamba.cli.lift.cluster import FAILURE_COLUMNS
    from posemamba.show.summary import COLUMNS

    folder.mkdir()
    with (folder / "failed.csv").open("w", newline="", encoding="utf-8") as file:
        rows = [[f"/videos/{name}.npz", "not a keypoint file", DIGEST] for name in ("bad", "worse")]
        csv.writer(file).writerows([FAILURE_COLUMNS, *rows])
    cells = ["walk", 1, "good", 100, 31, 12, 0.48, 0, "", "seen well", "", "walk", "walk/viewer.html", ""]
    assert len(cells) == len(COLUMNS)
    with (folder / "summary.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, cells, [*cells[:11], "of an earlier call", *cells[12:]]])


class _Finder:
    """A finder that sees one person whatever the picture shows."""

    def __init__(self, threads: int | None = None) -> None:
        pass

    def __call__(self, rgb: Any, squares: Any, small: Any = ()) -> list[Any]:
        from posemamba.detect.blazepose.finder import Found

        seen = _Landmarks("lite")(rgb, None)
        return [Found(0.95, seen.box, seen.region)]


class _Landmarks:
    """A network that finds that person's joints."""

    def __init__(self, size: str, threads: int | None = None) -> None:
        pass

    def __call__(self, rgb: Any, region: Any) -> Any:
        from tests.fuzz.seeds import people_of

        from posemamba.detect.blazepose.landmarks import Landmarks
        from posemamba.poses.skeletons import BLAZEPOSE33

        xy = people_of(BLAZEPOSE33, 1)[0].xy[0].astype(np.float64)
        hips = xy[23:25].mean(0)
        return Landmarks(xy, np.ones(33), np.ones(33), 0.95, hips, hips - [0, 60])


def _networks() -> ExitStack:
    """Put the two in the place of BlazePose's networks; all else of the detector is as it is."""
    stack = ExitStack()
    stack.enter_context(mock.patch("posemamba.detect.blazepose.PersonFinder", _Finder))
    stack.enter_context(mock.patch("posemamba.detect.blazepose.LandmarkNetwork", _Landmarks))
    return stack


def _write_unfinished(folder: Path) -> None:
    """Write what a detection of the video leaves that is interrupted after four of its frames."""
    from posemamba.detect.blazepose import BlazePoseDetector
    from posemamba.detect.unfinished import Unfinished

    detector, part = BlazePoseDetector(), Unfinished(folder / UNFINISHED, DIGEST)
    detector.begin(25)
    found: list[Any] = []
    for frame in range(4):
        found.append(detector(np.full((240, 320, 3), 90 + frame, np.uint8)))
        if frame % 2:
            part.save(found, [i / 25 for i in range(len(found))], detector.state)
    part.close()


def _write_run(folder: Path) -> None:
    import torch

    from posemamba.train.recipe import load_recipe

    run = folder / "runs" / "human36m_s"
    (run / "logs" / "from_step_0").mkdir(parents=True)
    recipe = load_recipe("human36m").of_pass(10).model_dump(mode="json")
    details = {"p1": 41.5, "val_p1_test": 41.5, "val_p2_test": 34.9, "training_seconds": 9.5}
    torch.save({"state_dict": {}, "recipe": recipe, "step": 970, "details": details}, run / "best.pt")
    torch.save({"global_step": 1200, "training_seconds": 11.5, "recipe": recipe}, run / "last.ckpt")
    rows = [f"{step},0,{90 - step},{95 - step},{60 - step}" for step in range(0, 40, 5)]
    text = "\n".join(["step,epoch,train_mm,val_p1_test,val_p2_test", *rows])
    (run / "logs" / "from_step_0" / "metrics.csv").write_text(text)
    shutil.copy(folder / "scores.json", folder / "test.json")


def _write_bench(path: Path) -> None:
    row = {"compiled": False, "graph": False, "task": "forward", "clips": 1, "status": "ok", "parameters": 860_000}
    rows = [
        {**row, "spec": name, "model": name, "precision": "float32", "frames": frames, "window": frames}
        | {"times_ms": [10.0, 11.0, 12.5], "peak_bytes": 10**8, "setup_s": 1.5, "group": "sweep"}
        for name in ("s", "motionbert")
        for frames in (81, 243)
    ]
    run = {"command": "posemamba bench", "date": "2026-01-01T00:00:00+00:00", "device": "a CPU", "cpu": "a CPU"}
    run |= {"threads": 1, "versions": {"torch": "2.10"}, "rounds": 3, "limit_s": 300.0, "reference": "motionbert"}
    run["checks"] = [{"what": "scan", "error": 1e-7, "bound": 1e-4}]
    path.write_text(json.dumps({"format": "posemamba-bench-1", "runs": [run], "rows": rows}))


# --- what is done with damaged ones


def _lift_into(out: Path, seeds: Path, *words: object) -> int:
    quick = ("--no-overlay", "--no-viewer", "--device", "cpu", "--weights", seeds / "mamba.safetensors")
    return command("lift", *words, "-o", out, *quick)


def _failed(file: Path, folder: Path, seeds: Path, draw: Random) -> int:
    """Inputs lifted as on a cluster, into a folder with tables of an earlier call of which one is damaged."""
    from posemamba.cli.lift.cluster import Record, collect, list_all, rows_of
    from posemamba.cli.lift.options import LiftOptions
    from posemamba.cli.lift.stages import LiftInputs, Setup
    from posemamba.utils.installation import __version__

    out = folder / "many"
    shutil.copytree(seeds / "many", out)
    shutil.copy(file, out / file.name)
    bad = folder / "bad.npz"
    bad.write_bytes(b"no npz")
    sources = draw.choice(([seeds / "one.npz", bad], [bad, seeds / "one.npz"]))
    options = LiftOptions(
        sources=[], out=out, weights=str(seeds / "mamba.safetensors"), overlay=False, viewer=False, device="cpu"
    )
    work = LiftInputs(Setup(options, str(out), str(folder), version=__version__))
    record = Record(str(out), inputs := list_all(sources, out), draw.random() < 0.5)
    before = record.before
    if before and draw.random() < 0.5:  # an input that failed before with the same options
        before = {str(bad): (work.worker.digest(inputs[sources.index(bad)]), next(iter(before.values()))[1])}
    rows = (done for row in rows_of(inputs, str(out), before) for done in work([row]))
    return collect(rows, record, lambda line: None)


def _summary(file: Path, folder: Path, seeds: Path, draw: Random) -> int:
    """Two inputs lifted into a folder with results, or a summary, of an earlier call that are damaged."""
    out = folder / "many"
    if file.suffix == ".npz":
        home = out / draw.choice(("earlier", "one"))
        home.mkdir(parents=True)
        shutil.copy(file, home / "poses.npz")
    else:
        out.mkdir()
        shutil.copy(file, out / draw.choice(("summary.csv", "summary.html")))
    return _lift_into(out, seeds, seeds / "one.npz", seeds / "feet.npz", "--jobs", 1)


def _unfinished(file: Path, folder: Path, seeds: Path, draw: Random) -> int:
    """A video lifted into a folder in which an interrupted detection of it is damaged."""
    out = folder / "there"
    out.mkdir()
    shutil.copy(file, out / UNFINISHED)
    with _networks(), mock.patch("posemamba.pipeline.lift.Reading.detection_digest", lambda self, one: DIGEST):
        return _lift_into(out, seeds, seeds / "video.mp4")


def _exchange(file: Path, folder: Path, seeds: Path, draw: Random) -> int:
    """A clip lifted into a folder in which a killed call left a damaged record of the files to exchange."""
    out = folder / "there"
    inner = out / ".unfinished.abc"
    inner.mkdir(parents=True)
    shutil.copy(seeds / "poses.npz", inner / "poses.npz")
    shutil.copy(file, inner / ".journal")
    beside = folder / "kept.txt"
    for kept in (beside, out / "old.csv"):
        kept.write_text("kept")
    code = _lift_into(out, seeds, seeds / "one.npz")
    assert beside.read_text() == "kept", "a file outside of the folder of results was touched"
    return code


def _table(file: Path, folder: Path, seeds: Path, draw: Random) -> int | None:
    """A table of runs of which one file is damaged."""
    from posemamba.train.logs import cut_logs

    run = folder / "runs" / "human36m_s"
    shutil.copytree(seeds / "runs" / "human36m_s", run)
    log = file.name == "metrics.csv"
    shutil.copy(file, run / "logs" / "from_step_0" / file.name if log else run / file.name)
    if log and draw.random() < 0.3:
        cut_logs(run, 10)
        return None
    more: tuple[object, ...] = ("--curves", folder / draw.choice(("out.csv", "out.csv", "out.png")))
    if not log:
        more = draw.choice(((), ("--format", "latex"), ("--format", "csv")))
    return command("table", draw.choice((1, 4, 5)), "--runs", folder / "runs", "-o", folder / "out.txt", *more)


def _bench(file: Path, folder: Path, seeds: Path, draw: Random) -> int:
    more = draw.choice(((), (), ("--plot-lengths", folder / "out.png")))
    return command("bench", "--from", file, "--json", folder / "out.json", *more)


RUN = {
    "runs/human36m_s/best.pt": "torch",
    "runs/human36m_s/last.ckpt": "torch",
    "runs/human36m_s/logs/from_step_0/metrics.csv": "csv",
    "test.json": "json",
}
TARGETS = {
    "failures of many": Target({"many/failed.csv": "csv", "many/summary.csv": "csv"}, _failed, 1),
    "summary": Target({"poses.npz": "npz", "many/summary.csv": "csv"}, _summary, 1),
    "interrupted detection": Target({UNFINISHED: "records"}, _unfinished, 1.5),
    "interrupted exchange": Target({"journal.json": "json"}, _exchange, 0.7),
    "table": Target(RUN, _table, 1),
    "bench": Target({"bench.json": "json"}, _bench, 0.7),
}
