"""The form of the application: options of ``posemamba lift`` in plain words, with their defaults.

The page draws the form from `form()`. What it sends back is checked here against the same fields, and becomes
arguments of the command; nothing else does.
"""

from __future__ import annotations

import importlib.util
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from posemamba.io.inputs import Kind
from posemamba.utils.errors import PoseMambaError

Type = Literal["text", "number", "choice", "yes"]
MAIN, CAMERA, FINDING, LIFTING, FILES, KEYPOINTS = (
    "Main", "Camera", "Finding the joints", "Lifting and refining", "Files", "Keypoint files",
)  # fmt: skip
_FOUND: tuple[Kind, ...] = ("video", "pictures")
_ALL: tuple[Kind, ...] = ("video", "pictures", "keypoints")
_LONGEST = 200


@dataclass(frozen=True)
class Field:
    """A field of the form.

    Attributes:
        name: of the value.
        label, help: in plain words.
        group: heading under which it stands.
        type: how it is asked for.
        option: of ``posemamba lift``, for text, numbers and choices; for "yes" the whole argument, and `otherwise` the
            argument where it is not wanted. "": `arguments` knows what to do with it.
        default: the value that the form shows.
        choices: values and their words; the value "" gives no argument.
        kinds: the kinds of files that it is for.
        low, high: the range of a number.
        hint: an example of what can be written.
    """

    name: str
    label: str
    help: str
    group: str
    type: Type
    option: str = ""
    otherwise: str = ""
    default: str | bool = ""
    choices: tuple[tuple[str, str], ...] = ()
    kinds: tuple[Kind, ...] = _ALL
    low: float = -math.inf
    high: float = math.inf
    hint: str = ""


