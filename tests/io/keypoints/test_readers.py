"""Every tool's files, written here as the tool lays them out, and read back; broken ones refused."""

from __future__ import annotations

import csv
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from posemamba.io.keypoints import is_keypoint_file, read_keypoints, read_people
from posemamba.poses import Keypoints2D
from posemamba.poses.mapping import to_h36m17
from posemamba.poses.skeletons import BLAZEPOSE33, BODY25, COCO17, H36M17, HALPE26, MPI3DHP17, SKELETONS, Skeleton
from posemamba.utils.errors import PoseMambaError

SIZE = (1280, 720)
FRAMES = 12


def body(skeleton: Skeleton, x: float, seed: int = 0) -> NDArray:
    """(J, 2) in pixels: no two joints alike, 400 tall; what a reader confuses is off by more than its rounding."""
    rng = np.random.default_rng(seed)
    return np.stack([x + rng.uniform(-60, 60, len(skeleton)), rng.uniform(100, 500, len(skeleton))], -1).round(3)


def clip(skeleton: Skeleton) -> NDArray:
    """(2, F, J, 2): two people who walk towards each other, one in front."""
    steps = 8 * np.arange(FRAMES)[:, None, None]
    right = np.array([1.0, 0.0])
    return np.stack([body(skeleton, 300, 1) + steps * right, body(skeleton, 900, 2) - steps * right])


def people(path: Path, **options: Any) -> list[Keypoints2D]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return read_people(path, **{"image_size": SIZE, "fps": 25} | options)


def same(found: list[Keypoints2D], truth: NDArray, atol: float = 2e-3) -> None:
    """Both people, in some order, NaN where the truth is."""
    assert [p.person for p in found] == list(range(1, len(truth) + 1))
    order = sorted(range(len(found)), key=lambda i: float(np.nanmean(found[i].xy[:3, :, 0])))
    for i, expected in zip(order, truth, strict=True):
        np.testing.assert_allclose(found[i].xy, expected, atol=atol)
        assert (found[i].confidence[~np.isfinite(expected).all(-1)] == 0).all()


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def flat(xy: NDArray, confidence: float = 0.8) -> list[float]:
    return np.column_stack([xy, np.full(len(xy), confidence)]).ravel().tolist()


@pytest.mark.parametrize("skeleton", [COCO17, HALPE26], ids=lambda s: s.name)
@pytest.mark.parametrize("ids", ["tracked", "untracked", "all 0"])
def test_alphapose(tmp_path: Path, skeleton: Skeleton, ids: str) -> None:
    truth = clip(skeleton)
    truth[0, 4:6] = np.nan  # frames without the first person
    truth[:, 0] = np.nan  # and without anybody: not in the file
    entries = []
    for frame in range(FRAMES):
        for person in (frame % 2, 1 - frame % 2):
            if np.isfinite(truth[person, frame]).all():
                entry = {
                    "image_id": f"{frame}.jpg",
                    "category_id": 1,
                    "keypoints": flat(truth[person, frame]),
                    "score": 2.9,
                    "box": [1.0, 2.0, 30.0, 40.0],
                }
                entries.append(entry | {"tracked": {"idx": [7, 3][person]}, "all 0": {"idx": 0}}.get(ids, {}))
    found = people(write(tmp_path / "alphapose-results.json", entries))
    assert found[0].skeleton is skeleton and len(found[0]) == FRAMES
    same(found, truth)
    assert found[0].confidence[1, 0] == pytest.approx(0.8)
    if skeleton is HALPE26:  # with face and hands after the body
        whole = [e | {"keypoints": e["keypoints"] + [1.0] * 330} for e in entries]
        same(people(write(tmp_path / "whole.json", whole)), truth)
    else:  # COCO-WholeBody's feet: big toe, small toe and heel of the left, then of the right
        feet = flat(np.arange(12.0).reshape(6, 2) + 50)
        whole = [e | {"keypoints": e["keypoints"] + feet + [1.0] * 330} for e in entries]
        found = people(write(tmp_path / "whole.json", whole))
        same(found, truth)
        assert found[0].feet is not None
        assert found[0].feet.xy[1].tolist() == [[60, 61], [56, 57], [54, 55], [50, 51]]  # right heel and toe, left


