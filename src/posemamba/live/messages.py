"""Live poses for other programs: lines of JSON, and OSC over UDP. The schema for users: docs/live.md."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from posemamba.live.poses import LivePose
from posemamba.poses.skeletons import FEET, FEET_BONES, H36M17
from posemamba.utils.errors import PoseMambaError, require

__all__ = ["AXES", "Axes", "OscSender", "header", "line", "message", "parse_address"]

FORMAT = "posemamba-live-1"
Axes = Literal["camera", "blender", "unity", "touchdesigner"]
AXES: dict[str, tuple[str, NDArray[np.float64]]] = {
    "camera": ("x right, y down, z away from the camera", np.diag([1.0, 1.0, 1.0])),
    "blender": (
        "x right, y away from the camera, z up",
        np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]]),
    ),
    "unity": ("x right, y up, z away from the camera (left-handed)", np.diag([1.0, -1.0, 1.0])),
    "touchdesigner": ("x right, y up, z towards the camera", np.diag([1.0, -1.0, -1.0])),
}
"""Axes by the program that has them: in words, and the matrix from the camera's. Up is the camera's, however tilted."""
JOINTS = (*H36M17.joints, *FEET)
PARENTS = (*H36M17.parents, *(start for start, _ in FEET_BONES))
_LARGEST = 1472  # bytes that fit into one packet of a network


def header(axes: Axes = "camera", **more: Any) -> dict[str, Any]:
    """Return the first line: the names of joints, the tree of bones, units and axes, and `more`."""
    return {
        "type": "start",
        "format": FORMAT,
        "joints": list(JOINTS),
        "parents": list(PARENTS),
        "units": "metres",
        "axes": AXES[axes][0],
        **more,
    }


def message(pose: LivePose, axes: Axes = "camera", **more: Any) -> dict[str, Any]:
    """Return a pose in JSON's types: the 17 joints, then heels and foot tips; null where one is not known."""
    told: dict[str, Any] = {
        "type": "pose",
        "index": pose.index,
        "time": pose.time,
        "seen": pose.seen,
        "trust": pose.trust,
        "reason": pose.reason,
        **more,
    }
    if not pose.seen:
        return told
    points, pixels, confidence = _with_feet(pose)
    return told | {
        "xyz": _rounded(points @ AXES[axes][1].T, 4),
        "xy": _rounded(pixels, 2),
        "confidence": _rounded(confidence, 3),
        "expected_mm": None if pose.expected_mm is None else _rounded(pose.expected_mm, 1),
        "angles": {name: round(degrees, 2) for name, degrees in pose.angles.items()},
        "angle_errors": {name: round(degrees, 2) for name, degrees in pose.angle_errors.items()},
        "image_size": list(pose.image_size),
    }


def line(message: dict[str, Any]) -> str:
    """Return a message as one line of JSON, with its end."""
    return json.dumps(message, separators=(",", ":"), allow_nan=False) + "\n"


def parse_address(text: str) -> tuple[str, int]:
    """Parse ``HOST:PORT``.

    Raises:
        PoseMambaError: it is none.
    """
    host, _, port = text.rpartition(":")
    if not host or not re.fullmatch("[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        raise PoseMambaError(f"--osc is '{text}', expected HOST:PORT, e.g. 127.0.0.1:9000")
    return host.strip("[]"), int(port)


class OscSender:
    """A sender of poses as OSC bundles over UDP.

    A frame is one bundle with ``/posemamba/frame`` and a message for each joint, and one with the angles. Each fits
    into one packet.
    """

    def __init__(self, host: str, port: int, axes: Axes = "camera") -> None:
        """Open the socket.

        Raises:
            PoseMambaError: python-osc is not installed, or there is no such host.
        """
        client = require("pythonosc.udp_client", "osc")
        try:
            self._client = client.UDPClient(host, port)
        except (OSError, ValueError) as error:  # ValueError: such a name no host can have
            reason = getattr(error, "strerror", None) or error
            raise PoseMambaError(f"--osc {host}:{port}: cannot be reached ({reason})") from error
        self._axes: Axes = axes
        self._bundles = require("pythonosc.osc_bundle_builder", "osc")
        self._messages = require("pythonosc.osc_message_builder", "osc")

    def send(self, pose: LivePose) -> None:
        """Send one pose; a receiver that is not there is no error."""
        for bundle in self.bundles(pose):
            try:
                self._client.send(bundle)
            except OSError:  # nobody listens: on some systems the next packet is refused
                continue

    def bundles(self, pose: LivePose) -> list[Any]:
        """Return the bundles of one pose."""
        frame: list[tuple[str, list[int | float]]] = [
            ("/posemamba/frame", [pose.index, float(pose.time), int(pose.seen), pose.trust])
        ]
        if not pose.seen:
            return [self._bundle(frame)]
        points, _, confidence = _with_feet(pose)
        turned = points @ AXES[self._axes][1].T
        for name, place, sure, off in zip(JOINTS, turned, confidence, _expected(pose), strict=False):
            if np.isfinite(place).all():
                frame.append((f"/posemamba/joint/{name}", [*map(float, place), off, float(sure)]))
        angles = [
            (f"/posemamba/angle/{name}", [degrees, pose.angle_errors.get(name, -1.0)])
            for name, degrees in pose.angles.items()
        ]
        return [self._bundle(frame), *([self._bundle(angles)] if angles else [])]

    def _bundle(self, messages: Iterable[tuple[str, list[Any]]]) -> Any:
        bundle = self._bundles.OscBundleBuilder(self._bundles.IMMEDIATELY)
        for address, values in messages:
            builder = self._messages.OscMessageBuilder(address)
            for value in values:
                builder.add_arg(value, "i" if isinstance(value, int) else "f")
            bundle.add_content(builder.build())
        return bundle.build()


def _expected(pose: LivePose) -> list[float]:
    """Return the expected errors in millimetres of all joints, -1 where not known."""
    known = [] if pose.expected_mm is None else [float(value) for value in pose.expected_mm]
    return known + [-1.0] * (len(JOINTS) - len(known))


def _with_feet(pose: LivePose) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return points, pixels and confidence of the joints, with heels and foot tips where there are any."""
    assert pose.xyz is not None and pose.xy is not None and pose.confidence is not None
    points, pixels, confidence = pose.xyz, pose.xy, pose.confidence
    if pose.feet is not None and pose.feet_xy is not None:
        points, pixels = np.concatenate([points, pose.feet]), np.concatenate([pixels, pose.feet_xy])
        found = np.isfinite(pose.feet).all(-1)
        confidence = np.concatenate([confidence, np.where(found, 1.0, 0.0)])
    return points.astype(np.float64), pixels.astype(np.float64), confidence.astype(np.float64)


def _rounded(values: NDArray[np.floating], digits: int) -> Any:
    """Return an array as lists of rounded numbers; a point with NaN, or a number that is NaN, is null."""
    if values.ndim > 1:
        return [_rounded(row, digits) if np.isfinite(row).all() else None for row in values]
    return [round(float(value), digits) if math.isfinite(value) else None for value in values]
