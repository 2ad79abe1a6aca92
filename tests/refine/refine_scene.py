"""A person made by formula, filmed by a camera that is known exactly: the truth that refinement is tested against."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posemamba.demo.walker import Body, walk
from posemamba.poses import Keypoints2D, NetworkPoses
from posemamba.poses.skeletons import H36M17
from posemamba.poses.virtual_camera import Lens, VirtualCamera

WIDTH, HEIGHT = 1920, 1080


@dataclass
class Scene:
    """What is true.

    Attributes:
        camera_xyz: (F, 17, 3) metres in the camera's frame.
        world: (F, 17, 3) metres, level, z up, floor at 0, x to the camera's right, origin below the camera.
        poses: exact poses in the picture's convention, with exact 2D joints.
        body_length: metres, hip to ankle and pelvis to the top of the head.
    """

    camera_xyz: NDArray[np.float64]
    world: NDArray[np.float64]
    poses: NetworkPoses
    body_length: float


def make_scene(
    frames: int = 100,
    fps: float = 50.0,
    *,
    fov: float = 60.0,
    pitch: float = 0.0,
    roll: float = 0.0,
    distance: float = 5.0,
    camera_height: float = 1.4,
    seed: int = 0,
    times: NDArray[np.float64] | None = None,
    body: NDArray[np.floating] | None = None,
) -> Scene:
    """A walk on a circle of 1.2 m radius, `distance` metres in front of a camera that looks down by `pitch` degrees;
    or what a `body`, (F, 17, 3) metres about the origin, does there instead."""
    world = (walk(frames, fps, seed=seed, radius=1.2) if body is None else body).astype(np.float64)
    frames = len(world)
    world[..., 1] += distance
    p, r = np.radians([pitch, roll])
    right, forward = np.array([1.0, 0, 0]), np.array([0, np.cos(p), -np.sin(p)])
    down = np.cross(forward, right)
    axes = np.stack([np.cos(r) * right + np.sin(r) * down, np.cos(r) * down - np.sin(r) * right, forward])
    seen = (world - [0, 0, camera_height]) @ axes.T
    focal = WIDTH / 2 / np.tan(np.radians(fov) / 2)
    xy = focal * seen[..., :2] / seen[..., 2:] + [WIDTH / 2, HEIGHT / 2]
    root = seen[:, :1, 2:]
    xyz = np.concatenate([xy - xy[:, :1], focal * (seen[..., 2:] - root) / root], -1)
    keypoints = Keypoints2D(xy, np.ones(xy.shape[:2]), H36M17, (WIDTH, HEIGHT), fps, times)
    camera = VirtualCamera.unturned((WIDTH, HEIGHT), Lens.of_fov((WIDTH, HEIGHT), fov))
    poses = NetworkPoses(
        xyz.astype(np.float32), np.ones(xy.shape[:2], np.float32), np.ones(frames, bool), keypoints, camera=camera
    )
    body = Body().scaled(1.72)
    length = body.shin + body.thigh + body.lower_trunk + body.upper_trunk
    head = np.linalg.norm(np.diff(world[0, 8:11], axis=0), axis=-1).sum()
    return Scene(seen, world, poses, float(length + head))
