"""The benchmark on calibrated views: each view lifted alone, scored against the person as the other views show them.

Shapes: F frames, J = 17 joints of Human3.6M.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from posemamba.evaluate.views.cameras import Array
from posemamba.evaluate.views.folder import LEAST_VIEWS, Folder, VideoView, find_views, read_joints
from posemamba.evaluate.views.people import choose_person
from posemamba.evaluate.views.reference import Reference, make_reference
from posemamba.evaluate.views.report import PixelErrors, ViewScore, ViewsResult
from posemamba.evaluate.views.scores import SCORED, AngleErrors, PoseErrors, angle_errors, pose_errors
from posemamba.lifting.lifter import Lifter
from posemamba.pipeline.lift import View, lift_input
from posemamba.pipeline.reading import Reading
from posemamba.poses import Keypoints2D, Poses3D
from posemamba.poses.mapping import to_h36m17
from posemamba.refine.angles import joint_angles
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.progress import Progress

Stage = Callable[[str], AbstractContextManager[Progress | None]]
"""Makes a context for a named stage, which gives the stage's progress; `posemamba.utils.progress.Stages` is one."""


@dataclass(frozen=True, kw_only=True)
class ViewsOptions:
    """Options of the benchmark.

    Attributes:
        reading: the detector; None fields are the defaults of `posemamba lift`.
        fov: degrees of the horizontal field of view, for all views; ``calibrated``: each camera's own; None: a guess,
            unless the video's metadata tell it.
        calibration: its file; None: the one of the folder.
        keypoints: a folder for 2D joints: those there are used, others are detected and put there; None: detected.
        align: fit a shift of each picture (`posemamba.evaluate.views.reference.make_reference`).
    """

    reading: Reading = field(default_factory=Reading)
    fov: float | Literal["calibrated"] | None = None
    calibration: Path | None = None
    keypoints: Path | None = None
    align: bool = True


def evaluate_views(
    folder: str | Path, lifter: Lifter, options: ViewsOptions | None = None, *, stages: Stage | None = None
) -> ViewsResult:
    """Score a lifter on a folder of calibrated, synchronised videos of one person.

    Args:
        folder: see `posemamba.evaluate.views.folder`.
        lifter: with the weights; its options are used as they are.
        options: None: the defaults.
        stages: shows progress.

    Raises:
        PoseMambaError: the folder is not complete, or fewer than three views show one person.
    """
    options, stages = options or ViewsOptions(), stages or (lambda name: nullcontext())
    found = find_views(Path(folder), options.calibration)
    options.reading.check([view.input for view in found.views])
    if options.fov is not None and options.fov != "calibrated":
        View(options.fov).checked()
    everybody, sources = [], []
    for view in found.views:
        with stages(f"joints, {view.name}") as progress:
            people, source = read_joints(view, options.reading, options.keypoints, found.frames, progress)
        everybody.append(people)
        sources.append(source)
    return score_views(found, everybody, sources, lifter, options, stages=stages)


def score_views(
    folder: Folder,
    everybody: Sequence[Sequence[Keypoints2D]],
    sources: Sequence[str],
    lifter: Lifter,
    options: ViewsOptions,
    *,
    stages: Stage | None = None,
) -> ViewsResult:
    """Score a lifter on views whose 2D joints are found; arguments as in `evaluate_views`.

    Args:
        folder: the views.
        everybody: the people of each.
        sources: where each view's joints are from.
        lifter, options, stages: see there.
    """
    stages = stages or (lambda name: nullcontext())
    frames = min(len(people[0]) for people in everybody)
    everybody = [[one.select(np.arange(frames)) for one in people] for people in everybody]
    names = [view.name for view in folder.views]
    choice = choose_person([view.camera for view in folder.views], everybody, names)
    views = [(view, person) for view, person in zip(folder.views, choice.people, strict=True) if person is not None]
    if len(views) < LEAST_VIEWS:
        raise PoseMambaError(
            f"{folder.views[0].input.path.parent.parent}: only {len(views)} of {len(names)} views show one person at "
            f"one place, expected {LEAST_VIEWS}: are the videos synchronised, and is {folder.calibration.name} theirs?"
        )
    joints = [to_h36m17(person) for _, person in views]
    scores = []
    with stages(lifter.name) as progress:
        for i, (view, person) in enumerate(views):
            others = [j for j in range(len(views)) if j != i]
            reference = make_reference(
                view.camera,
                joints[i],
                [views[j][0].camera for j in others],
                [joints[j] for j in others],
                align=options.align,
            )
            scores.append(_score(view, person, joints[i], reference, lifter, options))
            if progress is not None:
                progress(i + 1, len(views))
    return ViewsResult(
        name=lifter.name,
        flip=lifter.flip,
        frames=frames,
        fps=folder.views[0].fps,
        calibration=folder.calibration.name,
        joints_from=dict(zip(names, sources, strict=True)),
        aligned=options.align,
        notes=(*folder.notes, *_lengths(folder, frames), *choice.notes),
        views=tuple(scores),
    )


