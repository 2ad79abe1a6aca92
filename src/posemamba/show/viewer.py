"""The viewer: a web page of a clip's pictures, 2D keypoints, 3D poses and angles, in one file that needs no network.

Its style and its program lie in parts in the folder ``page`` and are put together here.
Shapes: P people, F frames.
"""

from __future__ import annotations

import html
import importlib.resources
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from posemamba.poses import Poses3D
from posemamba.show.page_data import AngleErrors, Angles, Trust, page_data
from posemamba.show.page_pictures import PagePictures, pictures_of
from posemamba.show.people import as_people
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.files import atomic_path
from posemamba.utils.progress import Progress

_SCRIPTS = (
    "data", "space", "body", "webgl", "painter", "state", "media", "flat", "camera", "timeline", "plot", "save",
    "compare", "input", "main",
)  # fmt: skip
"""The parts of the page's program in their order: one script, whose parts share their names."""
_STYLES = ("colours.css", "page.css")


def write_viewer(
    path: str | Path,
    poses: Poses3D | Sequence[Poses3D],
    *,
    title: str = "",
    video: str | Path | None = None,
    pictures: PagePictures | None = None,
    angles: Angles | Sequence[Angles] | None = None,
    angle_errors: AngleErrors | Sequence[AngleErrors] | None = None,
    trust: Trust | Sequence[Trust] | None = None,
    progress: Progress | None = None,
) -> None:
    """Write one self-contained HTML page with an interactive view of `poses`.

    Coordinates are stored as 16-bit integers: the rounding is 1/65,534 of the extent, some hundredths of a pixel or of
    a millimetre. A frame of a person takes about 280 bytes, with angles 340 and with expected errors 430; the page
    itself 135 kB.

    Args:
        path: the .html file to write.
        poses: one person, or several of one clip, of F frames each; frames that were not seen are shown as such.
            Expected errors, where there are any, can be shown as discs around the joints and over time.
        title: heading of the page; any text is safe. Empty means the source's name.
        video: the video that the poses come from; small pictures of its frames are embedded in the page, of each frame
            or, so that the page stays below 15 MB, of every second, fourth, ... frame. Without it, the page's user can
            still open a video from their disk.
        pictures: the same, by a caller that has decoded the video already.
        angles: joint angles of each person, in the same order, to plot. None: they are computed
            (`posemamba.joint_angles`), with their expected errors; an empty list leaves them out.
        angle_errors: the expected errors of `angles` (`posemamba.angle_errors`), drawn around the curves, and the
            frames in which the picture hardly tells an angle.
        trust: how far each person's poses can be trusted, for the heading and the timeline. None: it is judged here;
            an empty list leaves it out.
        progress: called as progress(frames of the video done, F).

    Raises:
        PoseMambaError: people, angles or trust do not belong together; the video cannot be read or has too few
            frames.
        ValueError: there is nobody, or no frame.
    """
    people = as_people(poses)
    if angles is None:
        turned, off = _measure(people)
    else:
        turned = [angles] if isinstance(angles, Mapping) else list(angles)
        off = (
            [] if angle_errors is None else [angle_errors] if isinstance(angle_errors, Mapping) else list(angle_errors)
        )
    judged = _judge(people) if trust is None else [trust] if isinstance(trust, Mapping) else list(trust)
    _check(people, turned, off, judged)
    first = people[0]
    source = Path(first.keypoints.source).name
    title = title or source or "3D pose"
    about = [
        source if source != title else "",
        f"model {first.model}" if first.model else "",
        f"{len(people)} people" if len(people) > 1 else "",
        f"{len(first)} frames",
        f"{first.fps:.4g} frames/s",
    ]
    if video is not None and pictures is None:
        pictures = pictures_of(video, first, progress, len(people))
    strip, sizes = ("", None) if pictures is None else pictures.embedded()
    values = page_data(people, turned, off, judged)
    del turned, off  # as large as the page
    data = {
        "title": title,
        "about": " · ".join(part for part in about if part),
        **values,
        "pictures": sizes,
    }
    folder = importlib.resources.files(__package__).joinpath("page")
    read = {name: folder.joinpath(name).read_text(encoding="utf-8") for name in ("page.html", *_STYLES)}
    script = "".join(folder.joinpath(f"{name}.js").read_text(encoding="utf-8") for name in _SCRIPTS)
    parts = {
        "title": html.escape(title),
        "style": "".join(read[name] for name in _STYLES),
        "pictures": strip,
        "script": script,
    }
    pieces = re.split(r"\{\{(title|style|data|pictures|script)\}\}", read["page.html"])
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for number, piece in enumerate(pieces):
            if number % 2 and piece == "data":
                file.writelines(_embedded(data))
            else:
                file.write(parts[piece] if number % 2 else piece)


def _measure(people: Sequence[Poses3D]) -> tuple[list[Angles], list[AngleErrors]]:
    """Compute everybody's angles and their expected errors, without the angles that are blank throughout."""
    from posemamba.refine.angle_accuracy import angle_errors
    from posemamba.refine.angles import joint_angles

    angles: list[Angles] = []
    errors: list[AngleErrors] = []
    for person in people:
        known = {name: values for name, values in joint_angles(person).items() if np.isfinite(values).any()}
        angles.append(known)
        errors.append({name: error for name, error in angle_errors(person).items() if name in known})
    return angles, errors


def _judge(people: Sequence[Poses3D]) -> list[Trust]:
    from posemamba.quality.trust import judge

    return [judge(person).page() for person in people]


def _check(
    people: Sequence[Poses3D], angles: Sequence[Angles], errors: Sequence[AngleErrors], trust: Sequence[Trust]
) -> None:
    name = people[0].keypoints.source or "poses"
    frames = len(people[0])
    if angles and len(angles) != len(people):
        raise PoseMambaError(f"{name}: angles of {len(angles)} people for {len(people)}; give one for each")
    if errors and len(errors) != len(angles):
        raise PoseMambaError(
            f"{name}: errors of the angles of {len(errors)} people for {len(angles)}; give all or none"
        )
    if trust and len(trust) != len(people):
        raise PoseMambaError(f"{name}: trust of {len(trust)} people for {len(people)}; give one for each")
    for own in angles:
        for angle, values in own.items():
            if np.shape(values) != (frames,):
                raise PoseMambaError(
                    f"{name}: angle '{angle}' has the shape {np.shape(values)}, expected ({frames},), one a frame"
                )


def _embedded(data: dict[str, object]) -> Iterator[str]:
    """Yield JSON that is safe between script tags: no character in it can end the element or start a comment."""
    for text in json.JSONEncoder(allow_nan=False).iterencode(data):  # ASCII: other characters are escaped already
        yield text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
