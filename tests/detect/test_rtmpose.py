"""RTMPose through rtmlib: a stand-in with its signatures, and (where it is installed) rtmlib itself with toy models."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from posemamba.detect import rtmpose
from posemamba.detect.rtmpose import MODELS, RTMPoseDetector
from posemamba.poses.skeletons import COCO17, HALPE26
from posemamba.utils import onnx_runtime
from posemamba.utils.errors import PoseMambaError


class Tool:
    """What rtmlib 0.0.16's tools have in common."""

    inputs: tuple[Any, ...] = (1, 3, 640, 640)
    outputs: tuple[tuple[Any, ...], ...] = ((1, 8400, 5),)

    def __init__(
        self, onnx_model: str, model_input_size: tuple[int, int] = (9, 9), backend: str = "opencv", device: str = "cpu"
    ) -> None:
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
def rtmlib(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """Stand-ins of rtmlib and ONNX Runtime; the download fails, until a test replaces it."""

    def download_checkpoint(url: str, dst_dir: str) -> str:
        raise OSError("Name or service not known\nmore")

    module, runtime, file = ModuleType("rtmlib"), ModuleType("onnxruntime"), ModuleType("rtmlib.tools.file")
    file.download_checkpoint = download_checkpoint  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "rtmlib.tools", ModuleType("rtmlib.tools"))
    monkeypatch.setitem(sys.modules, "rtmlib.tools.file", file)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
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
    both = {"det_model": tmp_path / "nothing.onnx", "pose_model": tmp_path / "none.onnx"}
    refused(r"nothing\.onnx: no such file; --det-model .*none\.onnx: no such file; --pose-model", **both)
    refused("unknown size", size="huge")
    rtmlib.RTMPose.joints = 133  # type: ignore[attr-defined]
    refused("finds 133 joints")
    rtmlib.RTMPose.outputs = ((1, 10, 5), (1, 10, 17, 3))  # type: ignore[attr-defined]
    refused("RTMO are not supported")
    monkeypatch.setitem(sys.modules, "rtmlib", None)
    refused(r"pip install \"rtmlib>=[\d.]+\" \"onnxruntime>=[\d.]+\"")


def _downloads(rtmlib: ModuleType, monkeypatch: pytest.MonkeyPatch, content: dict[str, bytes]) -> list[str]:
    """Let downloads of the named models come true; returns the addresses asked for, as they come."""
    asked = []

    def download_checkpoint(url: str, dst_dir: str) -> str:
        asked.append(url)
        name = url.rpartition("/")[2].removesuffix(".zip")
        Path(dst_dir).mkdir(parents=True, exist_ok=True)
        if name not in content:
            Path(dst_dir, f"{name}.zip").write_bytes(b"no archive")
            raise OSError("File is not a zip file")
        Path(dst_dir, f"{name}.onnx").write_bytes(content[name])
        return "where it is"

    monkeypatch.setattr(sys.modules["rtmlib.tools.file"], "download_checkpoint", download_checkpoint)
    return asked


def test_missing_models_are_all_named_with_their_sources_and_places(
    rtmlib: ModuleType, files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cache" / "hub" / "checkpoints"
    with pytest.raises(PoseMambaError, match=r"downloaded \(Name or service not known\)") as error:
        RTMPoseDetector()
    for model in MODELS["balanced"]:
        assert f"{model.name}.onnx (from {model.url})" in str(error.value)
    assert f"missing in {folder}:" in str(error.value) and "--pose-model" in str(error.value)
    with pytest.raises(PoseMambaError) as error:
        RTMPoseDetector("lightweight", pose_model=files["pose_model"])
    assert MODELS["lightweight"][0].name in str(error.value) and MODELS["lightweight"][1].name not in str(error.value)
    _downloads(rtmlib, monkeypatch, {})
    with pytest.raises(PoseMambaError, match="not a zip file"):
        RTMPoseDetector()
    assert not list(folder.iterdir()), "a damaged archive stays and fails for ever"


def test_downloads_are_compared_with_the_recorded_checksums(
    rtmlib: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = MODELS["balanced"]
    good = {model.name: b"onnx" for model in released}
    asked = _downloads(rtmlib, monkeypatch, good)
    with pytest.raises(PoseMambaError, match=f"expected {released[0].sha256}.* is removed: try again"):
        RTMPoseDetector()
    assert not released[0].path.exists() and asked == [released[0].url]

    digest = hashlib.sha256(b"onnx").hexdigest()
    monkeypatch.setitem(MODELS, "balanced", tuple(dataclasses.replace(model, sha256=digest) for model in released))
    assert RTMPoseDetector().skeleton is COCO17
    assert asked == [released[0].url, *(model.url for model in released)]
    RTMPoseDetector()
    assert len(asked) == 3, "what is there is not downloaded again"
    released[1].path.write_bytes(b"onnx, changed")
    with pytest.raises(PoseMambaError, match="delete the file and try again"):
        RTMPoseDetector()
    assert released[1].path.exists() and len(asked) == 3


def test_checksums_are_whole_and_each_file_has_its_own() -> None:
    models = [model for pair in MODELS.values() for model in pair]
    assert len({model.sha256 for model in models}) == len({model.name for model in models}) == 6
    assert all(len(bytes.fromhex(model.sha256)) == 32 for model in models)


def test_the_runtime_loads_with_its_reports_switched_off(
    rtmlib: ModuleType, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def require(module: str, extra: str) -> Any:
        seen.append((module, os.environ.get("ORT_DISABLE_TELEMETRY")))
        return sys.modules[module]

    monkeypatch.setattr(rtmpose, "require", require)
    monkeypatch.setattr(onnx_runtime, "require", require)
    off: list[bool] = []
    sys.modules["onnxruntime"].disable_telemetry_events = lambda: off.append(True)  # type: ignore[attr-defined]
    RTMPoseDetector(**files)  # type: ignore[arg-type]
    assert ("onnxruntime", "1") in seen and all(value == "1" for _, value in seen) and off == [True]


def test_nothing_else_imports_the_runtime() -> None:
    source = Path(rtmpose.__file__).parents[1]
    names = [path.name for path in source.rglob("*.py") if "import onnxruntime" in path.read_text(encoding="utf-8")]
    users = [path.name for path in source.rglob("*.py") if '"onnxruntime"' in path.read_text(encoding="utf-8")]
    assert names == [] and set(users) == {"onnx_runtime.py", "rtmpose.py", "examination.py"}, "they call it first"


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
