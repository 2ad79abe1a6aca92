"""Live sessions with a made-up figure, a detector that sees it exactly, and a model that stands for the network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from posemamba.poses.detections import Detection
from posemamba.poses.skeletons import BLAZEPOSE33, H36M17
from posemamba.utils.errors import PoseMambaError

SIZE, FOCAL, AWAY = (640, 480), 640.0, 4.0
FOV = 2 * np.degrees(np.arctan(SIZE[0] / 2 / FOCAL))


def figure() -> np.ndarray:
    """(33, 3) metres of BlazePose's joints of somebody who stands before the camera, all at its distance."""
    up = {"nose": 0.66, "eye": 0.69, "ear": 0.68, "shoulder": 0.48, "elbow": 0.2, "wrist": -0.05, "hip": 0.0}
    up |= {"knee": -0.42, "ankle": -0.84, "heel": -0.88, "toe": -0.9}
    aside = {"shoulder": 0.18, "elbow": 0.25, "wrist": 0.28, "hip": 0.1, "knee": 0.1, "ankle": 0.1, "ear": 0.07}
    points = np.zeros((33, 3))
    for j, name in enumerate(BLAZEPOSE33.joints):
        part = next((p for p in up if name.endswith(p) or p in name), "wrist")
        side = 1.0 if name.startswith("left") else -1.0 if name.startswith("right") else 0.0
        points[j] = [side * aside.get(part, 0.05), -up[part], 0]
    points -= [0, points[:, 1].mean(), -AWAY]
    return points


def seen_at(time: float, shift: float = 0.0, there: bool = True) -> Any:
    from posemamba.live.session import Seen

    points = figure() + np.array([shift, 0, 0])
    xy = (points[:, :2] / points[:, 2:] * FOCAL + np.array(SIZE) / 2).astype(np.float32)
    return Seen(time, SIZE, Detection(xy, np.ones(33, np.float32), 1) if there else None)


