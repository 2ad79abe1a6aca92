"""Virtual cameras: bodies in a world with z up, seen as Human3.6M's preprocessed file has them.

Frames of reference: the world is in metres, right-handed, z up; the camera's frame is in metres, x right, y
down, z away from the camera (Human3.6M's). Pinhole cameras without lens distortion, the optical axis through
the image's centre, so that with the focal length `f` in image widths a joint at (X, Y, Z) is seen at

    x/W*2 - 1 = 2 f X/Z        y/W*2 - H/W = 2 f Y/Z

in normalised coordinates: neither W nor H remains; the picture is |x| <= 1, |y| <= H/W.

The target is Human3.6M's `joint3d_image` normalised: x and y are those of the picture, and the depth has the
same unit, scaled by one factor a frame, the number of pixels in a millimetre at the pelvis's depth:

    depth = 2 f (Z - Z_pelvis) / Z_pelvis          millimetres per unit = 1000 Z_pelvis / (2 f)

Target times millimetres per unit is what that file calls `joints_2.5d_image`. Its depth is the true one in
millimetres. Its x and y are places in the picture times one factor: a joint nearer than the pelvis is seen
larger, so they differ by Z_pelvis/Z from the true X and Y (10 cm off at 1 m to the side when 10 % nearer).
Human3.6M's published errors are measured so, and so are all errors in millimetres here.

Shapes: B clips, T frames, J joints.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

NEAREST = 0.7
"""Metres: no joint comes nearer to the camera's plane than this."""


@dataclass
class Cameras:
    """One camera for each clip; every field is (B,) unless said otherwise.

    Attributes:
        azimuth: radians, the direction it looks in, from the world's x axis towards y.
        pitch: radians below the horizon it looks (negative: upwards).
        roll: radians about its own axis.
        focal: focal length in image widths.
        aspect: image height / image width.
        distance: metres along the axis from the camera to the middle of the person's path, before fitting.
        offset: (B, 2) where the middle of the path is in the picture, from -1 to 1 of the picture's half.
        follow: 0 for a camera that stands; 1 for one that travels along with the pelvis.
        overflow: how far a joint may be from the centre, in halves of the picture; 1 keeps all inside.
    """

    azimuth: Tensor
    pitch: Tensor
    roll: Tensor
    focal: Tensor
    aspect: Tensor
    distance: Tensor
    offset: Tensor
    follow: Tensor
    overflow: Tensor


@dataclass
class View:
    """The view of one camera for each clip.

    Attributes:
        xy: (B, T, J, 2) exact normalised image coordinates.
        target: (B, T, J, 3) the normalised target, relative to joint 0: x and y as `xy`, and depth.
        mm_per_unit: (B, T) millimetres per normalised unit at the pelvis's depth.
        camera_xyz: (B, T, J, 3) metres in the camera's frame.
    """

    xy: Tensor
    target: Tensor
    mm_per_unit: Tensor
    camera_xyz: Tensor


def rotations(azimuth: Tensor, pitch: Tensor, roll: Tensor) -> Tensor:
    """World to camera, (B, 3, 3): the rows are the camera's right, down and forward axes in the world."""
    ca, sa, cp, sp = azimuth.cos(), azimuth.sin(), pitch.cos(), pitch.sin()
    forward = torch.stack([cp * ca, cp * sa, -sp], -1)
    right = torch.stack([sa, -ca, torch.zeros_like(ca)], -1)
    down = torch.stack([-sp * ca, -sp * sa, -cp], -1)
    cr, sr = roll.cos()[:, None], roll.sin()[:, None]
    return torch.stack([cr * right + sr * down, cr * down - sr * right, forward], 1)


def fit_distance(turned: Tensor, cameras: Cameras) -> Tensor:
    """The distance that keeps the person in the picture: the wanted one, or farther where that is needed.

    Args:
        turned: (B, T, J, 3) metres on the camera's axes, about the middle of the path.
        cameras: `distance`, `offset`, `focal`, `aspect` and `overflow` are used.

    Returns:
        (B,) metres.
    """
    focal, half_x = cameras.focal, cameras.overflow * 0.5
    x, y, z = turned.unbind(-1)
    wanted = torch.maximum(cameras.distance, NEAREST - z.amin((1, 2)))
    for side, half, offset in (
        (x, half_x, cameras.offset[:, 0] * 0.5),
        (y, half_x * cameras.aspect, cameras.offset[:, 1] * 0.5 * cameras.aspect),
    ):
        # f (side + offset/f d) <= half (z + d) on both sides, solved for d
        f, h = focal[:, None, None], half[:, None, None]
        wanted = torch.maximum(wanted, (f * side - h * z).amax((1, 2)) / (half - offset))
        wanted = torch.maximum(wanted, (-f * side - h * z).amax((1, 2)) / (half + offset))
    return wanted


def see(positions: Tensor, cameras: Cameras) -> View:
    """Look at bodies with one camera each.

    Args:
        positions: (B, T, J, 3) world positions in metres, z up; joint 0 is the pelvis.
        cameras: B cameras. |offset| must be smaller than overflow.

    Returns:
        The exact picture and its target.
    """
    root = positions[:, :, :1]
    low, high = root.amin(1, keepdim=True), root.amax(1, keepdim=True)
    middle = (low + high) / 2
    travel = cameras.follow[:, None, None, None] * (root - middle)[..., :2]
    placed = positions - middle - torch.cat([travel, torch.zeros_like(travel[..., :1])], -1)  # on level ground
    axes = rotations(cameras.azimuth, cameras.pitch, cameras.roll)
    # Sums and not matrix products: those may run in TF32 or, under autocast, in bfloat16.
    turned = (placed[..., None, :] * axes[:, None, None]).sum(-1)
    distance = fit_distance(turned, cameras)
    aside = cameras.offset * 0.5 * torch.stack([torch.ones_like(cameras.aspect), cameras.aspect], -1)
    shift = torch.cat([aside * (distance / cameras.focal)[:, None], distance[:, None]], -1)
    return project(turned + shift[:, None, None], cameras.focal)


def project(camera_xyz: Tensor, focal: Tensor) -> View:
    """Perspective pictures and targets (formulas: top of this module).

    Args:
        camera_xyz: (B, T, J, 3) metres in the camera's frame, all in front of it; joint 0 is the pelvis.
        focal: (B,) focal length in image widths.
    """
    depth = camera_xyz[..., 2:]
    zoom = (2 * focal)[:, None, None, None]
    xy = zoom * camera_xyz[..., :2] / depth
    root_depth = depth[:, :, :1]
    target = torch.cat([xy - xy[:, :, :1], zoom * (depth - root_depth) / root_depth], -1)
    mm_per_unit = 1000 * root_depth[:, :, 0, 0] / zoom[:, :, 0, 0]
    return View(xy, target, mm_per_unit, camera_xyz)
