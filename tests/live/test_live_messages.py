"""Poses as lines of JSON and as OSC."""

from __future__ import annotations

import json
import socket

import numpy as np
import pytest

from posemamba.live import messages
from posemamba.live.poses import LivePose, judge_frame
from posemamba.utils.errors import PoseMambaError


@pytest.fixture
def pose() -> LivePose:
    random = np.random.default_rng(0)
    feet = random.normal(size=(4, 3)).astype(np.float32)
    feet[2] = np.nan
    xy = random.uniform(0, 400, (17, 2)).astype(np.float32)
    xy[5] = np.nan
    return LivePose(
        index=7,
        time=1.25,
        seen=True,
        image_size=(640, 480),
        xyz=random.normal(size=(17, 3)).astype(np.float32),
        expected_mm=random.uniform(0, 200, 17).astype(np.float32),
        feet=feet,
        xy=xy,
        feet_xy=random.uniform(0, 400, (4, 2)).astype(np.float32),
        confidence=np.linspace(0, 1, 17, dtype=np.float32),
        angles={"left_knee_flexion": 12.345, "trunk_rotation": -3.0},
        angle_errors={"left_knee_flexion": 6.0},
        trust=1,
        reason="a reason",
    )


def test_a_line_holds_what_the_first_line_names(pose: LivePose) -> None:
    first = json.loads(messages.line(messages.header(source="camera 0")))
    told = json.loads(messages.line(messages.message(pose)))
    joints, parents = first["joints"], first["parents"]
    assert len(joints) == len(parents) == len(told["xyz"]) == len(told["xy"]) == len(told["confidence"]) == 21
    assert all(parent < j for j, parent in enumerate(parents))
    assert told["xyz"][joints.index("left_heel")] is None and told["xy"][5] is None
    assert np.allclose(told["xyz"][3], pose.xyz[3], atol=1e-4)
    assert told["angles"] == pytest.approx(pose.angles, abs=0.006)
    assert (told["index"], told["time"], told["trust"], told["reason"]) == (7, 1.25, 1, "a reason")
    away = messages.message(LivePose(8, 1.3, False, (640, 480)))
    assert away["seen"] is False and away["trust"] == 2 and "xyz" not in away


def test_axes_are_those_of_each_program(pose: LivePose) -> None:
    x, y, z = pose.xyz[4].astype(float)
    expected = {"camera": (x, y, z), "blender": (x, z, -y), "unity": (x, -y, z), "touchdesigner": (x, -y, -z)}
    assert set(expected) == set(messages.AXES)
    for axes, place in expected.items():
        told = messages.message(pose, axes)["xyz"][4]
        assert np.allclose(told, place, atol=1e-4), axes
        handed = np.linalg.det(messages.AXES[axes][1])
        assert handed == pytest.approx(-1 if axes == "unity" else 1)


def test_osc_arrives_in_packets_that_fit(pose: LivePose) -> None:
    bundles = pytest.importorskip("pythonosc.osc_bundle", reason="the extra 'osc'")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        sender = messages.OscSender(*messages.parse_address(f"127.0.0.1:{receiver.getsockname()[1]}"), "blender")
        sender.send(pose)
        packets = [receiver.recv(65_536) for _ in range(2)]
        sender.send(LivePose(8, 1.3, False, (640, 480)))
        last = receiver.recv(65_536)
    assert max(map(len, packets)) <= 1472
    got = {m.address: m.params for packet in packets for m in bundles.OscBundle(packet)}
    assert got["/posemamba/frame"] == [7, 1.25, 1, 1]
    x, y, z = pose.xyz[11].astype(float)
    assert got["/posemamba/joint/left_shoulder"] == pytest.approx(
        [x, z, -y, pose.expected_mm[11], pose.confidence[11]], abs=1e-4
    )
    assert "/posemamba/joint/left_heel" not in got and "/posemamba/joint/left_toe" in got
    assert got["/posemamba/angle/left_knee_flexion"] == pytest.approx([12.345, 6.0])
    assert got["/posemamba/angle/trunk_rotation"] == pytest.approx([-3.0, -1.0])
    assert [m.params for m in bundles.OscBundle(last)] == [[8, pytest.approx(1.3), 0, 2]]


@pytest.mark.parametrize(
    "text", ["9000", "localhost", "localhost:", "host:0", "host:70000", "host:x", ":9000", "host:9" + 5000 * "0"]
)
def test_addresses_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(PoseMambaError, match="HOST:PORT"):
        messages.parse_address(text)


@pytest.mark.parametrize("host", [300 * "a", "ä..b"])
def test_a_name_that_no_host_can_have_is_refused(host: str) -> None:
    pytest.importorskip("pythonosc")
    with pytest.raises(PoseMambaError, match="cannot be reached"):
        messages.OscSender(host, 9000)


def test_frames_are_judged_by_what_was_seen_and_expected() -> None:
    sure, near = np.ones(17), np.full(17, 40.0)
    assert judge_frame(sure, near) == (0, "") and judge_frame(sure, None) == (0, "")
    assert judge_frame(sure, 2 * near)[0] == 1 and judge_frame(sure, 4 * near)[0] == 2
    arm = sure.copy()
    arm[13] = 0.2
    assert judge_frame(arm, near) == (1, "hardly seen, and guessed: left arm")
    arm[3] = 0.2
    assert judge_frame(arm, near)[0] == 2
    assert judge_frame(0 * sure, near) == (2, "the detector is unsure of 17 of 17 joints")
