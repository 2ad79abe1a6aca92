"""Results of one input, written together into a folder: poses, overlay, page, contact sheet, angles, exports."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from posemamba.cli.lift.earlier_results import RESULT, find_poses, marks_of
from posemamba.io.keypoints.detected import FILE as KEYPOINTS
from posemamba.io.keypoints.detected import Detected, is_detected, write_detected
from posemamba.poses import Keypoints2D
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.files import atomic_files
from posemamba.utils.memory import give_back
from posemamba.utils.progress import Stages

if TYPE_CHECKING:
    from posemamba.detect import Unfinished
    from posemamba.io.video.clip import Clip
    from posemamba.poses import Poses3D
    from posemamba.show.contact_sheet import ContactSheet
    from posemamba.show.page_pictures import PagePictures

SHEET = "people.jpg"
PICTURED = 20_000
"""Frames of the longest video whose pictures are put into the page without being asked for: the video is read again."""

_PHOTO, _VIDEO = 1440, 720
"""The largest heights of overlays in pixels."""


@dataclass
class Results:
    """The results of one input, before they are written.

    Attributes:
        poses: one person, or several.
        numbered: names with the person's number, `poses_1.npz`.
        overlay, viewer: write them.
        overlay_angles: write angles at the overlay's joints.
        call: digest of the input and the options, for `is_done`.
        people: everybody in the clip, of whom `poses` holds the chosen ones.
        detected: what a detector found, to be kept; None: the input is a keypoint file.
        kept: the detector was not needed, as an earlier call's joints were there.
        unfinished: keeps the joints while a detector finds them.
        source: the input; it stays if it lies in the folder of the results.
        angles, angle_errors: of each person; empty: none were asked for.
        exports: further formats of the poses.
        world, rig: where the person is in them, and the names of their joints; as of `write_motion`.
        video: what the poses come from; None: nothing to draw on.
        sound: the overlay gets the video's.
        viewer_video: put its pictures into the page; None: if it has at most `PICTURED` frames and can be read.
        notes: what the user should know, and of which files; filled while writing.
        marks: of the source, where they are not those of its file here (`marks_of`).
    """

    poses: list[Poses3D]
    numbered: bool = False
    overlay: bool = True
    viewer: bool = True
    overlay_angles: bool = False
    call: str = ""
    video: Path | Clip | None = None
    sound: bool = True
    viewer_video: bool | None = False
    people: list[Keypoints2D] = field(default_factory=list)
    detected: Detected | None = None
    kept: bool = False
    unfinished: Unfinished | None = None
    source: Path | None = None

    def __post_init__(self) -> None:
        self.angles: list[Any] = []
        self.angle_errors: list[Any] = []
        self.exports: tuple[str, ...] = ()
        self.world: str | None = None
        self.rig = "posemamba"
        self.notes: dict[str, list[str]] = {}
        self.marks: list[str] = []


def write_results(out: Path, results: Results, stages: Stages) -> list[Path]:
    """Write all results, then put them in place together; those of an earlier call that this one lacks go.

    Raises:
        PoseMambaError: something cannot be written; nothing has changed then.
    """
    from posemamba.io.motion.npz import save_poses_json, save_poses_npz

    earlier = any(find_poses(out))

    def obsolete(file: Path) -> bool:  # else the folder would show two clips
        return earlier and _is_ours(file, results)

    try:
        with atomic_files(out, obsolete) as folder:
            sheet = _empty_sheet(out, results)
            pictures = None
            if results.overlay:
                pictures = _empty_pictures(results)
                _draw(folder / overlay_name(results), results, sheet, pictures, stages)
                give_back(len(results.poses[0]))
            if results.viewer:
                _write_page(folder / "viewer.html", results, pictures, stages)
            _write_found(folder, out, results, sheet, stages)
            with stages("writing"):
                _write_angles(folder, results)
                _write_exports(folder, results)
                names = [file.name for file in folder.iterdir()]
                for poses in results.poses:
                    end = _end(results, poses)
                    names += [f"poses{end}.npz", f"poses{end}.json"]
                for poses in results.poses:
                    if results.call:
                        marks = [] if results.source is None else results.marks or marks_of(results.source)
                        poses.details["call"] = {"digest": results.call, "files": sorted(names), "source": marks}
                    save_poses_npz(folder / f"poses{_end(results, poses)}.npz", poses)
                    save_poses_json(folder / f"poses{_end(results, poses)}.json", poses)
            names = [file.name for file in folder.iterdir()]
    except OSError as error:
        raise PoseMambaError(f"{out}: cannot write there ({error.strerror or error})") from error
    return [out / name for name in sorted(names, key=_order)]


def write_people(out: Path, results: Results, stages: Stages) -> list[str]:
    """Write who was found although nobody could be lifted; returns the files' names.

    Nothing is written into a folder with results, which may be of another clip.
    """
    if results.detected is None or any(find_poses(out)):
        return []
    with atomic_files(out) as folder:
        _write_found(folder, out, results, _empty_sheet(out, results), stages)
        return sorted(file.name for file in folder.iterdir())


def has_sheet(results: Results) -> bool:
    """Tell whether a contact sheet is written: of several people in pictures."""
    return len(results.people) > 1 and results.video is not None


def _empty_sheet(out: Path, results: Results) -> ContactSheet | None:
    """Return the contact sheet that is to be filled; None: there is none, or that of an earlier call is copied."""
    if not has_sheet(results) or _has_earlier_sheet(out, results):
        return None
    from posemamba.show.contact_sheet import ContactSheet

    return ContactSheet(results.people)


def _has_earlier_sheet(out: Path, results: Results) -> bool:
    return results.kept and (out / SHEET).is_file()  # of the same joints, written together with them


def _write_found(folder: Path, out: Path, results: Results, sheet: ContactSheet | None, stages: Stages) -> None:
    """Write the joints of everybody and the contact sheet; those of an earlier call are copied from `out`."""
    if results.detected is not None:
        with stages("writing"):
            if results.kept:
                shutil.copyfile(out / KEYPOINTS, folder / KEYPOINTS)
            else:
                write_detected(folder / KEYPOINTS, results.detected)
    if has_sheet(results) and _has_earlier_sheet(out, results):
        shutil.copyfile(out / SHEET, folder / SHEET)
    if sheet is not None:
        with stages("people") as progress:
            if not sheet.full:
                sheet.fill(cast("Path | Clip", results.video), progress)
            sheet.save(folder / SHEET)


def _is_ours(file: Path, results: Results) -> bool:
    """Tell whether a file in the folder of results is one of an earlier call's."""
    source = None if results.source is None else results.source.resolve()
    if source == (file.parent / KEYPOINTS).resolve() and file.name in (KEYPOINTS, SHEET):
        return False  # the input, and the picture that belongs to it
    return is_detected(file) if file.name == KEYPOINTS else RESULT.fullmatch(file.name) is not None


