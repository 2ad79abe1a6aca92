"""Whole files of every kind that a reader takes, small, from which damaged ones are made."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from fixtures import human36m_files, mpi_inf_3dhp_files, views
from fixtures.documents import RECIPE, poses_of
from posemamba.demo.walker import walk
from posemamba.io.keypoints import write_keypoints_npz
from posemamba.io.keypoints.convert import write_people
from posemamba.io.keypoints.detected import Detected, write_detected
from posemamba.io.motion import write_motion
from posemamba.io.motion.npz import save_poses_npz
from posemamba.poses import Feet2D, Keypoints2D
from posemamba.poses.angle_table import FORMAT, TERMS
from posemamba.poses.skeletons import BLAZEPOSE33, BODY25, COCO17, FEET, H36M17, HALPE26, Skeleton

FRAMES = 12


def people_of(skeleton: Skeleton = H36M17, count: int = 2, frames: int = FRAMES) -> list[Keypoints2D]:
    """Make people who walk beside each other."""
    xy = walk(frames, 25)[..., [0, 2]] * np.float32([80, -80]) + np.float32([160, 200])
    names = [name if name in H36M17.joints else "nose" for name in skeleton.joints]
    index = [H36M17.joints.index(name) for name in names]
    people = []
    for person in range(count):
        place = xy[:, index] + np.float32([70 * person, 0])
        confidence = np.full(place.shape[:2], 0.9, np.float32)
        people.append(Keypoints2D(place, confidence, skeleton, (320, 240), 25, source="a.mp4", person=person + 1))
    return people


def make(folder: Path) -> None:
    """Write all seeds into a folder."""
    from tests.fuzz import datasets, models, page_and_live, records

    folder.mkdir(parents=True, exist_ok=True)
    _keypoints(folder)
    _poses(folder)
    _weights(folder)
    _motions(folder)
    _runs(folder)
    _pictures(folder)
    _calibrations(folder)
    _views(folder)
    for module in (datasets, models, records, page_and_live):
        module.make(folder)


def _keypoints(folder: Path) -> None:
    people = people_of()
    write_keypoints_npz(folder / "one.npz", people[0])
    feet = Feet2D(np.ones((FRAMES, len(FEET), 2)), np.ones((FRAMES, len(FEET))))
    times = np.arange(FRAMES) / 25
    whole = Keypoints2D(
        people[0].xy, people[0].confidence, H36M17, (320, 240), 25, times=times, source="a.mp4", feet=feet
    )
    write_keypoints_npz(folder / "feet.npz", whole)
    write_keypoints_npz(folder / "two.npz", people)
    write_detected(folder / "detected.npz", Detected(people_of(BLAZEPOSE33), "blazepose track", "0" * 24))
    write_people(folder / "table.csv", people)
    write_people(folder / "mmpose.json", people_of(COCO17), to="mmpose")
    write_people(folder / "alphapose.json", people_of(HALPE26), to="alphapose")
    write_people(folder / "openpose", people_of(BODY25)[:1], to="openpose")
    blaze = people_of(BLAZEPOSE33, 1)[0]
    landmarks = [[{"x": x / 320, "y": y / 240, "visibility": 0.9} for x, y in frame.tolist()] for frame in blaze.xy]
    frames = [{"frame": i, "pose_landmarks": [person]} for i, person in enumerate(landmarks)]
    (folder / "mediapipe.json").write_text(json.dumps({"fps": 25, "width": 320, "height": 240, "frames": frames}))
    rows = [f"{i},{j},{p['x']},{p['y']},0.9" for i, person in enumerate(landmarks) for j, p in enumerate(person)]
    (folder / "long.csv").write_text("\n".join(["frame,landmark,x,y,visibility", *rows]))
    coco = people_of(COCO17, 1)[0]
    head = ["scorer," + ",".join(["D"] * 51), "bodyparts," + ",".join(n for n in COCO17.joints for _ in "xyl")]
    head.append("coords," + ",".join(["x", "y", "likelihood"] * 17))
    lines = [f"{i}," + ",".join(f"{x:.2f},{y:.2f},0.9" for x, y in frame) for i, frame in enumerate(coco.xy)]
    (folder / "dlc.csv").write_text("\n".join(head + lines))
    boxes, joints = np.empty(FRAMES, object), np.empty(FRAMES, object)
    for i in range(FRAMES):
        boxes[i] = [[], np.array([[0, 0, 9, 9, 0.9]], np.float32)]
        joints[i] = [[], np.concatenate([coco.xy[i].T, np.full((2, 17), 0.5)])[None].astype(np.float32)]
    np.savez(folder / "detectron.npz", boxes=boxes, keypoints=joints, metadata=np.array({"w": 320, "h": 240}, object))
    content = {"S1": {"Walk": [people[0].xy]}}
    facts = {"layout_name": "h36m", "video_metadata": {"S1": {"w": 320, "h": 240}}}
    np.savez(folder / "reconstruction.npz", reconstruction=people[0].xy[None])
    joints_of = [{"x": xy[:, 0].tolist(), "y": xy[:, 1].tolist(), "visible": [0.9] * 17} for xy in coco.xy]
    box = {"name": "person", "class": 0, "confidence": 0.9, "box": {"x1": 1.0, "y1": 2.0}, "track_id": 1}
    (folder / "ultralytics.json").write_text(json.dumps([[box | {"keypoints": joints}] for joints in joints_of]))
    marked = [np.column_stack([xy, np.full(17, 2)]).ravel().tolist() for xy in coco.xy]
    annotations = {
        "images": [{"id": i, "file_name": f"img_{i}.png", "width": 320, "height": 240} for i in range(FRAMES)],
        "annotations": [{"id": i, "image_id": i, "category_id": 1, "keypoints": m} for i, m in enumerate(marked)],
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO17.joints)}],
    }
    (folder / "coco.json").write_text(json.dumps(annotations))
    _whole_bodies(folder, coco.xy)
    _frames(folder, coco.xy)
    _tables(folder, coco.xy)
    np.savez(folder / "vp3d.npz", positions_2d=np.array(content, object), metadata=np.array(facts, object))


def _whole_bodies(folder: Path, xy: Any) -> None:
    """133 joints: the body, feet, a face and hands."""
    beside = xy[:, :1] + np.random.default_rng(0).uniform(-9, 9, (FRAMES, 116, 2))
    whole = np.concatenate([xy, beside], axis=1).round(1)
    scores = [0.9] * 133
    mmpose = [
        {"frame_id": i, "instances": [{"keypoints": one.tolist(), "keypoint_scores": scores}]}
        for i, one in enumerate(whole[:6])
    ]
    (folder / "mmpose133.json").write_text(json.dumps({"meta_info": {"dataset_name": "coco"}, "instance_info": mmpose}))
    entries = [
        {"image_id": f"{i}.jpg", "keypoints": np.column_stack([one, scores]).ravel().tolist(), "idx": 1, "score": 2.5}
        for i, one in enumerate(whole[:6])
    ]
    (folder / "alphapose133.json").write_text(json.dumps(entries))


def _frames(folder: Path, xy: Any) -> None:
    """Folders of one file a frame; their files' names are no other folder's."""
    halpe = people_of(HALPE26, 1)[0]
    for name in ("pose2sim", "results", "labels", "predictions"):
        (folder / name).mkdir()
    for i, one in enumerate(xy):
        flat = np.column_stack([halpe.xy[i], halpe.confidence[i]]).ravel().tolist()
        frame = {"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": flat}]}
        (folder / "pose2sim" / f"cam1_{i:06}.json").write_text(json.dumps(frame))
        joints = {"x": one[:, 0].tolist(), "y": one[:, 1].tolist(), "visible": [0.9] * 17}
        box = {"name": "person", "class": 0, "confidence": 0.9, "box": {"x1": 1.0, "y1": 2.0}, "keypoints": joints}
        (folder / "results" / f"clip_{i}.json").write_text(json.dumps([box]))
        values = np.column_stack([one / [320, 240], np.full(17, 0.8)]).ravel()
        line = " ".join(f"{value:.5f}" for value in (0.5, 0.5, 0.2, 0.4, *values))
        (folder / "labels" / f"clip_{i}.txt").write_text(f"0 {line}\n")
        instance = {"keypoints": one.tolist(), "keypoint_scores": [0.9] * 17, "bbox": [[1.0, 2.0, 30.0, 40.0]]}
        (folder / "predictions" / f"img{i:03}.json").write_text(json.dumps([instance]))


def _tables(folder: Path, xy: Any) -> None:
    """DeepLabCut's h5 in both layouts, where h5py can write it."""
    try:
        import h5py  # noqa: F401
    except ImportError:
        return
    from fixtures.hdf5_files import appendable, fixed

    columns = [("D", part, axis) for part in COCO17.joints for axis in ("x", "y", "likelihood")]
    values = np.dstack([xy, np.full(xy.shape[:2], 0.9)]).reshape(len(xy), -1)
    fixed(folder / "dlc.h5", columns, values)
    appendable(folder / "table.h5", columns, values)


