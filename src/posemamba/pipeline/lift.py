"""One call from a file to 3D poses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from posemamba.io.inputs import Input, find_inputs
from posemamba.lifting.lifter import Lifter
from posemamba.pipeline.people import Reading
from posemamba.poses import Keypoints2D, Poses3D
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.progress import Progress


def lift(
    source: str | Path,
    *,
    person: str | int = "longest",
    weights: str | Path = "posemamba-s",
    device: str | None = None,
    lifter: Lifter | None = None,
    progress: Progress | None = None,
    **reading: Any,
) -> list[Poses3D]:
    """Lift the people of a video, of pictures or of a keypoint file to 3D.

    >>> (poses,) = lift("walk.mp4")
    >>> everybody = lift("keypoints.json", person="all", fps=25)

    Args:
        source: a video, a picture, a folder of the pictures of a clip, or a file or folder of 2D keypoints.
        person: ``longest`` (who is seen longest), ``largest``, ``all``, or a person's number from 1 on.
        weights: a bundled name, a weights file, or a released checkpoint.
        device: ``cpu``, ``cuda``, ...; None: an NVIDIA GPU if there is one, else the CPU.
        lifter: used in place of `weights` and `device`; make one for many calls, so that weights are read once.
        progress: called as progress(done, total), first while joints are found, then while they are lifted.
        reading: start, end (seconds), detector, mode, fps, format, skeleton, image_size, video and so on: the fields
            of `posemamba.pipeline.people.Reading`.

    Returns:
        The poses of each chosen person: joints relative to the pelvis in the camera's frame (x right, y down, z away).

    Raises:
        PoseMambaError: the source cannot be read, holds nobody, or an option does not fit it.
    """
    one = _input(Path(source), keypoints=reading.get("format") is not None)
    try:
        chosen = Reading(person=str(person), **reading)
    except TypeError as error:
        raise PoseMambaError(f"lift: {error}; known are {', '.join(Reading.__dataclass_fields__)}") from None
    chosen.check([one])
    lifter = lifter or Lifter.from_pretrained(weights, device=device)
    detector = None if one.kind == "keypoints" else chosen.make_detector(device or "auto")
    people = chosen.people(one, detector=detector, progress=progress)
    return lift_input(one, chosen, people, lifter, progress)


def lift_input(
    one: Input, reading: Reading, people: list[Keypoints2D], lifter: Lifter, progress: Progress | None = None
) -> list[Poses3D]:
    """Lift the people found in an input; the detector goes on the record of each result.

    Raises:
        PoseMambaError: nobody seen, or a skeleton without a conversion.
    """
    poses = lifter.lift_people(people, progress=progress)
    if one.kind != "keypoints":
        name = f"mediapipe {reading.mode_of(one)}" if reading.uses_mediapipe else str(reading.detector)
        for keypoints, lifted in zip(people, poses, strict=True):
            bridged = keypoints.seen & ~(keypoints.confidence > 0).any(-1)
            lifted.details["detector"] = name
            lifted.details["frames_bridged"] = int(bridged.sum())
    return poses


def _input(source: Path, keypoints: bool) -> Input:
    if not source.exists():
        raise PoseMambaError(f"{source}: no such file")
    inputs = find_inputs([source], Path(), keypoints=keypoints)
    if len(inputs) != 1:
        raise PoseMambaError(f"{source}: holds {len(inputs)} inputs, expected one; lift each by itself")
    return inputs[0]