def _fields() -> tuple[Field, ...]:
    detectors = [
        ("", "Careful (BlazePose heavy): the most accurate"),
        ("full", "Medium (BlazePose full)"),
        ("lite", "Fast (BlazePose lite): the least accurate"),
    ]
    if importlib.util.find_spec("rtmlib") is not None:
        detectors.append(("rtmpose", "RTMPose: for many people; its networks are downloaded at the first use"))
    return (
        Field(
            "height", "Height of the person", "Sizes and distances are as right as this. Empty: 1.70 m is assumed. "
            "Several people: one height for all, or one for each with commas.", MAIN, "text", "--height",
            hint="1.78 m or 5'10\"",
        ),
        Field(
            "person", "Who", "With several people in the picture.", MAIN, "choice",
            choices=(
                ("ask", "Ask me, if there are several people"), ("longest", "The one who is seen longest"),
                ("largest", "The largest in the picture"), ("left", "The one on the left"),
                ("right", "The one on the right"), ("all", "Everybody"),
            ), default="ask",
        ),
        Field(
            "smooth", "Remove jitter", "Smooths the movement (Butterworth, 4 Hz). It costs no accuracy.", MAIN, "yes",
            "--smooth", default=True,
        ),
        Field("start", "From", "Use the clip from this time on: seconds, or 1:15.", MAIN, "text", "--start",
              hint="the beginning"),
        Field("end", "To", "Use the clip up to this time.", MAIN, "text", "--end", hint="the end"),
        Field(
            "fov", "Field of view", "How much the camera sees from left to right, in degrees. Empty: as the file says, "
            "else 55 along the longer side, a guess. Distances are as right as this.", CAMERA, "number", "--fov",
            low=2, high=170, hint="e.g. 65",
        ),
        Field("camera_pitch", "Looks down by", "Degrees by which the camera looks down; level is 0. It puts the person "
              "upright into the world.", CAMERA, "number", "--camera-pitch", low=-90, high=90, hint="not known"),
        Field("camera_roll", "Turned by", "Degrees by which the camera is turned clockwise.", CAMERA, "number",
              "--camera-roll", low=-180, high=180, hint="0"),
        Field("upright", "Find out what is upright", "From how the person stands, where the camera's angle is not "
              "known.", CAMERA, "yes", "--upright", default=False),
        Field("detector", "Detector", "Finds the joints in the pictures. This takes the most time.", FINDING, "choice",
              "--detector", choices=tuple(detectors), kinds=_FOUND),
        Field(
            "every", "Look at", "Fewer frames are faster; the joints between are filled in.", FINDING, "choice",
            "--every", choices=(
                ("", "Every frame"), ("2", "Every second frame"), ("3", "Every third frame"),
                ("4", "Every fourth frame"),
            ), kinds=_FOUND,
        ),
        Field("mode", "Follow people", "Looking afresh helps where the detector gets stuck on something else.", FINDING,
              "choice", "--mode", choices=(("", "From frame to frame"), ("detect", "Look afresh in each frame")),
              kinds=_FOUND),
        Field("allow_damaged", "Use damaged videos", "Takes what can be read of a damaged video, and says how much is "
              "lost.", FINDING, "yes", "--allow-damaged", default=False, kinds=("video",)),
        Field(
            "weights", "Model", "The larger ones are more accurate.", LIFTING, "choice", "--weights",
            choices=(("", "S: fast"), ("posemamba-b", "B: 2.2 times the time"), ("posemamba-l", "L: 4 to 5 times")),
        ),
        Field("flip", "Lift twice, once mirrored", "More accurate, and twice the work of lifting.", LIFTING, "yes",
              otherwise="--no-flip", default=True),
        Field("steady_bones", "Steady bones", "Every bone keeps one length over the whole clip.", LIFTING, "yes",
              "--steady-bones", default=False),
        Field("steady_feet", "Steady feet", "Feet that stand still in the picture stand still; the camera must, too.",
              LIFTING, "yes", "--steady-feet", default=False),
        Field("device", "Compute on", "Where the model runs.", LIFTING, "choice", "--device",
              choices=(("", "The graphics card, if it fits"), ("cpu", "The processor"))),
        Field("csv", "CSV", "Table of the joints: spreadsheets, R, pandas.", FILES, "yes", default=True),
        Field("trc", "TRC", "Markers: OpenSim.", FILES, "yes", default=True),
        Field("bvh", "BVH", "Skeleton: Blender, MotionBuilder, Unity.", FILES, "yes", default=True),
        Field("glb", "glTF", "Animated body: Blender, game engines, viewers.", FILES, "yes", default=True),
        Field("angles", "Angles", "Table of the joints' angles, and how far off they may be.", FILES, "yes", "--angles",
              default=True),
        Field("overlay", "Overlay video", "The video with the skeleton drawn into it.", FILES, "yes",
              otherwise="--no-overlay", default=True),
        Field("overlay_angles", "Angles in the overlay", "Writes the angles of the joints into the overlay video.",
              FILES, "yes", "--overlay-angles", default=False),
        Field("rig", "Names of the bones", "In BVH and glTF.", FILES, "choice", "--rig", choices=(
            ("", "PoseMamba's own"), ("mixamo", "Mixamo"), ("rokoko", "Rokoko"), ("unity", "Unity"))),
        Field("world", "The person stands", "In TRC, BVH and glTF.", FILES, "choice", "--world", choices=(
            ("", "On the floor"), ("camera", "Where the camera saw them"))),
        Field("fps", "Frames per second", "Where the file does not say.", KEYPOINTS, "number", "--fps",
              kinds=("keypoints",), low=0.01, high=1000, hint="as the file says"),
        Field("image_size", "Size of the picture", "In pixels, where the file does not say.", KEYPOINTS, "text",
              "--image-size", kinds=("keypoints",), hint="1920x1080"),
        Field("skeleton", "Skeleton", "Where it cannot be recognised, such as coco17.", KEYPOINTS, "text", "--skeleton",
              kinds=("keypoints",), hint="recognised"),
        Field("format", "Format", "Where it cannot be recognised, such as openpose.", KEYPOINTS, "text", "--format",
              kinds=("keypoints",), hint="recognised"),
    )  # fmt: skip


FIELDS = {field.name: field for field in _fields()}
_EXPORTS = ("csv", "trc", "bvh", "glb")
_PLACED = ("trc", "bvh", "glb")
_RIGGED = ("bvh", "glb")
DETECTION = ("start", "end", "detector", "every", "mode", "allow_damaged", "fps", "image_size", "skeleton", "format")
"""Fields on which it depends who is found: where they change, the people have to be chosen again."""