def _views(folder: Path) -> None:
    """A folder of calibrated videos and their joints, for `posemamba evaluate WEIGHTS FOLDER`."""
    cameras, person = views.make_cameras(4), views.make_person(FRAMES)
    names = [f"Trial_{camera.name}" for camera in cameras]
    views.write_videos(folder / "views" / "videos", names, FRAMES)
    views.write_qca(folder / "views" / "calibration" / "own.qca.txt", cameras)
    views.write_toml(folder / "views.toml", cameras)
    for name, camera in zip(names, cameras, strict=True):
        views.write_joints(folder / "views" / "joints", name, [views.see(camera, person)])


def _poses(folder: Path) -> None:
    save_poses_npz(folder / "poses.npz", poses_of(people_of()[0]))
    write_motion(folder / "own.bvh", poses_of(people_of(frames=30)[0]), "bvh")


def _weights(folder: Path) -> None:
    import torch

    from posemamba.models.motionagformer import MotionAGFormer, MotionAGFormerConfig
    from posemamba.models.motionbert import MotionBERT, MotionBERTConfig
    from posemamba.models.posemamba import PoseMamba
    from posemamba.models.posemamba_config import PoseMambaConfig
    from posemamba.models.registry import save_model

    torch.manual_seed(0)
    mamba = PoseMamba(PoseMambaConfig(width=16, depth=1, frames=27))
    former = MotionAGFormer(MotionAGFormerConfig(width=16, depth=1, frames=9, heads=2, rep_width=16))
    bert = MotionBERT(MotionBERTConfig(width=16, representation=16, depth=1, heads=2, frames=9))
    for name, model in (("mamba", mamba), ("former", former), ("bert", bert)):
        rows = {"knee_flexion": [1.0, 0, 0, 0, 1], "elbow_flexion": [1.0, 0, 0, 0, 1]}
        angles = {"format": FORMAT, "terms": list(TERMS), "rows": rows, "factor": {"knee_flexion": 1.5}, "source": "x"}
        card = {"person_size": 0.25, "licence": "x", "angle_errors": angles}
        save_model(folder / f"{name}.safetensors", model, card)
        key = "model" if name == "former" else "model_pos"
        torch.save({key: {f"module.{k}": v for k, v in model.state_dict().items()}, "epoch": 3}, folder / f"{name}.bin")
    import yaml

    from posemamba.train.recipe import Recipe

    save_model(folder / "parts.safetensors", mamba, {}, shard_bytes=60_000)
    plain: dict[str, Any] = {
        "model": {"options": {"width": 16, "depth": 1, "frames": 27}},
        "data": {"lengths": {27: 1}},
    }
    dumped = Recipe.model_validate(plain).model_dump(mode="json")
    resumed = Recipe.model_validate(yaml.safe_load(RECIPE)).model_dump(mode="json")
    kept = {"state_dict": mamba.state_dict(), "recipe": dumped, "step": 7, "details": {"p1": 50.0}}
    torch.save(kept, folder / "weights.pt")
    torch.save({"global_step": 7, "training_seconds": 3.5, "recipe": resumed, "state_dict": {}}, folder / "last.ckpt")


