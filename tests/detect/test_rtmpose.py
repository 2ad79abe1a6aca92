"""RTMPose through rtmlib: a stand-in with its signatures, and (where it is installed) rtmlib itself with toy models."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from posemamba.detect.rtmpose import RTMPoseDetector
from posemamba.poses.skeletons import COCO17, HALPE26
from posemamba.utils.errors import PoseMambaError


class Tool:
    """What rtmlib 0.0.16's tools have in common."""

    inputs: tuple[Any, ...] = (1, 3, 640, 640)
    outputs: tuple[tuple[Any, ...], ...] = ((1, 8400, 5),)

    def __init__(
        self, onnx_model: str, model_input_size: tuple[int, int] = (9, 9), backend: str = "opencv", device: str = "cpu"
    ) -> None:
        if "://" in onnx_model:
            raise OSError("Name or service not known\nmore")
        if Path(onnx_model).read_bytes() != b"onnx":
            raise RuntimeError("[ONNXRuntimeError] : INVALID_PROTOBUF")
        print(f"load {onnx_model} with {backend} backend")
        self.model_input_size, self.backend, self.device, self.det_mode = model_input_size, backend, device, "human"
        self.session = SimpleNamespace(
            get_inputs=lambda: [SimpleNamespace(shape=self.inputs)],
            get_outputs=lambda: [SimpleNamespace(shape=shape) for shape in self.outputs],
        )


class YOLOX(Tool):
    def __call__(self, image: NDArray[np.uint8]) -> Any:
        """A box around each of the pictures' blue spots, as OpenCV orders colours."""
        columns = np.flatnonzero((image[..., 0] > 200).any(0))
        found = [[c - 20, 10, c + 20, 90] for c in columns]
        return np.array(found, float) if found else np.array([])


class RTMPose(Tool):
    inputs = ("batch", 3, 256, 192)
    outputs = (("batch", 17, 384), ("batch", 17, 512))
    joints = 17

    def __call__(self, image: NDArray[np.uint8], bboxes: Any = ()) -> Any:
        assert len(bboxes), "the whole picture would be taken for a person"
        middle = np.array([[(b[0] + b[2]) / 2, (b[1] + b[3]) / 2] for b in bboxes])
        keypoints = np.repeat(middle[:, None], self.joints, 1) + np.arange(self.joints)[:, None]
        scores = np.full(keypoints.shape[:2], 1.01)
        keypoints[:, 3], scores[:, 3] = -1, 0  # as its post-processing marks what it did not find
        return keypoints, scores


@pytest.fixture
def rtmlib(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module, runtime = ModuleType("rtmlib"), ModuleType("onnxruntime")
    urls = {"det": "https://example.org/d.zip", "pose": "https://example.org/p.zip"}
    sizes = {"det_input_size": (640, 640), "pose_input_size": (192, 256)}
    module.Body = SimpleNamespace(MODE={"balanced": {**urls, **sizes}})  # type: ignore[attr-defined]
    module.YOLOX = type("YOLOX", (YOLOX,), {})  # type: ignore[attr-defined]
    module.RTMPose = type("RTMPose", (RTMPose,), {})  # type: ignore[attr-defined]
    runtime.get_available_providers = lambda: ["CPUExecutionProvider"]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "rtmlib", module)
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
    return module


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    folder = tmp_path / "my rtmo models"  # a path for which rtmlib's Body would download another model
    folder.mkdir()
    for name in ("det", "pose"):
        (folder / f"{name}.onnx").write_bytes(b"onnx")
    return {f"{name}_model": folder / f"{name}.onnx" for name in ("det", "pose")}


