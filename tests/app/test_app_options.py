"""The form: what it becomes on the command line, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from posemamba.app.options import FIELDS, arguments, checked, form, in_words, same_people
from posemamba.cli.app import check_arguments
from posemamba.utils.errors import PoseMambaError

EXPORTS = "--export=csv,trc,bvh,glb"


def test_what_the_form_becomes() -> None:
    assert arguments(checked({}), "video") == ["--smooth", "--angles", EXPORTS, "--people"]
    assert arguments(checked({}), "keypoints", "2") == ["--smooth", "--angles", EXPORTS, "--person=2"]
    given = {
        "height": " 1.78 ", "person": "all", "smooth": False, "fov": "65,5", "camera_pitch": -3, "detector": "lite",
        "every": "2", "csv": False, "glb": False, "bvh": False, "trc": False, "rig": "mixamo", "world": "camera",
        "flip": False, "overlay": False, "overlay_angles": True, "fps": "25", "start": "1:05",
    }  # fmt: skip
    assert arguments(checked(given), "video") == [
        "--height=1.78", "--start=1:05", "--fov=65.5", "--camera-pitch=-3", "--detector=lite", "--every=2", "--no-flip",
        "--angles", "--no-overlay", "--person=all",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["video", "keypoints", "pictures"])
def test_every_value_of_the_form_is_one_that_the_command_takes(kind: Any, tmp_path: Any) -> None:
    name = tmp_path / {"video": "a.mp4", "keypoints": "a.npz", "pictures": "a.png"}[kind]
    name.touch()
    base = [str(name), f"--out={tmp_path / 'out'}"]
    texts = {
        "height": "1.78,1.65",
        "start": "1",
        "end": "2",
        "image_size": "640x480",
        "fov": "60",
        "skeleton": "coco17",
        "format": "npz",
    }
    everything = {
        field.name: not field.default
        if field.type == "yes"
        else texts.get(field.name, "1")
        if field.type != "choice"
        else field.choices[-1][0]
        for field in FIELDS.values()
    }
    everything |= {"bvh": True, "trc": True, "overlay": True, "weights": "posemamba-b", "upright": False}
    for values in ({}, everything):
        check_arguments([*base, *arguments(checked(values), kind)])
    for field in FIELDS.values():
        for choice, _ in field.choices:
            check_arguments([*base, *arguments(checked({field.name: choice}), kind)])
    assert all(set(one) >= {"name", "label", "help", "default"} for one in form())


@pytest.mark.parametrize(
    "given",
    [
        {"no such": 1}, [], "height", {"smooth": "yes"}, {"detector": "heavy --out=/"}, {"height": "1\n2"},
        {"fov": "0"}, {"fov": "nan"}, {"fov": "1e999"}, {"fov": "wide"}, {"person": "3"}, {"height": ["1"]},
        {"every": 2}, {"height": "\ud800"}, {"height": "x" * 300}, {"fov": 10**400}, {"fov": -(10**400)},
    ],
)  # fmt: skip
def test_other_values_are_refused(given: Any) -> None:
    with pytest.raises(PoseMambaError):
        checked(given)


def test_options_of_an_earlier_version_are_completed() -> None:
    """A job goes on after an update, by which the form has more fields."""
    for given in ({}, {"height": "1.78"}, {"csv": False, "rig": "mixamo"}):
        assert arguments(given, "video") == arguments(checked(given), "video")


def test_no_value_is_taken_for_another_option(tmp_path: Any) -> None:
    name = tmp_path / "a.mp4"
    name.touch()
    for value in ("--out=/etc", "-o", "/etc/passwd", "--plugin=os"):
        given = arguments(checked({"height": value, "skeleton": value, "start": value}), "video")
        assert {f"--height={value}", f"--start={value}"} <= set(given) and value not in given
        with pytest.raises(PoseMambaError, match=r"--(height|start)"):
            check_arguments([str(name), f"--out={tmp_path}", *given])


def test_errors_speak_the_words_of_the_form() -> None:
    told = in_words("--height is '9', leave --fov out; choose another folder (-o); --no-such stays")
    assert told == "“Height of the person” is '9', leave “Field of view” out; --no-such stays"
    assert in_words("take it: posemamba lift --allow-damaged") == "take it: “Use damaged videos”"


def test_options_of_the_detection_decide_whether_people_are_chosen_anew() -> None:
    before = checked({})
    assert same_people(before, checked({"height": "1.8", "smooth": False, "flip": False}))
    assert not same_people(before, checked({"detector": "lite"})) and not same_people(before, checked({"end": "3"}))