def _motions(folder: Path) -> None:
    from data.mocap.test_cmu import amc, asf

    (folder / "05.asf").write_text(asf())
    (folder / "05_01.amc").write_text(amc(150, step=0.05))
    walked = walk(60, 50).astype(np.float16)
    np.savez(
        folder / "motions.npz",
        positions=walked,
        lengths=[60],
        names=["cmu_01_01"],
        descriptions=["walk"],
        subjects=["cmu_01"],
        parents=H36M17.parents,
        fps=50.0,
    )
    train = (("s_01_act_02_subact_01_ca_01", "Direction", "54138969", 9),)
    test = (("s_09_act_02_subact_01_ca_01", "Direction", "54138969", 9),)
    (folder / "h36m.pkl").write_bytes(pickle.dumps(human36m_files.content(train, test), protocol=2))
    mpi_inf_3dhp_files.write(
        folder / "data_test_3dhp.npz", {"TS1": {**mpi_inf_3dhp_files.poses(9, 1), "valid": np.ones(9)}}
    )
    mpi_inf_3dhp_files.write(folder / "data_train_3dhp.npz", {"S1 Seq1": [{"0": mpi_inf_3dhp_files.poses(9, 0)}, 25]})


def _runs(folder: Path) -> None:
    (folder / "recipe.yaml").write_text(RECIPE)
    (folder / "card.json").write_text(json.dumps({"hours": 3, "hardware": "a CPU", "limits": ["none"]}))
    rows = [f"{step},0,{90 - step},{95 - step}" for step in range(0, 40, 5)]
    (folder / "metrics.csv").write_text("\n".join(["step,epoch,train_mm,val_p1_exact", *rows]))
    scores = {
        "format": "posemamba-human36m-1",
        "protocol": "paper",
        "clip_frames": 243,
        "inputs": "detected",
        "flip": True,
    }
    (folder / "scores.json").write_text(json.dumps({**scores, "p1_mm": 41.0, "p2_mm": 33.0, "name": "x"}))


