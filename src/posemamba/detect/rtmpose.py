"""The RTMPose detector, by rtmlib and ONNX Runtime: all people in the picture, COCO-17 or Halpe-26.

rtmlib comes with the `rtmpose` extra. Its models are downloaded at first use and checked, or the user gives ONNX files.
Its parts are used separately, without its `Body`, which replaces a local model whose path contains "rtmo" by a
download, and searches for joints in the whole picture where no person was found.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemamba.poses.detections import Detection
from posemamba.poses.skeletons import COCO17, HALPE26, Skeleton
from posemamba.utils.errors import PoseMambaError, require
from posemamba.utils.installation import expand
from posemamba.utils.onnx_runtime import load_onnx_runtime

_SOURCE = "https://download.openmmlab.com/mmpose/v1/projects/rtmposev1/onnx_sdk/"


@dataclass(frozen=True)
class Model:
    """A released ONNX model.

    Attributes:
        name: its file's name without an ending, of the archive at OpenMMLab and of the unpacked model alike. The hex
            digits in it belong to the PyTorch checkpoint, which the model was exported from.
        sha256: the checksum of the ONNX file. OpenMMLab publishes none: these are what several independent projects
            recorded.
        input_size: width and height in pixels, or the same for both.
    """

    name: str
    sha256: str
    input_size: tuple[int, int]

    @property
    def url(self) -> str:
        """The address of the zip archive that holds the model as ``end2end.onnx``."""
        return f"{_SOURCE}{self.name}.zip"

    @property
    def path(self) -> Path:
        """The place of the unpacked model, where rtmlib puts it and looks for it."""
        cache = os.environ.get("TORCH_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "rtmlib")
        return expand(cache, "TORCH_HOME") / "hub" / "checkpoints" / f"{self.name}.onnx"


MODELS = {
    "lightweight": (
        Model(
            "yolox_tiny_8xb8-300e_humanart-6f3252f9",
            "ceb11c07298f95c50d7c5abeb906d03340c85f23aa79e3e66966e7fb6c307250",
            (416, 416),
        ),
        Model(
            "rtmpose-s_simcc-body7_pt-body7_420e-256x192-acd4a1ef_20230504",
            "9aeb635b83f86aea45cf45d85798f7eba1a162de8e0d721c44e54fe5eebaf47d",
            (192, 256),
        ),
    ),
    "balanced": (
        Model(
            "yolox_m_8xb8-300e_humanart-c2c7a14a",
            "3dea6513388889f0fff4b77bf7a26013600321b9eb9ceb0e9a400a82572f5f23",
            (640, 640),
        ),
        Model(
            "rtmpose-m_simcc-body7_pt-body7_420e-256x192-e48f03d0_20230504",
            "5c0a4bf67953e6d2ac43ce15e77dc9d5d354ae18430a47d2c5963a7bc5683e3c",
            (192, 256),
        ),
    ),
    "performance": (
        Model(
            "yolox_x_8xb8-300e_humanart-a39d44ed",
            "8e9ea96a176bd48501eaaa77216e49ee30794d2f8ba80c7b9862beca4ea972da",
            (640, 640),
        ),
        Model(
            "rtmpose-x_simcc-body7_pt-body7_700e-384x288-71d7b7e9_20230629",
            "df0c0fa91e9870b1515dcaff741fd76cc753dcfb12786862f61b243bae81cd52",
            (288, 384),
        ),
    ),
}
"""The person detector and the pose model of each size."""

SIZES = tuple(MODELS)
_SKELETONS = {len(s): s for s in (COCO17, HALPE26)}


class RTMPoseDetector:
    """A detector of all people: a person detector (YOLOX), then the joints in each person's box.

    Attributes:
        skeleton: COCO-17, or Halpe-26 for a pose model with 26 joints.
    """

    def __init__(
        self,
        size: str = "balanced",
        *,
        det_model: str | Path | None = None,
        pose_model: str | Path | None = None,
        device: str = "auto",
    ) -> None:
        """Load the models, downloading those that were not given.

        Args:
            size: the size of the models: ``lightweight``, ``balanced`` or ``performance``.
            det_model: ONNX file of a YOLOX person detector; None: the released one of that size.
            pose_model: ONNX file of an RTMPose model; None: the released one of that size.
            device: ``cpu`` or ``cuda``; ``auto``: a GPU if ONNX Runtime can use one.

        Raises:
            PoseMambaError: rtmlib or ONNX Runtime is not installed, a file is missing or of another model, a
                download fails, or a downloaded file has another checksum.
        """
        if size not in SIZES:
            raise PoseMambaError(f"unknown size of RTMPose '{size}', expected one of {', '.join(SIZES)}")
        given = {"--det-model": det_model, "--pose-model": pose_model}
        wrong = [_wrong(option, Path(path)) for option, path in given.items() if path is not None]
        if any(wrong):  # rtmlib takes a missing path for an address
            raise PoseMambaError("; ".join(filter(None, wrong)))
        runtime, rtmlib = load_runtime()
        if device == "auto":
            device = "cuda" if "CUDAExecutionProvider" in runtime.get_available_providers() else "cpu"
        detector, pose = MODELS[size]
        _get([model for model, own in ((detector, det_model), (pose, pose_model)) if own is None])
        options = {"backend": "onnxruntime", "device": device.partition(":")[0]}
        detector_path, pose_path = Path(det_model or detector.path), Path(pose_model or pose.path)
        self._detect = _load(rtmlib.YOLOX, detector_path, detector.input_size, options)
        self._pose = _load(rtmlib.RTMPose, pose_path, pose.input_size, options)
        _take_input_size(self._detect, square=True)
        _take_input_size(self._pose, square=False)
        classes = self._detect.session.get_outputs()[0].shape[-1]
        if (
            isinstance(classes, int) and classes > 6
        ):  # 4 for the box, 1 for the object, then classes, of which person is first
            self._detect.det_mode = "multiclass"
        self.skeleton: Skeleton = self._try_out(detector_path, pose_path)

    def _try_out(self, det_model: Path, pose_model: Path) -> Skeleton:
        """Run both models once, so that wrong files are reported early; returns the skeleton."""
        grey = np.full((64, 64, 3), 114, np.uint8)
        shapes = [output.shape for output in self._pose.session.get_outputs()]
        if len(shapes) != 2 or any(len(shape) != 3 for shape in shapes):
            raise PoseMambaError(
                f"{pose_model}: gives {len(shapes)} arrays of shapes {', '.join(map(str, shapes))}, expected the two "
                "of an RTMPose model (SimCC: people, joints, places); one-stage models such as RTMO are not supported"
            )
        try:
            path, what = det_model, "YOLOX person detector"
            self._boxes(grey)
            path, what = pose_model, "RTMPose model"
            found = self._joints(grey, _WHOLE)
        except Exception as error:  # ONNX Runtime and rtmlib raise any kind of error for a foreign model
            raise PoseMambaError(
                f"{path}: does not run as a {what} ({_first_line(error)}); give an ONNX file that was exported for "
                "rtmlib"
            ) from error
        joints = len(found[0].xy)
        if joints not in _SKELETONS:
            known = ", ".join(f"{s.name} ({n})" for n, s in _SKELETONS.items())
            raise PoseMambaError(f"{pose_model}: finds {joints} joints, expected a body model: {known}")
        return _SKELETONS[joints]

    def __call__(self, rgb: NDArray[np.uint8]) -> list[Detection]:
        """Find all people, see `posemamba.detect.Detector`."""
        bgr = np.ascontiguousarray(rgb[..., ::-1])  # rtmlib expects OpenCV's order
        boxes = self._boxes(bgr)
        return self._joints(bgr, boxes) if len(boxes) else []  # without boxes rtmlib searches the whole picture

    def _boxes(self, bgr: NDArray[np.uint8]) -> NDArray[np.floating]:
        """Find people's boxes, (P, 4): left, top, right, bottom in pixels."""
        found = self._detect(bgr)
        if self._detect.det_mode == "multiclass":
            boxes, classes = found
            found = boxes[classes == 0] if len(boxes) else boxes
        return np.asarray(found, dtype=np.float64).reshape(-1, 4)

    def _joints(self, bgr: NDArray[np.uint8], boxes: NDArray[np.floating]) -> list[Detection]:
        keypoints, scores = self._pose(bgr, bboxes=boxes)
        nowhere = ~(scores > 0)
        return [
            Detection(np.where(lost[:, None], np.nan, xy).astype(np.float32), np.where(lost, 0, trust))
            for xy, trust, lost in zip(keypoints, scores, nowhere, strict=True)
        ]

    def close(self) -> None:
        """Do nothing: Python releases the models."""