def test_everybody_is_found_with_the_users_own_files(
    rtmlib: ModuleType, files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    detector = RTMPoseDetector(**files)  # type: ignore[arg-type]
    assert detector.skeleton is COCO17 and capsys.readouterr().out == ""
    assert detector._pose.model_input_size == (192, 256) and detector._detect.model_input_size == (640, 640)
    assert detector._pose.backend == "onnxruntime" and detector._pose.device == "cpu"
    rgb = np.zeros((100, 200, 3), np.uint8)
    assert detector(rgb) == []  # nobody: not the whole picture
    rgb[50, [60, 140], 2] = 255
    people = detector(rgb)
    assert [p.xy[0].tolist() for p in people] == [[60, 50], [140, 50]]
    assert np.isnan(people[0].xy[3]).all() and people[0].confidence[3] == 0
    rtmlib.RTMPose.joints = 26  # type: ignore[attr-defined]
    assert RTMPoseDetector(**files).skeleton is HALPE26  # type: ignore[arg-type]


def test_what_is_wrong_is_told_in_one_line(
    rtmlib: ModuleType, files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(match: str, **changed: Any) -> None:
        with pytest.raises(PoseMambaError, match=match) as error:
            RTMPoseDetector(**{**files, **changed})
        assert "\n" not in str(error.value)

    refused(r"nothing\.onnx: no such file; --pose-model expects", pose_model=tmp_path / "nothing.onnx")
    refused("is a folder; --det-model", det_model=tmp_path)
    (tmp_path / "text.onnx").write_text("hello")
    refused(r"text\.onnx: not an ONNX model.*INVALID_PROTOBUF", det_model=tmp_path / "text.onnx")
    refused(r"could not be downloaded \(Name or service not known\).*--det-model", det_model=None)
    refused("unknown size", size="huge")
    rtmlib.RTMPose.joints = 133  # type: ignore[attr-defined]
    refused("finds 133 joints")
    rtmlib.RTMPose.outputs = ((1, 10, 5), (1, 10, 17, 3))  # type: ignore[attr-defined]
    refused("RTMO are not supported")
    monkeypatch.setitem(sys.modules, "rtmlib", None)
    refused(r"pip install 'posemamba\[rtmpose\]'")


def _toy_models(folder: Path) -> dict[str, Path]:
    """ONNX files with the inputs and outputs of YOLOX (with its own suppression) and of RTMPose, and fixed answers."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    def save(name: str, size: tuple[int, int], answers: dict[str, NDArray[np.float32]]) -> Path:
        nodes = [helper.make_node("ReduceMax", ["input"], ["most"], keepdims=0)]
        nodes.append(helper.make_node("Mul", ["most", "zero"], ["nothing"]))
        constants = [numpy_helper.from_array(np.float32(0), "zero")]
        outputs = []
        for key, value in answers.items():
            constants.append(numpy_helper.from_array(value, f"{key}_value"))
            nodes.append(helper.make_node("Add", [f"{key}_value", "nothing"], [key]))
            outputs.append(helper.make_tensor_value_info(key, TensorProto.FLOAT, value.shape))
        given = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, *size])
        graph = helper.make_graph(nodes, name, [given], outputs, constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        onnx.save(model, folder / f"{name}.onnx")
        return folder / f"{name}.onnx"

    boxes = np.float32([[[10, 10, 50, 90, 0.9], [110, 10, 150, 90, 0.8], [0, 0, 9, 9, 0.1]]])
    x, y = np.zeros((1, 17, 192), np.float32), np.zeros((1, 17, 256), np.float32)
    x[0, np.arange(17), 96], y[0, np.arange(17), 8 * np.arange(17) + 64] = 0.9, 0.8
    return {
        "det_model": save("det", (200, 200), {"dets": boxes}),
        "pose_model": save("pose", (128, 96), {"simcc_x": x, "simcc_y": y}),
    }


def test_rtmlib_itself_with_toy_models(tmp_path: Path) -> None:
    pytest.importorskip("rtmlib")
    pytest.importorskip("onnxruntime")
    detector = RTMPoseDetector(**_toy_models(tmp_path))  # type: ignore[arg-type]
    people = detector(np.full((100, 200, 3), 90, np.uint8))
    assert detector.skeleton is COCO17 and len(people) == 2
    for person, middle in zip(people, (30, 130), strict=True):
        np.testing.assert_allclose(person.xy[:, 0], middle, atol=0.5)  # the middle of each box
        assert (np.diff(person.xy[:, 1]) > 0).all() and person.xy[8, 1] == pytest.approx(50, abs=0.5)
        np.testing.assert_allclose(person.confidence, 0.85 if person.confidence[0] > 0.82 else 0.8, atol=0.06)