@pytest.fixture
def make_session(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """make(network, ...): a session whose network is a function of the window (T, 17, 3), x and y and confidence."""
    import torch

    from posemamba.lifting.lifter import Lifter
    from posemamba.live.session import LiveSession

    class Detector:
        skeleton = BLAZEPOSE33

        def __init__(self, size: str) -> None:
            if size not in ("lite", "full", "heavy"):
                raise PoseMambaError(f"unknown size '{size}'")

    monkeypatch.setattr("posemamba.detect.blazepose.one_person.OnePersonDetector", Detector)

    class Model(torch.nn.Module):
        def __init__(self, network: Callable[[torch.Tensor], torch.Tensor]) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.network(x)

    def flat(x: torch.Tensor) -> torch.Tensor:  # a network for figures whose joints are all at one distance
        return torch.cat([x[..., :2] - x[:, :, :1, :2], torch.zeros_like(x[..., :1])], -1)

    def make(network: Any = flat, **options: Any) -> Any:
        lifter = Lifter(Model(network), window=27, flip=False, device="cpu")
        return LiveSession(lifter=lifter, field_of_view=FOV, **options)

    return make


def feed(session: Any, frames: list[Any]) -> list[Any]:
    return [pose for one in frames if (pose := session.lift(one)) is not None]


def test_a_figure_comes_out_at_its_place_and_size(make_session: Callable[..., Any]) -> None:
    from posemamba.refine.scale import BODY_LENGTH

    whole = np.linalg.norm(np.diff(figure()[[23, 25, 27]], axis=0), axis=-1).sum()
    session = make_session(delay=2)
    poses = feed(session, [seen_at(i / 30) for i in range(20)])
    head = poses[-1].xyz[[0, 7, 8, 9, 10]]
    length = whole + np.linalg.norm(np.diff(head, axis=0), axis=-1).sum() * (AWAY / poses[-1].xyz[0, 2])
    session = make_session(delay=2, height=length / BODY_LENGTH)
    pose = feed(session, [seen_at(i / 30) for i in range(20)])[-1]
    names = [H36M17.joints.index(name) for name in ("left_hip", "left_knee", "right_ankle", "left_wrist")]
    true = figure()[[BLAZEPOSE33.joints.index(n) for n in ("left_hip", "left_knee", "right_ankle", "left_wrist")]]
    assert np.abs(pose.xyz[names] - true).max() < 0.02
    assert np.abs(pose.xyz[:, 2] - AWAY).max() < 0.02 and pose.trust == 0 and pose.reason == ""
    assert pose.angles["left_knee_flexion"] == pytest.approx(0, abs=2)
    assert pose.feet.shape == (4, 3) and np.isfinite(pose.feet).all()


@pytest.mark.parametrize("delay", [0, 13])
def test_poses_come_in_order_each_once_and_no_later_than_the_delay(
    make_session: Callable[..., Any], delay: int
) -> None:
    session, indices = make_session(delay=delay), []
    for i in range(40):
        pose = session.lift(seen_at(i / 30, there=not 20 <= i < 24))
        assert (pose is None) == (i < delay)
        indices += [] if pose is None else [pose.index]
        assert pose is None or (pose.index == i - delay and pose.seen == (not 20 <= pose.index < 24))
    last = session.finish()
    assert indices + [pose.index for pose in last] == list(range(40)) and session.finish() == []
    assert session.lift(seen_at(3.0)) is None or delay == 0  # it goes on


def test_windows_end_with_the_delayed_frames_and_begin_with_a_segment(make_session: Callable[..., Any]) -> None:
    import torch

    lengths: list[int] = []

    def note(x: torch.Tensor) -> torch.Tensor:
        lengths.append(x.shape[1])
        return torch.zeros(*x.shape[:3], 3) + torch.linspace(0, 1, 17)[:, None]

    session = make_session(note, delay=2)
    feed(session, [seen_at(i / 30) for i in range(30)])
    assert lengths[0] == 9 or lengths[0] == 3  # few frames are held
    assert max(lengths) == 27 == lengths[-1]
    lengths.clear()
    feed(session, [seen_at(5 + i / 30) for i in range(4)])  # three seconds later: nothing of before is used
    assert lengths[:2] == [27, 27] and max(lengths[2:]) <= 9


@pytest.mark.slow
def test_what_differs_from_window_to_window_does_not_shake(make_session: Callable[..., Any]) -> None:
    import torch

    random = np.random.default_rng(0)

    def shaken(x: torch.Tensor) -> torch.Tensor:  # each window is off in depth by one number
        depth = torch.zeros_like(x[..., :1])
        depth[:, :, 1:] += float(random.normal()) * 0.05
        return torch.cat([x[..., :2] - x[:, :, :1, :2], depth], -1)

    poses = feed(make_session(shaken, delay=0), [seen_at(i / 30) for i in range(120)])
    depth = np.array([pose.xyz[3, 2] - pose.xyz[0, 2] for pose in poses[30:]])
    steps, alone = np.abs(np.diff(depth)).mean(), np.sqrt(2) * 0.05 * np.sqrt(2 / np.pi) * SIZE[0] / 2 / FOCAL * AWAY
    assert 0 < steps < 0.6 * alone
    assert abs(depth.mean()) < 0.05  # it is no bias


def test_nonsense_is_refused_in_a_line(make_session: Callable[..., Any]) -> None:
    for options, words in (
        ({"delay": 14}, "0 to 13"),
        ({"delay": -1}, "0 to 13"),
        ({"height": 17.5}, "height"),
        ({"camera_roll": 400}, "roll"),
        ({"detector": "huge"}, "huge"),
    ):
        with pytest.raises(PoseMambaError, match=words):
            make_session(**options)
    session = make_session()
    session.lift(seen_at(1.0))
    with pytest.raises(PoseMambaError, match="rising times"):
        session.lift(seen_at(1.0))
