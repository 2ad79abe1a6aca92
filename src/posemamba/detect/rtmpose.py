"""The RTMPose detector, by rtmlib and ONNX Runtime: all people in the picture, COCO-17 or Halpe-26.

rtmlib comes with the `rtmpose` extra. It downloads its models at first use, or takes the user's ONNX files. Its parts
are used separately, without its `Body`, which replaces a local model whose path contains "rtmo" by a download, and
searches for joints in the whole picture where no person was found.
"""

from __future__ import annotations

import contextlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemamba.poses.skeletons import COCO17, HALPE26, Skeleton
from posemamba.poses.tracking import Detection
from posemamba.utils.errors import PoseMambaError, require

SIZES = ("lightweight", "balanced", "performance")
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
            size: the size of rtmlib's models: ``lightweight``, ``balanced`` or ``performance``.
            det_model: ONNX file of a YOLOX person detector; None: rtmlib's.
            pose_model: ONNX file of an RTMPose model; None: rtmlib's.
            device: ``cpu`` or ``cuda``; ``auto``: a GPU if ONNX Runtime can use one.

        Raises:
            PoseMambaError: rtmlib or ONNX Runtime is not installed, a file is missing or of another model, or a
                download fails.
        """
        if size not in SIZES:
            raise PoseMambaError(f"unknown size of RTMPose '{size}', expected one of {', '.join(SIZES)}")
        for option, path in (("--det-model", det_model), ("--pose-model", pose_model)):
            if path is not None:  # rtmlib takes a missing path for an address
                _check_file(option, Path(path))
        runtime = require("onnxruntime", "rtmpose")
        rtmlib = require("rtmlib", "rtmpose")
        if device == "auto":
            device = "cuda" if "CUDAExecutionProvider" in runtime.get_available_providers() else "cpu"
        known = rtmlib.Body.MODE[size]
        options = {"backend": "onnxruntime", "device": device.partition(":")[0]}
        self._detect = _load(rtmlib.YOLOX, det_model or known["det"], known["det_input_size"], options)
        self._pose = _load(rtmlib.RTMPose, pose_model or known["pose"], known["pose_input_size"], options)
        _take_input_size(self._detect, square=True)
        _take_input_size(self._pose, square=False)
        classes = self._detect.session.get_outputs()[0].shape[-1]
        if (
            isinstance(classes, int) and classes > 6
        ):  # 4 for the box, 1 for the object, then classes, of which person is first
            self._detect.det_mode = "multiclass"
        self.skeleton: Skeleton = self._try_out(det_model, pose_model)

    def _try_out(self, det_model: str | Path | None, pose_model: str | Path | None) -> Skeleton:
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
                f"{path or 'the downloaded model'}: does not run as a {what} ({_first_line(error)}); give an ONNX "
                "file that was exported for rtmlib"
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


def _check_file(option: str, path: Path) -> None:
    if not path.is_file():
        raise PoseMambaError(
            f"{path}: {'is a folder' if path.is_dir() else 'no such file'}; {option} expects an ONNX file"
        )
    if zipfile.is_zipfile(path):
        raise PoseMambaError(f"{path}: is a zip archive; unpack it and give the .onnx file in it ({option})")


def _load(tool: Any, model: str | Path, input_size: tuple[int, int], options: dict[str, str]) -> Any:
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # rtmlib prints what it loads
            return tool(str(model), model_input_size=input_size, **options)
    except Exception as error:
        if "://" in str(model):
            raise PoseMambaError(
                f"RTMPose's model could not be downloaded ({_first_line(error)}) from {model}: try again, or download "
                "it elsewhere and give the files by --det-model and --pose-model"
            ) from error
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