@pytest.mark.parametrize("ids", [True, False])
def test_openpose(tmp_path: Path, ids: bool) -> None:
    """A folder; joints that were not found are 0, 0, 0; numbers need not begin with 0."""
    truth = clip(BODY25)
    truth[1, 3, 14:] = np.nan
    for frame in range(FRAMES):
        entries = []
        for person in (frame % 2, 1 - frame % 2):
            xy = truth[person, frame]
            joints = np.where(np.isfinite(xy).all(-1)[:, None], np.column_stack([xy, np.full(25, 0.7)]), 0)
            entries.append(
                {
                    "person_id": [person + 4 if ids else -1],
                    "pose_keypoints_2d": joints.ravel().tolist(),
                    **{key: [] for key in ("face_keypoints_2d", "hand_left_keypoints_2d", "pose_keypoints_3d")},
                }
            )
        name = f"my_video_{frame + 5:012d}_keypoints.json"
        write(tmp_path / name, {"version": 1.3, "people": entries if frame != 6 else []})
    truth[:, 6] = np.nan
    found = people(tmp_path)
    assert found[0].skeleton is BODY25
    assert is_keypoint_file(tmp_path) and is_keypoint_file(tmp_path / name) and not is_keypoint_file(tmp_path / "none")
    same(found, truth)
    write(tmp_path / "other_000000000000_keypoints.json", {"version": 1.3, "people": []})
    with pytest.raises(PoseMambaError, match=r"2 clips, 'my_video_' \(12 frames\), 'other_' \(1 frames\)"):
        people(tmp_path)


def test_openpose_of_18_joints(tmp_path: Path) -> None:
    names = "nose neck r_shoulder r_elbow r_wrist l_shoulder l_elbow l_wrist r_hip r_knee r_ankle l_hip l_knee l_ankle"
    names += " r_eye l_eye r_ear l_ear"
    long = [n.replace("r_", "right_").replace("l_", "left_") for n in names.split()]
    xy = body(COCO17, 300)
    joints = np.array([xy[COCO17.joints.index(n)] if n in COCO17.joints else (1, 1) for n in long])
    write(tmp_path / "a_0_keypoints.json", {"people": [{"pose_keypoints_2d": flat(joints)}]})
    np.testing.assert_allclose(people(tmp_path)[0].xy[0], xy, rtol=1e-5)


def landmark(point: NDArray) -> dict[str, float]:
    x, y = point.tolist()
    return {"x": x, "y": y, "z": -0.1, "visibility": 0.9, "presence": 0.99}


