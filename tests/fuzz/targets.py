"""The readers and commands that are given damaged files."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.fuzz import datasets, models, page_and_live, records
from tests.fuzz.mutate import Random
from tests.fuzz.target import Target, command

KEYPOINTS = {
    "one.npz": "npz",
    "feet.npz": "npz",
    "two.npz": "npz",
    "detected.npz": "npz",
    "detectron.npz": "npz",
    "vp3d.npz": "npz",
    "mmpose.json": "json",
    "alphapose.json": "json",
    "mediapipe.json": "json",
    "ultralytics.json": "json",
    "coco.json": "json",
    "reconstruction.npz": "npz",
    "mmpose133.json": "json",
    "alphapose133.json": "json",
    "table.csv": "csv",
    "long.csv": "csv",
    "dlc.csv": "csv",
    **({"dlc.h5": "hdf5", "table.h5": "hdf5"} if find_spec("h5py") else {}),
}
SAFETENSORS = {
    "mamba.safetensors": "safetensors",
    "former.safetensors": "safetensors",
    "bert.safetensors": "safetensors",
}
PICTURES = dict.fromkeys(
    ("picture.png", "picture.jpg", "picture.bmp", "picture.tif", "picture.webp", "deep.png"), "bytes"
)
MOVING = dict.fromkeys(("moving.webp", "moving.gif", "moving.png", "moving.tif"), "bytes")
VIDEOS = dict.fromkeys([f"video.{suffix}" for suffix in ("mp4", "avi", "mkv", "ts", "webm", "mov", "y4m")], "bytes")


def _read_keypoints(file: Path, folder: Path, seeds: Path, draw: Random) -> None:
    from posemamba.io.keypoints import read_keypoints, read_people

    given: dict[str, Any] = draw.choice(({}, {}, {"fps": 25.0}, {"image_size": (320, 240)}, {"skeleton": "coco17"}))
    if draw.random() < 0.8:
        read_people(file, **given)
    else:
        read_keypoints(file, **given)


def _lift(file: Path, folder: Path, seeds: Path, draw: Random) -> int:
    more = draw.choice(((), (), ("--angles", "--export", "csv,trc"), ("--smooth", "--steady-feet"), ("--upright",)))
    picture = draw.choice(("--no-viewer", "--no-viewer", "--viewer"))
    who = draw.choice(((), ("--person", "all"), ("--fps", "25", "--image-size", "320x240")))
    weights = seeds / "mamba.safetensors"
    return command("lift", file, "-o", folder / "out", "--weights", weights, "--no-overlay", picture, *more, *who)


def _draw(file: Path, folder: Path, seeds: Path, draw: Random) -> int:
    return command("lift", file, "-o", folder / "out", "--weights", seeds / "mamba.safetensors", "--overlay")


def _convert(file: Path, folder: Path, seeds: Path, draw: Random) -> int:
    return command("convert", file, folder / draw.choice(("out.npz", "out.csv", "out.json", "out", "out.json")))


def _export(file: Path, folder: Path, seeds: Path, draw: Random) -> int:
    more = draw.choice(((), (), ("--smooth",), ("--height", "1.7"), ("--upright", "--steady-bones")))
    return command("convert", file, folder / draw.choice(("o.csv", "o.tidy.csv", "o.trc", "o.bvh", "o.glb")), *more)


def _quality(file: Path, folder: Path, seeds: Path, draw: Random) -> int:
    return command("quality", file, "--json", folder / "out.json")


def _compare(file: Path, folder: Path, seeds: Path, draw: Random) -> int:
    if draw.random() < 0.5:
        return command("show", "compare", seeds / "poses.npz", file, "-o", folder / "out.png")
    return command("show", "scan-map", file, "-o", folder / "out.png", "--weights", seeds / "mamba.safetensors")


def _info(file: Path, folder: Path, seeds: Path, draw: Random) -> int:
    return command("info", "--weights", file)


def _lift_with(file: Path, folder: Path, seeds: Path, draw: Random) -> int:
    quick = ("--no-overlay", "--no-viewer")
    quick += ("--angles",) if draw.random() < 0.5 else ()
    return command("lift", seeds / "one.npz", "-o", folder / "out", "--weights", file, *quick)


def _authors(file: Path, folder: Path, seeds: Path, draw: Random) -> None:
    from posemamba.models.motionagformer import MotionAGFormer
    from posemamba.models.motionbert import MotionBERT

    (MotionAGFormer if "former" in file.name else MotionBERT).from_pretrained(file, heads=2)


def _export_weights(file: Path, folder: Path, seeds: Path, draw: Random) -> int:
    form = draw.choice((("w.safetensors",), ("w.safetensors", "--half"), ("w.bin", "--format", "authors")))
    return command("export", file, "-o", folder / form[0], *form[1:])


def _average(file: Path, folder: Path, seeds: Path, draw: Random) -> int:
    return command("average", *draw.sample((file, seeds / "mamba.safetensors"), 2), "-o", folder / "out.safetensors")


def _card(file: Path, folder: Path, seeds: Path, draw: Random) -> int:
    return command("export", seeds / "weights.pt", "-o", folder / "w.safetensors", "--card", file)


def _shards(file: Path, folder: Path, seeds: Path, draw: Random) -> int:
    """The shards of one set, of which one is damaged."""
    for other in seeds.glob("parts-*.safetensors"):
        if other.name != file.name:
            shutil.copy(other, file.parent / other.name)
    return command("info", "--weights", file.parent / draw.choice((file.name, "parts.safetensors")))


def _resume(file: Path, folder: Path, seeds: Path, draw: Random) -> None:
    from posemamba.train.checkpoints import check_resumable
    from posemamba.train.recipe import load_recipe

    check_resumable(file, load_recipe(seeds / "recipe.yaml"))


def _recipe(file: Path, folder: Path, seeds: Path, draw: Random) -> int | None:
    from posemamba.train.initialisation import build_model, config_of
    from posemamba.train.recipe import load_recipe

    if draw.random() < 0.3:  # refused in any case: there are no data
        return command("train", file, "-o", folder / "run", "--data", folder / "none")
    recipe = load_recipe(file, settings=draw.choice(((), ("lr=1e-3",), ("model.options.depth=2",))))
    config = config_of(recipe)
    if config.width <= 64 and config.depth <= 4 and recipe.start_from is None:
        build_model(recipe)
    return None


def _curves(file: Path, folder: Path, seeds: Path, draw: Random) -> int:
    place = folder / "run" / "logs" / draw.choice(("from_step_0", "from_step_0", "from_step_x"))
    place.mkdir(parents=True)
    shutil.copy(file, place / "metrics.csv")
    return command("curves", folder / "run", "-o", folder / draw.choice(("out.csv", "out.csv", "out.png")))


def _scores(file: Path, folder: Path, seeds: Path, draw: Random) -> None:
    from posemamba.paper.collect import _evaluated
    from posemamba.paper.tables import TABLES

    rows = [row for table in TABLES.values() for row in table.rows]
    _evaluated(file, draw.choice(rows), False)


def _check_data(file: Path, folder: Path, seeds: Path, draw: Random) -> int:
    return command("data", "check", file)


def _evaluate(file: Path, folder: Path, seeds: Path, draw: Random) -> int:
    return command("evaluate", seeds / "mamba.safetensors", file, "--json", folder / "out.json", "--device", "cpu")


def _bvh(file: Path, folder: Path, seeds: Path, draw: Random) -> int:
    return command("data", "bvh", file.parent, folder / "out.npz")


def _cmu(file: Path, folder: Path, seeds: Path, draw: Random) -> int:
    for name in ("05.asf", "05_01.amc"):
        if name != file.name:
            shutil.copy(seeds / name, file.parent / name)
    return command("data", "cmu", file.parent, folder / "out.npz")


def _read_motions(file: Path, folder: Path, seeds: Path, draw: Random) -> None:
    from posemamba.data.mocap.extra import bone_lengths
    from posemamba.data.mocap.motions import read_motions

    bone_lengths(read_motions(file))


def _calibration(file: Path, folder: Path, seeds: Path, draw: Random) -> None:
    from posemamba.evaluate.views.calibration import read_calibration

    read_calibration(file)


def _read_video(file: Path, folder: Path, seeds: Path, draw: Random) -> None:
    from posemamba.io.video.clip import Clip
    from posemamba.io.video.lens import focal_length_35mm
    from posemamba.io.video.reading import probe, read_frames
    from posemamba.io.video.sound import has_sound

    source: Any = file if draw.random() < 0.6 else Clip(file, draw.choice((None, 0.04)), draw.choice((None, 0.12)))
    focal_length_35mm(file)
    has_sound(file)
    probe(source)
    for _ in read_frames(source):
        pass


def _lift_video(file: Path, folder: Path, seeds: Path, draw: Random) -> int:
    """Lifted with a detector that finds two people whatever the picture shows."""
    from unittest import mock

    from fixtures.documents import Walkers

    with mock.patch("posemamba.detect.blazepose.BlazePoseDetector", Walkers):
        weights = seeds / "mamba.safetensors"
        return command("lift", file, "-o", folder / "out", "--weights", weights, "--no-viewer")


def _kept(file: Path, folder: Path, seeds: Path, draw: Random) -> int:
    """A video lifted into a folder in which joints and poses of an earlier call are damaged."""
    (folder / "out").mkdir()
    shutil.copy(file, folder / "out" / draw.choice(("keypoints.npz", "poses.npz")))
    return _lift_video(seeds / "video.mp4", folder, seeds, draw)


def _frames(file: Path, folder: Path, seeds: Path, draw: Random) -> int:
    """A folder of frames of which one is damaged."""
    whole = folder / "frames"
    shutil.copytree(next(seeds.glob(f"*/{file.name}")).parent, whole)
    name = draw.choice(sorted(path.name for path in whole.iterdir()))
    start, end = name[:3], "_keypoints.json" if "_keypoints" in name else Path(name).suffix
    odd = draw.choice((name, name, name, f"{start}_999999999999{end}", "x" * 90 + "_" + "9" * 100 + end))
    shutil.copy(file, whole / odd)
    return command("convert", whole, folder / "out.npz", "--image-size", "320x240")


def _views(file: Path, folder: Path, seeds: Path, draw: Random) -> int:
    """Calibrated views of which the calibration, a video or the joints of one are damaged."""
    whole = folder / "views"
    shutil.copytree(seeds / "views", whole)
    if file.suffix == ".npz":
        shutil.copy(file, whole / "joints" / draw.choice(NAMES) / "keypoints.npz")
    elif file.suffix == ".mp4":
        shutil.copy(file, whole / "videos" / f"{draw.choice(NAMES)}.mp4")
    else:
        shutil.rmtree(whole / "calibration")
        (whole / "calibration").mkdir()
        shutil.copy(file, whole / "calibration" / file.name)
    more = ("--keypoints", whole / "joints", "--device", "cpu", "--json", folder / "out.json")
    return command("evaluate", seeds / "mamba.safetensors", whole, *more)


NAMES = tuple(f"Trial_cam{i:02}" for i in (1, 2, 3, 4))
FRAMES = {
    "openpose/openpose_000000000000_keypoints.json": "json",
    "pose2sim/cam1_000000.json": "json",
    "results/clip_0.json": "json",
    "labels/clip_0.txt": "text",
    "predictions/img000.json": "json",
}
VIEWS = {
    "views/calibration/own.qca.txt": "text",
    "views.toml": "text",
    f"views/joints/{NAMES[0]}/keypoints.npz": "npz",
    f"views/videos/{NAMES[1]}.mp4": "bytes",
}
TARGETS: dict[str, Target] = {
    "read keypoints": Target(KEYPOINTS, _read_keypoints, 10),
    "lift keypoints": Target(KEYPOINTS, _lift, 5),
    "lift, overlay": Target(KEYPOINTS, _draw, 0.5, draws=True),
    "convert keypoints": Target(KEYPOINTS, _convert, 4),
    "folders of frames": Target(FRAMES, _frames, 3),
    "convert poses": Target({"poses.npz": "npz"}, _export, 4),
    "quality": Target({"poses.npz": "npz"}, _quality, 3),
    "show": Target({"poses.npz": "npz"}, _compare, 0.5),
    "info weights": Target(SAFETENSORS, _info, 3),
    "lift with weights": Target({**SAFETENSORS, "mamba.bin": "torch"}, _lift_with, 2),
    "checkpoints of authors": Target({"former.bin": "torch", "bert.bin": "torch"}, _authors, 1.5),
    "info checkpoint": Target({"mamba.bin": "torch"}, _info, 1.5),
    "export": Target(
        {"weights.pt": "torch", "mamba.bin": "torch", "mamba.safetensors": "safetensors"}, _export_weights, 2
    ),
    "average": Target({"mamba.safetensors": "safetensors", "weights.pt": "torch"}, _average, 1),
    "card": Target({"card.json": "json"}, _card, 0.5),
    "shards": Target({"parts-00001-of-00002.safetensors": "safetensors"}, _shards, 0.5),
    "resume": Target({"last.ckpt": "torch"}, _resume, 1),
    "recipe": Target({"recipe.yaml": "yaml"}, _recipe, 3),
    "curves": Target({"metrics.csv": "csv"}, _curves, 0.7),
    "scores": Target({"scores.json": "json"}, _scores, 0.5),
    "data check": Target({"h36m.pkl": "pickle"}, _check_data, 1.5),
    "data check 3DHP": Target({"data_test_3dhp.npz": "npz", "data_train_3dhp.npz": "npz"}, _check_data, 1.5),
    "evaluate": Target({"h36m.pkl": "pickle", "data_test_3dhp.npz": "npz"}, _evaluate, 1),
    "data bvh": Target({"own.bvh": "text"}, _bvh, 2),
    "data cmu": Target({"05.asf": "text", "05_01.amc": "text"}, _cmu, 1.5),
    "motions": Target({"motions.npz": "npz"}, _read_motions, 1.5),
    "calibration": Target({"calib.toml": "text", "calib.qca.txt": "text"}, _calibration, 1),
    "evaluate views": Target(VIEWS, _views, 0.7),
    "video": Target(VIDEOS, _read_video, 5),
    "pictures": Target(PICTURES, _read_video, 2),
    "moving pictures": Target(MOVING, _read_video, 2),
    "lift video": Target({"video.mp4": "bytes", "picture.png": "bytes"}, _lift_video, 0.7),
    "lift, kept joints": Target({"detected.npz": "npz", "poses.npz": "npz"}, _kept, 0.7),
    **datasets.TARGETS,
    **models.TARGETS,
    **records.TARGETS,
    **page_and_live.TARGETS,
}