def _order(name: str) -> tuple[int, str]:
    first = next((i for i, part in enumerate(("poses", "angles")) if name.startswith(part)), 2)
    return first, name


def _end(results: Results, poses: Poses3D) -> str:
    return f"_{poses.person}" if results.numbered else ""


def overlay_name(results: Results) -> str:
    """Return the overlay's file name: of a photo, or any clip of one frame, a picture."""
    return "overlay.png" if len(results.poses[0]) == 1 else "overlay.mp4"


def _has_pictures(results: Results) -> bool:
    """Tell whether the video's pictures are to be put into the page."""
    wanted = results.viewer_video
    if wanted is None:
        wanted = len(results.poses[0]) <= PICTURED
    return results.viewer and results.video is not None and wanted


def _empty_pictures(results: Results) -> PagePictures | None:
    """Return pictures for the page that are filled while the overlay is drawn; None: the page has none."""
    if not _has_pictures(results):
        return None
    from posemamba.show.page_pictures import PagePictures

    return PagePictures(len(results.poses[0]), len(results.poses))


def _draw(
    path: Path, results: Results, sheet: ContactSheet | None, pictures: PagePictures | None, stages: Stages
) -> None:
    """Draw the overlay; contact sheet and pictures are filled by the way, so that the video is decoded once for all."""
    from posemamba.refine.angles import joint_angles
    from posemamba.show.overlay import write_overlay

    video = cast("Path | None", results.video)  # a Clip is read like a path
    photo = path.suffix == ".png"
    height, sound = _PHOTO if photo else _VIDEO, results.sound and not photo
    with stages("drawing") as progress:
        angles = None
        if results.overlay_angles:
            angles = results.angles or [joint_angles(poses) for poses in results.poses]
        write_overlay(
            path,
            video,
            results.poses,
            height=height,
            sound=sound,
            marks=[_levels(poses) for poses in results.poses],
            angles=angles,
            also=() if video is None else tuple(each.take for each in (sheet, pictures) if each is not None),
            progress=progress,
        )


def _levels(poses: Poses3D) -> NDArray[np.uint8]:
    """Return the level of each frame's mark, (F,): 0 good, 1 to be looked at, 2 not to be trusted."""
    return np.zeros(len(poses), np.uint8) if poses.trust is None else poses.trust.levels


def _write_page(path: Path, results: Results, pictures: PagePictures | None, stages: Stages) -> None:
    """Write the page; without pictures that are there already the video is read again for them."""
    from posemamba.show.page_pictures import pictures_of
    from posemamba.show.viewer import write_viewer

    first = results.poses[0]
    with stages("page") as progress:
        if pictures is None and _has_pictures(results):
            try:
                pictures = pictures_of(cast("Path", results.video), first, progress, len(results.poses))
            except PoseMambaError as error:
                if results.viewer_video:
                    raise
                results.notes.setdefault(f"without the video's pictures: {error}", []).append(path.name)
        write_viewer(
            path,
            results.poses,
            angles=results.angles or None,
            angle_errors=results.angle_errors or None,
            pictures=pictures,
        )


def _write_angles(folder: Path, results: Results) -> None:
    from posemamba.io.motion.npz import save_angles_csv

    if not results.angles:
        return
    for index, poses in enumerate(results.poses):
        file = f"angles{_end(results, poses)}.csv"
        save_angles_csv(folder / file, poses, results.angles[index], results.angle_errors[index])
        if poses.network.angle_errors is None:
            text = f"no expected errors, as the weights {poses.model} do not tell those of angles (posemamba calibrate)"
            results.notes.setdefault(text, []).append(file)


def _write_exports(folder: Path, results: Results) -> None:
    from posemamba.io.motion import EXPORTS, OWN, on_floor, write_motion
    from posemamba.refine.floor import stand

    stood: list[Poses3D] | None = None
    for name in results.exports:
        people = results.poses
        if on_floor(name, results.world):  # together, so that they keep their distances
            people = stood = stood or stand(results.poses)
        for poses in people:
            file = f"poses{_end(results, poses)}{EXPORTS[name].suffix}"
            rig = results.rig if EXPORTS[name].has_rig else OWN
            for line in write_motion(folder / file, poses, name, world=results.world, rig=rig):
                results.notes.setdefault(line, []).append(file)