def _lengths(folder: Folder, frames: int) -> list[str]:
    longest = max(view.frames for view in folder.views)
    if longest == frames:
        return []
    return [f"views of {frames} to {longest} frames: scored are the first {frames}, which all have"]


def _score(
    view: VideoView,
    person: Keypoints2D,
    joints: Keypoints2D,
    reference: Reference,
    lifter: Lifter,
    options: ViewsOptions,
) -> ViewScore:
    """Score a view: as lifting gives it, with perfect 2D joints, and with perfect depth."""
    fov = view.camera.fov() if options.fov == "calibrated" else options.fov
    true, valid = reference.xyz, reference.valid

    def lift(keypoints: Keypoints2D) -> Poses3D:
        return lift_input(view.input, options.reading, [keypoints], lifter, View(fov))[0]

    poses, perfect = lift(person), lift(_perfect(joints, reference))
    truth = joint_angles(replace(poses, xyz=true.astype(np.float32), seen=np.asarray(valid.any(1)), feet=None))

    def score(lifted: Poses3D) -> tuple[PoseErrors, dict[str, AngleErrors]]:
        return pose_errors(lifted.xyz, true, valid), angle_errors(joint_angles(lifted), truth)

    errors, angles = score(poses)
    perfect_errors, perfect_angles = score(perfect)
    plane = reference.camera.undistort(joints.xy)
    rays = np.concatenate([plane, np.ones((*plane.shape[:-1], 1))], -1)
    return ViewScore(
        name=view.name,
        camera=view.camera.name,
        image_size=joints.image_size,
        person=person.person,
        fov_deg=view.camera.fov(),
        assumed_fov_deg=poses.network.camera.fov(joints.image_size),
        scored=errors.scored / (len(SCORED) * len(joints)),
        reference_views=reference.views,
        reference_error_mm=reference.error_mm,
        shift_px=(float(reference.shift[0]), float(reference.shift[1])),
        pixels=_pixel_errors(joints, reference.xy, valid),
        errors=errors,
        perfect_2d=perfect_errors,
        perfect_depth=pose_errors(rays * true[..., 2:], true, valid),
        angles=angles,
        perfect_2d_angles=perfect_angles,
    )


def _perfect(joints: Keypoints2D, reference: Reference) -> Keypoints2D:
    """Return the reference's projections as 2D joints of full confidence; the detector's where it is not known."""
    xy, known = reference.xy, reference.valid
    return replace(
        joints,
        xy=np.where(known[..., None], xy, joints.xy),
        confidence=np.where(known, 1, joints.confidence),
        feet=None,
    )


def _pixel_errors(joints: Keypoints2D, true: Array, valid: NDArray[np.bool_]) -> PixelErrors:
    apart = np.linalg.norm(joints.xy - true, axis=-1)[:, list(SCORED)]
    apart = apart[valid[:, list(SCORED)] & np.isfinite(apart)]
    if not len(apart):
        return PixelErrors(np.nan, np.nan, np.nan)
    return PixelErrors(float(apart.mean()), float(np.median(apart)), float(np.quantile(apart, 0.95)))