@pytest.mark.parametrize("unit", ["shares", "pixels"])
def test_mediapipe_json(tmp_path: Path, unit: str) -> None:
    """The Tasks API's results, the older interface's, and bare lists; nobody in one frame."""
    truth = clip(BLAZEPOSE33)
    given = truth / SIZE if unit == "shares" else truth
    tasks = [
        {"frame": f + 1, "pose_landmarks": [[landmark(p) for p in person[f]] for person in given]}
        for f in range(FRAMES)
    ]
    tasks[5]["pose_landmarks"] = []
    expected = truth.copy()
    expected[:, 5] = np.nan
    same(people(write(tmp_path / "tasks.json", tasks)), expected)
    (tmp_path / "size.json").write_text(json.dumps({"fps": 30, "width": 1280, "height": 720, "frames": tasks}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = read_people(tmp_path / "size.json")
    same(found, expected)
    assert found[0].fps == 30 and found[0].image_size == SIZE and found[0].confidence[0, 0] == pytest.approx(0.9)

    one, alone = truth[:1], given[0]
    layouts: dict[str, Any] = {
        "older": [{"frame_id": f, "pose_landmarks": [landmark(p) for p in xy]} for f, xy in enumerate(alone)],
        "proto": [{"pose_landmarks": {"landmark": [landmark(p) for p in xy]}} for xy in alone],
        "bare": [[[*p, 0.0, 0.9] for p in xy.tolist()] for xy in alone],
        "camel": {"frames": [{"poseLandmarks": [landmark(p) for p in xy]} for xy in alone]},
    }
    for name, content in layouts.items():
        same(people(write(tmp_path / f"{name}.json", content)), one)
    if unit == "shares":
        with pytest.raises(PoseMambaError, match=r"shares of the image's width and height.*--image-size"):
            people(tmp_path / "bare.json", image_size=None)


@pytest.mark.parametrize("unit", ["shares", "pixels"])
def test_mediapipe_csv(tmp_path: Path, unit: str) -> None:
    """Wide with names, wide with numbers from 0 and 1, and one row a landmark."""
    truth = clip(BLAZEPOSE33)[:1]
    given = truth[0] / SIZE if unit == "shares" else truth[0]
    names = [n.replace("toe", "foot_index").upper() for n in BLAZEPOSE33.joints]
    names = [f"MOUTH_{n.split('_')[0]}" if "MOUTH" in n else n for n in names]

    def table(name: str, header: list[str], rows: Any) -> Path:
        with (tmp_path / name).open("w", newline="") as file:
            csv.writer(file).writerows([header, *rows])
        return tmp_path / name

    wide = [[f, f / 25, *(v for p in xy.tolist() for v in (*p, 0.0, 0.9))] for f, xy in enumerate(given)]
    headers = {
        "names.csv": [f"{n}_{a}" for n in names for a in ("x", "y", "z", "visibility")],
        "from_0.csv": [f"{a}{i}" for i in range(33) for a in "xyzv"],
        "from_1.csv": [f"{a}{i}" for i in range(1, 34) for a in "xyzv"],
        "landmark.csv": [f"landmark_{i}_{a}" for i in range(33) for a in ("x", "y", "z", "visibility")],
    }
    for name, header in headers.items():
        found = people(table(name, ["frame", "timestamp", *header], wide))
        assert found[0].skeleton is BLAZEPOSE33 and found[0].confidence[0, 0] == pytest.approx(0.9), name
        same(found, truth)
        np.testing.assert_allclose(found[0].frame_times(), np.arange(FRAMES) / 25, err_msg=name)
    for key, labels in (("landmark", names), ("landmark_id", list(range(33)))):
        rows = [
            [f, label, *p, 0.0, 0.9] for f, xy in enumerate(given) for label, p in zip(labels, xy.tolist(), strict=True)
        ]
        found = people(table("long.csv", ["frame", key, "x", "y", "z", "visibility"], rows))
        assert found[0].skeleton is BLAZEPOSE33
        same(found, truth)
    with pytest.raises(PoseMambaError, match=r"line 4 holds 'broken' in place of a number"):
        people(
            write(tmp_path / "b.csv", (tmp_path / "from_0.csv").read_text().replace("\n2,0.08,", "\n2,0.08,broken,"))
        )


def ragged(values: list[Any]) -> NDArray:
    made = np.empty((len(values), 2), object)
    for i, (first, second) in enumerate(values):
        made[i, 0], made[i, 1] = first, second
    return made


def test_detectron2_and_videopose3d(tmp_path: Path) -> None:
    """What VideoPose3D's scripts write, object arrays and all, without unpickling what could run code."""
    truth = clip(COCO17)
    truth[:, 4] = np.nan
    boxes, keypoints = [], []
    for frame in range(FRAMES):
        if frame == 4:
            boxes.append(([], []))
            keypoints.append(([], []))
            continue
        both = truth[:, frame].transpose(0, 2, 1)
        kps = np.concatenate([both, np.zeros((2, 1, 17)), np.full((2, 1, 17), 0.04)], axis=1).astype(np.float32)
        boxes.append(([], np.array([[0, 0, 9, 9, 0.99], [5, 5, 9, 9, 0.95]], np.float32)))
        keypoints.append(([], list(kps) if frame % 2 else kps))
    path = tmp_path / "video.mp4.npz"
    np.savez_compressed(
        path, boxes=ragged(boxes), segments=np.array([None] * FRAMES), keypoints=ragged(keypoints),
        metadata={"w": SIZE[0], "h": SIZE[1]},
    )  # fmt: skip
    found = people(path, image_size=None)
    same(found, truth)
    assert found[0].image_size == SIZE and found[0].confidence[0, 0] == pytest.approx(0.99 * 0.8, abs=1e-3)

    xy = truth[0].astype(np.float32)
    meta = {
        "layout_name": "coco", "num_joints": 17, "keypoints_symmetry": [[1, 3], [2, 4]],
        "video_metadata": {"video.mp4": {"w": SIZE[0], "h": SIZE[1]}},
    }  # fmt: skip
    data_set = tmp_path / "data_2d_custom_mine.npz"
    np.savez_compressed(data_set, positions_2d={"video.mp4": {"custom": [xy]}}, metadata=meta)
    found = people(data_set, image_size=None)
    assert found[0].skeleton is COCO17 and found[0].image_size == SIZE
    same(found, truth[:1])
    np.savez_compressed(data_set, positions_2d={"S1": {"Walk": [xy, xy]}, "S5": {"Sit": [xy]}}, metadata=meta)
    with pytest.raises(PoseMambaError, match=r"holds 3 clips \(S1/Walk/0, S1/Walk/1, S5/Sit/0\), expected one"):
        people(data_set)

    class Evil:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return print, ("this would have run",)

    np.savez(data_set, positions_2d=np.array(Evil(), dtype=object), metadata=meta)
    with pytest.raises(PoseMambaError, match="refused"):
        people(data_set)


@pytest.mark.parametrize("kind", ["f2", "i2", "u2", ">f4", "i4", "f8"])
def test_npz_of_any_numbers(tmp_path: Path, kind: str) -> None:
    """No half float overflows, and no integer, where places are judged."""
    truth = clip(COCO17).round().astype(kind)
    np.savez(tmp_path / "k.npz", keypoints=truth, skeleton="coco17", fps=25, image_size=SIZE)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        found = people(tmp_path / "k.npz")
    same(found, truth.astype(np.float64))


def dlc(path: Path, names: list[str], xy: NDArray, individuals: list[str], rows: list[str], likelihood: bool) -> Path:
    """(P, F, J, 2) as DeepLabCut writes it; four header rows if there is more than one individual."""
    axes = ("x", "y", "likelihood") if likelihood else ("x", "y")
    columns = [(who, part, axis) for who in individuals for part in names for axis in axes]
    head = [["scorer", *["DLC_resnet50_menAug1shuffle1_50000"] * len(columns)]]
    if len(individuals) > 1:
        head.append(["individuals", *[c[0] for c in columns]])
    head += [["bodyparts", *[c[1] for c in columns]], ["coords", *[c[2] for c in columns]]]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows(head)
        for f, row in enumerate(rows):
            cells: list[Any] = []
            for person in xy:
                for x, y in person[f].tolist():
                    cells += [x, y, 0.95] if x == x else ["", "", ""]
                    if not likelihood:
                        cells.pop()
            writer.writerow([row, *cells])
    return path


@pytest.mark.parametrize("likelihood", [True, False])
def test_deeplabcut(tmp_path: Path, likelihood: bool) -> None:
    """Three and four header rows, parts named in other ways and another order, pictures as row names."""
    truth = clip(COCO17)
    truth[0, 3, 9], truth[1, 5:8] = np.nan, np.nan
    order = np.random.default_rng(0).permutation(17)
    spellings = [
        COCO17.joints,
        [n.split("_")[0][0].upper() + n.split("_")[1].title() if "_" in n else "Nose" for n in COCO17.joints],
        ["_".join([n.split("_")[1], n[0]]) if "_" in n else n for n in COCO17.joints],
    ]
    numbers = [str(f) for f in range(FRAMES)]
    for spelling in spellings:
        names = [spelling[i] for i in order]
        path = dlc(tmp_path / "two.csv", names, truth[:, :, order], ["ann", "bob"], numbers, likelihood)
        found = people(path)
        assert found[0].skeleton is COCO17
        same(found, truth)
    pictures = [f"labeled-data/vid/img{f:04d}.png" for f in range(10, 10 + FRAMES)]
    same(people(dlc(tmp_path / "one.csv", list(spellings[0]), truth[:1], ["ann"], pictures, likelihood)), truth[:1])

    limbs = list(COCO17.joints[5:])
    path = dlc(tmp_path / "limbs.csv", limbs, truth[:1, :, 5:], ["ann"], numbers, likelihood)
    with pytest.warns(UserWarning, match=r"lacks nose, left_eye, right_eye, left_ear, right_ear; these joints"):
        found = read_people(path, fps=25, image_size=SIZE)
    assert not found[0].found[:, :5].any() and found[0].found[0, 5:].all()
    path = dlc(tmp_path / "mouse.csv", ["snout", "tail"], truth[:1, :, :2], ["ann"], numbers, likelihood)
    with pytest.raises(PoseMambaError, match=r"body parts snout, tail; for a pose it lacks left_shoulder, right_sh"):
        people(path)


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
def test_csv_of_any_skeleton_by_names(tmp_path: Path, skeleton: Skeleton) -> None:
    truth = clip(skeleton)
    path = tmp_path / "k.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        axes = ("x", "y", "confidence")
        writer.writerow(["frame", "time", "person", *[f"{n}_{a}" for n in skeleton.joints for a in axes]])
        for f in range(FRAMES):
            for p in (1, 0):
                writer.writerow([f, f / 50, "ab"[p], *flat(truth[p, f], 0.5)])
    found = people(path)
    assert found[0].skeleton is skeleton
    same(found, truth)


@pytest.mark.parametrize("mark", ";\t")
def test_csv_with_decimal_commas(tmp_path: Path, mark: str) -> None:
    """Spreadsheets write them where numbers have decimal commas; between quotes and commas they may be thousands."""
    xy = clip(COCO17)[0]
    head = ["frame", "time", *[f"{n}_{a}" for n in COCO17.joints for a in "xy"]]
    rows = [[str(f), f"{f / 50:.2f}", *[f"{v:.3f}" for v in xy[f].ravel()]] for f in range(FRAMES)]
    text = "\n".join(mark.join(cell.replace(".", ",") for cell in row) for row in [head, *rows])
    found = people(write(tmp_path / "k.csv", text))
    same(found, xy[None])
    assert found[0].fps == 50
    bare = "\n".join(mark.join(f"{v:.3f}".replace(".", ",") for v in row.ravel()) for row in clip(H36M17)[0])
    same(people(write(tmp_path / "bare.csv", bare)), clip(H36M17)[:1])
    quoted = ",".join(head) + "\n" + ",".join(["0", "0", *['"1,234"'] * 34])
    with pytest.raises(PoseMambaError, match="line 2 holds '1,234' in place of a number"):
        people(write(tmp_path / "quoted.csv", quoted))


def test_human36m_tables(tmp_path: Path) -> None:
    """Usual names of Human3.6M's joints, 34 bare columns, and npz; MPI-INF-3DHP's joints are known by how they lie."""
    xy = clip(H36M17)[0]
    usual = "Hip RHip RKnee RFoot LHip LKnee LFoot Spine Thorax Neck/Nose Head LShoulder LElbow LWrist RShoulder RElbow"
    head = [f"{n}_{a}" for n in [*usual.split(), "RWrist"] for a in "xy"]
    lines = [",".join(f"{v:.3f}" for v in row.ravel()) for row in xy]
    for name, text in (("names.csv", "\n".join([",".join(head), *lines])), ("bare.csv", "\n".join(lines))):
        found = people(write(tmp_path / name, text))
        assert found[0].skeleton is H36M17, name
        same(found, xy[None])
    standing = np.zeros((17, 2))
    for i, name in enumerate(MPI3DHP17.joints):
        side = {"left": 1, "right": -1}.get(name.split("_")[0], 0)
        height = {"head_top": 0, "head": 25, "neck": 70, "spine": 160, "pelvis": 200}.get(name)
        part = {"shoulder": (45, 75), "elbow": (60, 150), "wrist": (65, 210), "hip": (25, 200), "knee": (28, 300)}
        width, down = (0, height) if height is not None else part.get(name.split("_")[-1], (30, 400))
        standing[i] = 300 + side * width, 50 + down
    np.savez(tmp_path / "3dhp.npz", keypoints=np.stack([standing] * 4))
    found = people(tmp_path / "3dhp.npz")[0]
    assert found.skeleton is MPI3DHP17
    pelvis, thorax = to_h36m17(found).xy[0, [0, 8]]
    assert pelvis.tolist() == [300, 250] and thorax.tolist() == [300, 120]


def test_extra_joints_serve_the_conversion() -> None:
    """Halpe's head top is taken; its pelvis and BODY_25's stand in where a hip is missing."""
    for skeleton in (HALPE26, BODY25):
        xy = np.stack([body(skeleton, 300)] * 2).astype(np.float32)
        pelvis, left = skeleton.joints.index("pelvis"), skeleton.joints.index("left_hip")
        xy[1, left] = np.nan
        made = to_h36m17(Keypoints2D(xy, np.isfinite(xy).all(-1), skeleton, SIZE, 25))
        right = xy[0, skeleton.joints.index("right_hip")]
        np.testing.assert_allclose(made.xy[0, 0], (xy[0, left] + right) / 2, rtol=1e-6)
        np.testing.assert_array_equal(made.xy[1, 0], xy[1, pelvis])
        if skeleton is HALPE26:
            np.testing.assert_array_equal(made.xy[:, 10], xy[:, skeleton.joints.index("head_top")])


def test_people_of_an_npz(tmp_path: Path) -> None:
    truth = clip(COCO17)
    truth[0, 2:] = np.nan
    np.savez(tmp_path / "k.npz", keypoints=truth, skeleton="coco17", fps=25, image_size=SIZE)
    with pytest.warns(UserWarning, match="1 track left out, seen in fewer than 3 frames"):
        found = read_people(tmp_path / "k.npz")
    np.testing.assert_allclose(found[0].xy, truth[1], rtol=1e-6)
    with pytest.warns(UserWarning, match=r"2 people.*up to 2 in a frame.*seen in 12 of 12"):
        assert np.isfinite(read_keypoints(tmp_path / "k.npz").xy).all()


def test_broken_files_are_refused_in_one_line(tmp_path: Path) -> None:
    def folder(name: str, **files: Any) -> Path:
        (tmp_path / name).mkdir()
        for file, content in files.items():
            write(tmp_path / name / f"{file}_keypoints.json", content)
        return tmp_path / name

    def pose(values: list[float]) -> dict[str, Any]:
        return {"people": [{"pose_keypoints_2d": values}]}

    def file(name: str, content: Any) -> Path:
        return write(tmp_path / name, content)

    one = {"image_id": "0.jpg", "keypoints": flat(body(COCO17, 300))}
    head = "scorer,m,m\nbodyparts,nose,nose\ncoords,x,y\n"
    arrays = {"boxes": ragged([([], np.zeros((1, 5)))]), "metadata": {"w": 1, "h": 1}}
    np.savez(tmp_path / "d.npz", keypoints=ragged([([], np.ones((1, 3, 17)))]), **arrays)
    wide = ",".join(f"{n}_{a}" for n in COCO17.joints for a in "xy") + "\n"
    cases = {
        tmp_path: "holds 6 folders of keypoints",
        folder("cut", a_0=json.dumps(pose([1, 2, 3]))[:-4]): "not JSON, or cut short",
        folder("six", a_0=pose([1.0] * 18)): "6 joints, expected 17",
        folder("two", a_0=pose([1.0] * 74)): r"shape \(74,\), expected x, y and confidence",
        folder("infinite", a_0=pose([float("inf")] * 75)): "joint 0 is infinite",
        folder("nobody", a_0={"people": []}): "nobody was found",
        folder("far", a_0=pose([1.0] * 75), a_999999999=pose([1.0] * 75)): "correct them",
        file("frame.json", pose([1.0] * 75)): "one frame of OpenPose.*folder",
        file("joints.json", [one | {"keypoints": [1.0] * 60}]): "20 joints, expected COCO's 17 or Halpe's 26",
        file("mixed.json", [one, one | {"keypoints": flat(body(HALPE26, 300))}]): "17 and 26 joints",
        file("entry.json", [one, {"image_id": "1.jpg"}]): "entry 1 is an object of 'image_id'",
        file("few.json", [{"pose_landmarks": [landmark(np.ones(2))] * 33}, {"pose_landmarks": [{"x": 1}]}]): (
            "frame 1 has 1 landmarks, expected MediaPipe's 33"
        ),
        file("no_y.json", [{"pose_landmarks": [{"x": 1.0}] * 33}]): "landmark without x and y",
        file("rows.csv", "scorer,a,b,c\nnose,1,2,3\n"): "expected DeepLabCut's header rows",
        file("scene.csv", head + "0,1,2\n"): "lacks left_shoulder",
        file("none.csv", wide): "zero frames",
        file("short.csv", wide + "1,2,3\n"): "line 2 has 3 cells, expected 34: cut short",
        file("names.csv", "a,b,c,d\n1,2,3,4\n"): "the first line is 'a,b,c,d'; expected a header",
        file("twice.csv", "frame," + wide + ("0," + ",".join(["7"] * 34) + "\n") * 2): "line 3 is frame 0 again",
        tmp_path / "d.npz": r"frame 0 has keypoints of shape \(1, 3, 17\)",
    }
    for path, message in cases.items():
        with pytest.raises(PoseMambaError, match=message) as error:
            people(path)
        assert str(path) in str(error.value) and "\n" not in str(error.value), path
    with pytest.raises(PoseMambaError, match=r"is a csv file, expected json or folder for format 'mmpose'"):
        people(tmp_path / "none.csv", format="mmpose")


def _one_walker(tmp_path: Path, surplus: dict[int, NDArray], second: NDArray | None = None) -> list[Path]:
    """A walker with id 5 in every format with ids, with poorer detections of the same id in some frames."""
    xy = clip(COCO17)[0]
    frames = [[(5, xy[f], 0.9)] for f in range(FRAMES)]
    for f, extra in surplus.items():
        frames[f].insert(0, (5, extra, 0.4))
    if second is not None:
        for f in range(FRAMES):
            frames[f].append((6 if f not in surplus else 5, second[f], 0.9))
    mmpose = [
        {
            "frame_id": f,
            "instances": [
                {"keypoints": p.tolist(), "keypoint_scores": [c] * 17, "track_id": name} for name, p, c in people
            ],
        }
        for f, people in enumerate(frames)
    ]
    alphapose = [
        {"image_id": f"{f}.jpg", "keypoints": flat(p, c), "score": 2.0, "idx": [[name]]}
        for f, people in enumerate(frames)
        for name, p, c in people
    ]
    folder = tmp_path / "openpose"
    folder.mkdir()
    for f, people in enumerate(frames):
        body25 = [np.concatenate([p, p[:8] + 3]) for _, p, _ in people]
        content = [
            {"person_id": [name], "pose_keypoints_2d": flat(q, c)}
            for (name, _, c), q in zip(people, body25, strict=True)
        ]
        write(folder / f"v_{f:012d}_keypoints.json", {"version": 1.3, "people": content})
    head = ["frame", "person", *(f"{j}_{a}" for j in COCO17.joints for a in ("x", "y", "score"))]
    rows = [[f, name, *flat(p, c)] for f, people in enumerate(frames) for name, p, c in people]
    table = "\n".join(",".join(map(str, row)) for row in (head, *rows))
    return [
        write(tmp_path / "mmpose.json", mmpose),
        write(tmp_path / "alphapose.json", alphapose),
        folder,
        write(tmp_path / "t.csv", table),
    ]


@pytest.mark.parametrize("where", [[6], [0], [3, 4, 9]])
def test_a_doubled_id_leaves_one_person(where: list[int], tmp_path: Path) -> None:
    """A second detection of the body, legs drawn up, comes before the right one: all frames stay with one person."""
    xy = clip(COCO17)[0]
    drawn = {f: np.concatenate([xy[f][:11], xy[f][11:] * 0.5 + xy[f][5:7].mean(0) * 0.5]) for f in where}
    for path in _one_walker(tmp_path, drawn):
        (one,) = people(path, skeleton="coco17" if path.suffix else None)
        assert one.seen.all() and (one.confidence[one.confidence > 0] > 0.8).all(), path.name
        np.testing.assert_allclose(one.xy[:, :17], xy if path.suffix else one.xy[:, :17], atol=2e-3)


def test_two_people_who_share_an_id_for_some_frames_keep_theirs(tmp_path: Path) -> None:
    first, second = clip(COCO17)
    # both are 5 in frames 5 and 6, where a poorer detection of the first comes on top
    for path in _one_walker(tmp_path, {5: first[5] + 4, 6: first[6] + 4}, second):
        if path.suffix:
            same(people(path, skeleton="coco17"), np.stack([first, second]))
        else:
            assert [int(p.seen.sum()) for p in people(path)] == [FRAMES, FRAMES]


def test_an_id_that_everybody_has_is_none(tmp_path: Path) -> None:
    """Two apart share id 0; the first goes, and the second, alone for longer than a track lasts, is not the first."""
    first, second = body(COCO17, 300, 1), body(COCO17, 900, 2)
    shown = [(first, second)] * 20 + [()] * 40 + [(second + 200,)] * 20
    content = [
        {"image_id": f"{f}.jpg", "keypoints": flat(p), "score": 2.0, "idx": 0} for f, ps in enumerate(shown) for p in ps
    ]
    assert sorted(int(p.seen.sum()) for p in people(write(tmp_path / "a.json", content))) == [20, 20, 20]
