"""Results of one input: written together, recognised when the same is asked for again, and reported."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from posemamba.cli.lift.options import LiftOptions
from posemamba.io.inputs import Input, Kind, digest
from posemamba.io.keypoints.detected import FILE as KEYPOINTS
from posemamba.io.keypoints.detected import Detected, is_detected, read_detected, write_detected
from posemamba.poses import Keypoints2D
from posemamba.poses.keypoints import list_people
from posemamba.poses.times import find_pauses
from posemamba.utils.archives import read_npz
from posemamba.utils.errors import PoseMambaError, require
from posemamba.utils.files import atomic_files
from posemamba.utils.memory import give_back
from posemamba.utils.progress import Stages
from posemamba.utils.reading import reading

if TYPE_CHECKING:
    from posemamba.detect import Unfinished
    from posemamba.io.video.clip import Clip
    from posemamba.poses import Poses3D
    from posemamba.show.contact_sheet import ContactSheet
    from posemamba.show.page_pictures import PagePictures

SHEET = "people.jpg"
PICTURED = 20_000
"""Frames of the longest video whose pictures are put into the page without being asked for: the video is read again."""
# what lifting writes into a folder; of several people with their numbers
RESULT = re.compile(
    r"people\.jpg|overlay\.(mp4|png)|viewer\.html|angles(_\d+)?\.csv"
    r"|(poses|motion)(_\d+)?\.(npz|json|csv|tidy\.csv|trc|bvh|glb)"  # motion: of earlier versions
)

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


def find_kept(out: Path, digest: str) -> Detected | None:
    """Return the joints that an earlier call kept of the same source with the same detector; None without them."""
    try:
        kept = read_detected(out / KEYPOINTS)
    except PoseMambaError:
        return None
    return kept if kept.digest == digest else None


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


def find_poses(out: Path) -> list[Path]:
    """Return the poses of each person in a folder of results."""
    return [*out.glob("poses.npz"), *out.glob("poses_*.npz")] if out.is_dir() else []


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


def report(
    one: Input,
    results: Results,
    written: list[Path],
    stages: Stages,
    number: str = "",
    said: set[str] | None = None,
) -> None:
    """Print what was lifted and written, how far it can be trusted, and what its numbers mean.

    Args:
        one, results, written, stages: the input, and what was made of it.
        number: of the input among several, before its name.
        said: notes that were printed before, which are left out; the new ones are put into it.
    """
    said = set() if said is None else said
    from posemamba.quality.trust import verdicts

    first = results.poses[0]
    times = first.keypoints.frame_times()
    if results.numbered or first.person != 1:
        seen = "; ".join(f"person {p.person} seen in {int(p.seen.sum())}" for p in results.poses)
    else:
        seen = f"person seen in {int(first.seen.sum())}"
    kept = f"joints kept by an earlier call ({KEYPOINTS}), " if results.kept else ""
    length = f"{len(first)} frames ({times[-1] - times[0] + 1 / first.fps:.1f} s)"
    print(f"{number}{one.path.name}: {'1 picture' if len(first) == 1 else length}, {seen}; {kept}{stages}")
    if len(results.people) > 1:
        print(f"  {tell_people(results)}")
    if pauses := _pauses(times, float(first.details.get("max_gap_seconds", 1))):
        print(f"  {pauses}")
    for path in written:
        print(f"  {path}")
    for text, files in results.notes.items():
        _say(f"  {', '.join(files)}: {text}", said)
    for line in verdicts(results.poses):
        print(f"Quality: {line}")
    for line in units_note(results.poses).splitlines():
        _say(line, said)


def _pauses(times: NDArray[np.float64], longest: float) -> str:
    """Return a line about the pauses without frames, at which the clip is cut; empty if there is none."""
    before = np.flatnonzero(find_pauses(times, longest))
    if not len(before):
        return ""
    spans = [f"{times[i]:.2f}-{times[i + 1]:.2f} s" for i in before[:3]]
    more = f" and {len(before) - 3} more" if len(before) > 3 else ""
    return f"no frames at {', '.join(spans)}{more}: what comes before and after is lifted apart"


def _say(line: str, said: set[str]) -> None:
    if line not in said:
        print(line)
    said.add(line)


def units_note(people: Sequence[Poses3D]) -> str:
    """Return the lines that say what the numbers in the results mean, and on which guesses they rest."""
    first = people[0]
    where = "camera's axes (x right, y down, z away), from the camera's centre"
    if first.frame == "world":
        where = "upright world (x right, y away, z up), from the floor below the camera"
    refined = ", ".join(step.name + (" (estimated)" if step.estimate else "") for step in first.refined)
    lines = [f"3D joints are in metres in the {where}" + (f"; refined: {refined}." if refined else ".")]
    camera = first.network.camera
    fov = f"a field of view of {camera.fov(first.keypoints.image_size):.0f} degrees across the picture"
    known = {"given": " (--fov)", "file": ", as the file says", "guess": ", a guess (--fov)"}
    rests = fov + known[camera.lens]
    heights = [step for step in first.steps if step.name == "scale"]
    if heights and heights[-1].estimate:
        rests += f", and on a typical body of {heights[-1].parameters['height_m']:.2f} m (--height)"
    elif heights:
        rests += ", and on the given height"
    lines.append(f"Sizes and distances rest on {rests}.")
    return "\n".join(lines)


def tell_people(results: Results) -> str:
    """Return the line that says who is in the picture, who was taken, and how to choose."""
    listed = list_people(results.people, [poses.keypoints for poses in results.poses])
    seen = f"see {SHEET}, " if has_sheet(results) else ""
    return f"{len(results.people)} people: {listed}; {seen}choose with --person"


def check_options(options: LiftOptions, inputs: Sequence[Input]) -> None:
    """Reject options that do not fit each other or the inputs.

    Raises:
        PoseMambaError: there is such an option.
    """
    from posemamba.refine.scale import check_height

    options.reading.check(inputs)
    if options.exports:
        from posemamba.io.motion import EXPORTS

        if unknown := [name for name in options.exports if name not in EXPORTS]:
            more = "; Blender makes fbx of a glb" if unknown[0] == "fbx" else ""
            known = ", ".join(EXPORTS)
            raise PoseMambaError(f"--export names '{unknown[0]}', expected some of {known}, with commas{more}")
    options.check_export(options.exports)
    options.view.checked()
    if options.refinement:
        options.refine_options().check()
    for height in options.heights:
        check_height(height)


def check_out(out: Path, source: Path | None = None, kind: Kind = "keypoints") -> None:
    """Reject a folder for results that cannot be written.

    Args:
        out: the folder.
        source, kind: the input, and how it is read; joints of videos and pictures are kept in the folder.

    Raises:
        PoseMambaError: it is a file, cannot be made, or results would overwrite the source or keypoints of the user's.
    """
    if out.exists() and not out.is_dir():
        raise PoseMambaError(f"{out}: is a file, expected a folder for the results (-o)")
    if out.is_symlink() and not out.exists():
        raise PoseMambaError(f"{out}: is a link that leads nowhere; choose another folder (-o)")
    nearest = next(d for d in (out.absolute(), *out.absolute().parents) if d.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise PoseMambaError(f"{out}: cannot be made or written to; choose another folder (-o)")
    if source is not None and source.resolve().parent == out.resolve() and RESULT.fullmatch(source.name):
        raise PoseMambaError(f"{source}: would be overwritten by the results; choose another folder (-o)")
    if kind != "keypoints" and (out / KEYPOINTS).exists() and not is_detected(out / KEYPOINTS):
        raise PoseMambaError(
            f"{out / KEYPOINTS}: is no result of posemamba lift, or damaged, and would be overwritten; "
            "delete it, or choose another folder (-o)"
        )


def can_draw(must: bool) -> bool:
    """Tell whether the packages for overlay.mp4 are installed; warn if not.

    Raises:
        PoseMambaError: they are not, and the overlay `must` be drawn.
    """
    try:
        require("av", "video")
        require("PIL", "video")
        return True
    except PoseMambaError as error:
        if must:
            raise
        warnings.warn(f"overlay.mp4 is left out: {error}", stacklevel=2)
        return False