_WHOLE = np.array([[0.0, 0.0, 64.0, 64.0]])


def _wrong(option: str, path: Path) -> str | None:
    """Say why a path cannot be that of an ONNX file; None if it may be one."""
    if not path.is_file():
        return f"{path}: {'is a folder' if path.is_dir() else 'no such file'}; {option} expects an ONNX file"
    if zipfile.is_zipfile(path):
        return f"{path}: is a zip archive; unpack it and give the .onnx file in it ({option})"
    return None


def load_runtime() -> tuple[ModuleType, ModuleType]:
    """Import ONNX Runtime and rtmlib, with ONNX Runtime's reports to its maker switched off.

    Raises:
        PoseMambaError: one of them is not installed.
    """
    return load_onnx_runtime("rtmpose"), require("rtmlib", "rtmpose")


def _get(models: list[Model]) -> None:
    """Download the models that are not there yet, and compare the checksums of all."""
    download = require("rtmlib.tools.file", "rtmpose").download_checkpoint
    for number, model in enumerate(models):
        new = not model.path.is_file()
        if new:
            try:
                download(model.url, dst_dir=str(model.path.parent))
            except Exception as error:  # of the network, the file system or the archive
                with contextlib.suppress(OSError):  # rtmlib would take a damaged archive for a good one next time
                    model.path.with_suffix(".zip").unlink(missing_ok=True)
                missing = [other for other in models[number:] if not other.path.is_file()]
                raise PoseMambaError(
                    f"RTMPose's models could not be downloaded ({_first_line(error)}); missing in {model.path.parent}: "
                    + ", ".join(f"{other.path.name} (from {other.url})" for other in missing)
                    + "; try again, or fetch each zip elsewhere and put its end2end.onnx into that folder under that "
                    "name, or anywhere and name it by --det-model or --pose-model"
                ) from error
        _check_sum(model, new)


