"""Options of ``posemamba lift``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from posemamba.cli.options import RESULTS, ExportOptions, argument, option, parse_size, words

if TYPE_CHECKING:
    from posemamba.pipeline.lift import View
    from posemamba.pipeline.reading import Reading

_KEYPOINTS, _PEOPLE, _CAMERA = "Keypoint files and pictures", "People and detector", "Camera"
_MODEL = "Model"
_MANY = "Many inputs (docs/cluster.md)"


@dataclass(frozen=True, kw_only=True)
class LiftOptions(ExportOptions):
    """Options of ``posemamba lift``; None means that an option was not given."""

    sources: Annotated[
        list[Path],
        argument(
            "Videos, pictures, files of 2D keypoints; folders of videos or of the pictures of a clip.",
            metavar="SOURCE...",
        ),
    ]
    out: Annotated[
        Path | None,
        option(
            "Folder for the results; of several inputs one in it for each. Else VIDEO_posemamba here.", "--out", "-o"
        ),
    ] = None
    start: Annotated[str | None, option("Begin there: seconds, or 1:02:03.")] = None
    end: Annotated[str | None, option("End there: seconds, or 1:02:03.")] = None
    again: Annotated[bool, option("Repeat what is done already, the detection too.", "--again")] = False
    restart: Annotated[
        bool, option("Begin anew instead of going on from where a run was interrupted.", "--restart")
    ] = False
    allow_damaged: Annotated[
        bool, option("Take what can be decoded of a damaged video; how much is lost is said.", "--allow-damaged")
    ] = False
    person: Annotated[
        str | None,
        option(
            "Who: longest (the default), largest, left, right, all, a number, or a place X,Y in pixels.", panel=_PEOPLE
        ),
    ] = None
    people: Annotated[
        bool,
        option("Stop where there are several people to choose from: people.jpg shows them.", "--people", panel=_PEOPLE),
    ] = False
    detector: Annotated[
        str | None,
        option(
            "heavy (the default; also blazepose), full or lite (faster); rtmpose, rtmpose-lightweight or -performance.",
            panel=_PEOPLE,
        ),
    ] = None
    every: Annotated[
        int | None,
        option("Look for people in each N-th frame alone, and fill in between: faster.", panel=_PEOPLE, metavar="N"),
    ] = None
    mode: Annotated[
        str | None,
        option("BlazePose: track (the default) looks where the person was, detect afresh.", panel=_PEOPLE),
    ] = None
    det_model: Annotated[Path | None, option("RTMPose: your ONNX file of a YOLOX person detector.", panel=_PEOPLE)] = (
        None
    )
    pose_model: Annotated[Path | None, option("RTMPose: your ONNX file of the joints.", panel=_PEOPLE)] = None
    fps: Annotated[float | None, option("Frames per second, if the file does not say.", panel=_KEYPOINTS)] = None
    video: Annotated[
        Path | None,
        option("The video they belong to, for its size, frame rate and pictures.", panel=_KEYPOINTS),
    ] = None
    image_size: Annotated[str | None, option("The image's size in pixels, WxH.", panel=_KEYPOINTS)] = None
    skeleton: Annotated[str | None, option("The joints' skeleton, e.g. coco17; recognised.", panel=_KEYPOINTS)] = None
    format: Annotated[
        str | None,
        option(
            "The file's format: npz, mmpose, alphapose, openpose, ultralytics, yolo, coco, mediapipe, detectron2, "
            "videopose3d, reconstruction, deeplabcut, csv or posemamba; recognised.",
            panel=_KEYPOINTS,
        ),
    ] = None
    fov: Annotated[
        float | None,
        option("Horizontal field of view in degrees; else as the file says, or a guess.", panel=_CAMERA),
    ] = None
    camera_roll: Annotated[
        float | None,
        option("Degrees by which the camera is turned clockwise about its axis.", panel=_CAMERA),
    ] = None
    export: Annotated[
        str | None, option("The poses as csv, csv-tidy, trc, bvh or glb, several with commas.", panel=RESULTS)
    ] = None
    overlay: Annotated[
        bool | None, option("Write overlay.mp4 (default: yes).", "--overlay/--no-overlay", panel=RESULTS)
    ] = None
    overlay_angles: Annotated[
        bool,
        option("Write the angles of the joints, in degrees, into overlay.mp4.", "--overlay-angles", panel=RESULTS),
    ] = False
    viewer: Annotated[bool, option("Write viewer.html.", "--viewer/--no-viewer", panel=RESULTS)] = True
    viewer_video: Annotated[
        bool | None,
        option(
            "Put small pictures of the video into viewer.html (default: yes, of up to 20,000 frames).",
            "--viewer-video/--no-viewer-video",
            panel=RESULTS,
        ),
    ] = None
    weights: Annotated[str, option("A name, a weights file, or a released checkpoint.", panel=_MODEL, default=True)] = (
        "posemamba-s"
    )
    flip: Annotated[
        bool,
        option(
            "Test-time flip: average with the flipped picture's poses, twice the work.",
            "--flip/--no-flip",
            panel=_MODEL,
        ),
    ] = True
    device: Annotated[str, option("Where the model runs: auto, cpu, cuda, ...", panel=_MODEL, default=True)] = "auto"
    # who does the work is no part of the digest, so these are no part of the representation
    cluster: Annotated[
        str | None,
        option(
            "Lift on Ray: local (this machine), auto (the cluster that runs here), or HOST:PORT of a cluster's head.",
            panel=_MANY,
        ),
    ] = field(default=None, repr=False)
    jobs: Annotated[
        int | None,
        option("Inputs at a time, each in a process of its own (default: by processors and GPUs).", panel=_MANY),
    ] = field(default=None, repr=False)
    retry_failed: Annotated[
        bool, option("On a cluster: try again what failed.csv names.", "--retry-failed", panel=_MANY)
    ] = field(default=False, repr=False)

    @property
    def reading(self) -> Reading:
        """The options for finding or reading the joints of the inputs."""
        from posemamba.io.inputs import parse_time
        from posemamba.pipeline.reading import Reading

        return Reading(
            start=parse_time("--start", self.start),
            end=parse_time("--end", self.end),
            image_size=parse_size(self.image_size),
            **{
                name: getattr(self, name)
                for name in (
                    "person",
                    "detector",
                    "every",
                    "mode",
                    "det_model",
                    "pose_model",
                    "fps",
                    "format",
                    "skeleton",
                )
            },
            video=self.video,
            allow_damaged=self.allow_damaged,
        )

    @property
    def exports(self) -> tuple[str, ...]:
        """Further formats of the poses, each once."""
        return tuple(dict.fromkeys(word.lower().removeprefix(".") for word in words(self.export)))

    @property
    def view(self) -> View:
        """Return the lens and the roll that the user gave."""
        from posemamba.pipeline.lift import View

        return View(self.fov, self.camera_roll)
