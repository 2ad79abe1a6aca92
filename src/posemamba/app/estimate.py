"""The time that a job still takes, from its pace so far and what stages cost beside each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from posemamba.app.jobs import Job
from posemamba.io.inputs import Kind

FINDING, LIFTING, REFINING, DRAWING, PAGE, WRITING = (
    "finding joints", "lifting", "refining", "drawing", "page", "writing",
)  # fmt: skip
_DETECTORS = {"": 53.0, "full": 25.0, "lite": 20.0, "rtmpose": 120.0}
_MODELS = {"": 1.0, "posemamba-b": 2.2, "posemamba-l": 4.5}
_LIFTING, _DRAWING, _REFINING, _PAGE, _WRITING, _DECODING = 0.8, 14.0, 0.3, 0.3, 0.5, 6.0
# milliseconds a frame on two cores, roughly: what counts is how they compare, as the pace of the job scales them
_START = 2.0  # seconds until the model is there


def plan(options: Mapping[str, Any], kind: Kind) -> dict[str, float]:
    """Return the stages of a job in their order, and the milliseconds a frame that each takes on two cores."""
    text = str(options.get("every"))
    every = max(1, int(text)) if text.isdecimal() and len(text) < 6 else 1
    twice = 2 if options.get("flip", True) else 1
    searched = _DETECTORS.get(str(options.get("detector")), 53.0) / every + _DECODING
    stages = {} if kind == "keypoints" else {FINDING: searched}
    stages[LIFTING] = _LIFTING / 2 * twice * _MODELS.get(str(options.get("weights")), 1.0)
    stages[REFINING] = _REFINING
    if options.get("overlay", True) and kind != "keypoints":
        stages[DRAWING] = _DRAWING
    stages[PAGE], stages[WRITING] = _PAGE, _WRITING
    return stages


def seconds_left(job: Job, pace: float | None, elapsed: float) -> float | None:
    """Return the seconds that a running job still takes; None: not known yet.

    Args:
        job: runs.
        pace: measured seconds a frame of its stage; None: not known yet.
        elapsed: seconds since the stage began.
    """
    stages = plan(job.options, job.kind)
    frames, names = job.total or job.frames, list(stages)
    if not frames or job.stage not in names or (job.stage == FINDING and pace is None):
        return None
    expected = {name: milliseconds / 1000 * frames for name, milliseconds in stages.items()}
    own = max(0.0, expected[job.stage] - elapsed) if pace is None else pace * (frames - job.done)
    # the first stage tells how fast this computer is; the others are too short to
    measured = pace * frames if pace is not None and job.stage == FINDING else job.seconds.get(FINDING)
    speed = 1.0 if measured is None or FINDING not in expected else min(max(measured / expected[FINDING], 0.2), 5.0)
    later = sum(expected[name] for name in names[names.index(job.stage) + 1 :])
    return own + speed * later + (_START if job.stage == FINDING else 0.0)