def form() -> list[dict[str, Any]]:
    """Return the fields as the page draws them."""
    drawn = ("name", "label", "help", "group", "type", "default", "choices", "kinds", "hint")
    return [{key: getattr(field, key) for key in drawn} for field in FIELDS.values()]


def checked(given: object) -> dict[str, Any]:
    """Return the values of a form that was sent, those of `FIELDS` that it has not by their defaults.

    Raises:
        PoseMambaError: an unknown field, or a value that it cannot have.
    """
    if not isinstance(given, Mapping):
        raise PoseMambaError("the options are no object")
    if unknown := [str(name)[:40] for name in given if name not in FIELDS]:
        raise PoseMambaError(f"there is no option '{unknown[0]}'")
    return {name: _checked(field, given.get(name, field.default)) for name, field in FIELDS.items()}


def _checked(field: Field, value: object) -> str | bool:
    if field.type == "yes":
        if not isinstance(value, bool):
            raise PoseMambaError(f"{field.label}: expected yes or no")
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and field.type == "number":
        value = f"{value:.10g}" if not abs(value) > 1e300 else "a huge number"  # an int may be too long for a float
    if not isinstance(value, str) or len(value) > _LONGEST or re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", value):
        raise PoseMambaError(f"{field.label}: expected a short text")
    value = value.strip()
    if field.type == "choice" and value not in [choice for choice, _ in field.choices]:
        raise PoseMambaError(f"{field.label}: '{value}' cannot be chosen")
    if field.type == "number" and value:
        return _number(field, value)
    return value


def _number(field: Field, text: str) -> str:
    """Return a number as the command line reads it; a decimal comma is understood."""
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        raise PoseMambaError(f"{field.label}: '{text}' is no number") from None
    if not field.low <= value <= field.high:
        raise PoseMambaError(f"{field.label}: {text} is not between {field.low:g} and {field.high:g}")
    return f"{value:.10g}"


def arguments(options: Mapping[str, Any], kind: Kind, person: str = "") -> list[str]:
    """Return the arguments of ``posemamba lift`` for a form, without the source and the folder.

    Each value is one argument with its option's name, so that none can be taken for another option.

    Args:
        options: as of `checked`; those that are not there, as in the jobs of an earlier version, by their defaults.
        kind: of the file; fields for other kinds are left out.
        person: who was chosen on the contact sheet; "": nobody yet.
    """
    given: list[str] = []
    options = {name: options.get(name, field.default) for name, field in FIELDS.items()}
    exports = [name for name in _EXPORTS if options[name]]
    for name, field in FIELDS.items():
        value = options[name]
        if kind not in field.kinds or (name == "overlay" and kind == "keypoints" and value):
            continue
        if (name == "rig" and not set(exports) & set(_RIGGED)) or (name == "world" and not set(exports) & set(_PLACED)):
            continue
        if name == "overlay_angles" and not options["overlay"]:
            continue
        if field.type == "yes":
            given += [argument] if (argument := field.option if value else field.otherwise) else []
        elif field.option and value != "":
            given.append(f"{field.option}={value}")
    if exports:
        given.append(f"--export={','.join(exports)}")
    chosen = person or (options["person"] if options["person"] != "ask" else "")
    given.append(f"--person={chosen}" if chosen else "--people")
    return given


def same_people(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Tell whether the same people are found with both forms."""
    return all(before.get(name, FIELDS[name].default) == after[name] for name in DETECTION)


_OPTION = re.compile(r"--(?:no-)?[a-z][a-z-]*")


def in_words(message: str) -> str:
    """Return an error of ``posemamba lift`` with the form's words for its options."""
    labels = {f"--{name.replace('_', '-')}": field.label for name, field in FIELDS.items()}
    labels |= {"--no-flip": FIELDS["flip"].label, "--export": FILES}
    text = message.replace("; choose another folder (-o)", "").replace("posemamba lift --", "--")
    return _OPTION.sub(lambda found: f"“{labels[found[0]]}”" if found[0] in labels else found[0], text)