def _calibrations(folder: Path) -> None:
    tables, entries = [], []
    for number in range(3):
        tables.append(
            f"[cam{number}]\nname = 'cam{number}'\nsize = [320.0, 240.0]\n"
            "matrix = [[300.0, 0.0, 160.0], [0.0, 300.0, 120.0], [0.0, 0.0, 1.0]]\n"
            f"distortions = [0.1, 0.0, 0.0, 0.0]\nrotation = [0.0, {number}.5, 0.0]\ntranslation = [0.0, 1.0, 4.0]\n"
        )
        turn = " ".join(f'r{i}{j}="{float(i == j)}"' for i in (1, 2, 3) for j in (1, 2, 3))
        entries.append(
            f'<camera serial="{number}" model="Miqus Video"><fov_video left="0" top="0" right="319" bottom="239"/>'
            f'<transform x="0" y="1000" z="{number}" {turn}/><intrinsic focalLengthU="19200" focalLengthV="19200" '
            'centerPointU="10240" centerPointV="7680" radialDistortion1="0" radialDistortion2="0" '
            'tangentalDistortion1="0" tangentalDistortion2="0"/></camera>'
        )
    (folder / "calib.toml").write_text("\n".join(tables))
    (folder / "calib.qca.txt").write_text("<calibration><cameras>" + "\n".join(entries) + "</cameras></calibration>")


def _pictures(folder: Path) -> None:
    from PIL import Image

    from fixtures.command_line import write_video

    write_video(folder / "video.mp4")
    picture = Image.fromarray(np.arange(40 * 30 * 3, dtype=np.uint8).reshape(30, 40, 3))
    for suffix in ("png", "jpg", "bmp", "tif", "webp", "gif"):
        picture.save(folder / f"picture.{suffix}")
    Image.fromarray(np.arange(1200, dtype=np.uint16).reshape(30, 40)).save(folder / "deep.png")
    moving = [Image.fromarray(np.full((30, 40, 3), 20 * i, np.uint8)) for i in range(8)]
    for suffix in ("webp", "gif", "png", "tif"):
        moving[0].save(folder / f"moving.{suffix}", save_all=True, append_images=moving[1:], duration=40, loop=0)
    for suffix, codec in (("avi", "mpeg4"), ("mkv", "libx264"), ("ts", "mpeg4"), ("webm", "libvpx"), ("mov", "mjpeg")):
        _video(folder / f"video.{suffix}", codec)
    planes = b"FRAME\n" + bytes(32 * 24 * 3 // 2)
    (folder / "video.y4m").write_bytes(b"YUV4MPEG2 W32 H24 F25:1 Ip A1:1 C420jpeg\n" + 6 * planes)


def _video(path: Path, codec: str) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for i in range(8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 * i, np.uint8), "rgb24")))
        container.mux(stream.encode(None))