def _check_sum(model: Model, new: bool) -> None:
    """Compare a model's checksum with the recorded one; remove a new file that differs."""
    try:
        with model.path.open("rb") as file:
            digest = hashlib.sha256()
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise PoseMambaError(f"{model.path}: cannot be read ({error.strerror or error})") from error
    if digest.hexdigest() == model.sha256:
        return
    if new:
        model.path.unlink(missing_ok=True)
    raise PoseMambaError(
        f"{model.path}: has the SHA-256 {digest.hexdigest()}, expected {model.sha256} of the model at {model.url}: "
        + ("the download was damaged or changed, and is removed: try again" if new else "delete the file and try again")
        + ", or give a file that you trust by --det-model and --pose-model"
    )


def _load(tool: Any, model: Path, input_size: tuple[int, int], options: dict[str, str]) -> Any:
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # rtmlib prints what it loads
            return tool(str(model), model_input_size=input_size, **options)
    except Exception as error:
        raise PoseMambaError(f"{model}: not an ONNX model that can be loaded ({_first_line(error)})") from error


def _first_line(error: Exception) -> str:
    return next(iter(_lines(str(error))), type(error).__name__)[:160]


def _lines(text: str) -> Iterator[str]:
    return (line.strip().rstrip(".") for line in text.splitlines() if line.strip())


def _take_input_size(tool: Any, *, square: bool) -> None:
    """Use the model's own input size, (height, width) for YOLOX and (width, height) for RTMPose."""
    *_, height, width = tool.session.get_inputs()[0].shape
    if isinstance(height, int) and isinstance(width, int):
        tool.model_input_size = (height, width) if square else (width, height)
