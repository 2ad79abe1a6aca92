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

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from posemamba.poses.virtual_camera import GUESSED_FOV, TURNING_CUTOFF

NEAREST = 0.7
"""Metres: no joint comes nearer to the camera's plane than this."""
_AHEAD = math.cos(math.radians(70))
"""Cosine of the angle from a virtual camera's axis up to which it may see joints."""


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


@dataclass
class LookAt:
    """Which clips are turned as by a virtual camera that looks at the person, and how; (B,) bool each.

    Attributes:
        turned: the clip is turned.
        guessed: the focal length is guessed (`poses.virtual_camera.GUESSED_FOV`), not known.
        levelled: roll is taken out, too.
        seconds: (B,) float, from one frame to the next; the camera turns slowly with the person by them.
    """

    turned: Tensor
    guessed: Tensor
    levelled: Tensor
    seconds: Tensor


def look_at_people(
    view: View, detected: Tensor, confidence: Tensor, cameras: Cameras, look: LookAt
) -> tuple[View, Tensor]:
    """Turn clips as by a virtual camera that looks at the person, as lifting does it (`poses.virtual_camera`).

    2D joints become rays by a focal length that is known or guessed; a rotation for each frame, which changes as slowly
    as lifting lets it, brings the mean of the joints that were detected to the optical axis. The target is that of the
    true body, turned by the same rotations, in the turned picture: where the focal length is wrong, depth has the unit
    that the picture has on average over the joints. A clip with a joint 70 degrees or more from the new axis stays as
    it is.

    Args:
        view: the exact picture and its target.
        detected: (B, T, J, 2) normalised joints with the detector's errors, in the same picture.
        confidence: (B, T, J); joints without confidence were not detected.
        cameras: `focal`, `aspect`, and for `look.levelled` the angles are used.
        look: which clips.

    Returns:
        The turned view, and the turned detected joints.
    """
    assumed = assumed_focal(cameras, look.guessed)[:, None, None]
    seen = (confidence > 0).to(detected.dtype)[..., None]
    rays = (functional.normalize(_rays(detected, assumed), dim=-1) * seen).sum(2)
    found_any = seen.sum(2) > 0
    flat = rays[..., :2] / rays[..., 2:].clamp_min(1e-6)
    mean = (flat * found_any).sum(1, keepdim=True) / found_any.sum(1, keepdim=True).clamp_min(1)
    slow = _slow(torch.where(found_any, flat, mean), look.seconds)
    direction = functional.normalize(torch.cat([slow, torch.ones_like(slow[..., :1])], -1), dim=-1)
    rotation = _look_along(direction)
    world = rotations(cameras.azimuth, cameras.pitch, cameras.roll)
    up = (rotation * world[:, None, None, :, 2]).sum(-1)
    roll = torch.where(look.levelled[:, None], torch.atan2(-up[..., 0], -up[..., 1]), 0.0)
    c, s = roll.cos()[..., None], roll.sin()[..., None]
    x, y, z = rotation.unbind(2)
    rotation = torch.stack([c * x - s * y, s * x + c * y, z], 2)
    xyz = _turned(view.camera_xyz, rotation)
    rays, exact_rays = _turned(_rays(detected, assumed), rotation), _turned(_rays(view.xy, assumed), rotation)
    ahead = torch.stack([(v[..., 2] / v.norm(dim=-1)).amin((1, 2)) for v in (xyz, rays, exact_rays)]).amin(0)
    turned = (look.turned & (ahead > _AHEAD))[:, None, None, None]
    exact, found = ((2 * assumed)[..., None] * v[..., :2] / v[..., 2:].clamp_min(1e-3) for v in (exact_rays, rays))
    true = project(torch.where(turned, xyz, view.camera_xyz), cameras.focal)
    # as large as the turned picture shows the body, in place of the true camera's; 1 where the focal length is known
    flat, shown = true.target[..., :2], exact - exact[:, :, :1]
    size = ((flat * shown).sum((2, 3)) / flat.square().sum((2, 3)).clamp_min(1e-12))[..., None]
    target = torch.cat([shown, true.target[..., 2:] * size[..., None]], -1)
    new = View(
        xy=torch.where(turned, exact, view.xy),
        target=torch.where(turned, target, view.target),
        mm_per_unit=torch.where(turned[..., 0, 0], true.mm_per_unit / size[..., 0], view.mm_per_unit),
        camera_xyz=torch.where(turned, xyz, view.camera_xyz),
    )
    return new, torch.where(turned, found, detected)


def assumed_focal(cameras: Cameras, guessed: Tensor) -> Tensor:
    """The focal lengths in image widths that lifting works with, (B,): the cameras' own, or a guess for all lenses."""
    guess = 0.5 / math.tan(math.radians(GUESSED_FOV) / 2) * cameras.aspect.clamp_min(1)
    return torch.where(guessed, guess, cameras.focal)


def _rays(xy: Tensor, focal: Tensor) -> Tensor:
    """(B, T, J, 2) normalised to (B, T, J, 3) directions with z = 1, by (B, 1, 1) focal lengths in image widths."""
    return torch.cat([xy / (2 * focal)[..., None], torch.ones_like(xy[..., :1])], -1)


def _look_along(direction: Tensor) -> Tensor:
    """(..., 3) unit directions to the smallest rotations (..., 3, 3) that bring them to the optical axis."""
    x, y, z = direction.unbind(-1)
    k = 1 / (1 + z)
    rows = [1 - k * x * x, -k * x * y, -x, -k * x * y, 1 - k * y * y, -y, x, y, z]
    return torch.stack(rows, -1).unflatten(-1, (3, 3))


def _turned(vectors: Tensor, rotation: Tensor) -> Tensor:
    """(B, T, J, 3) by (B, T, 3, 3); a sum, as matrix products may run in TF32."""
    return (vectors[..., None, :] * rotation[:, :, None]).sum(-1)


def _slow(curve: Tensor, seconds: Tensor) -> Tensor:
    """(B, T, C) to curves that change slowly: least squares with a penalty on the squared speed, as lifting has it.

    The penalty is diagonal in the cosine waves of T frames, so that no system is solved.
    """
    frames = curve.shape[1]
    number = torch.arange(frames, dtype=torch.float64, device=curve.device)
    waves = torch.cos(math.pi / frames * number[:, None] * (number + 0.5)) * math.sqrt(2 / frames)
    waves[0] /= math.sqrt(2)
    stiffness = (2 * math.pi * TURNING_CUTOFF * seconds.double().clamp_min(1e-6))[:, None] ** -2
    kept = 1 / (1 + stiffness * (2 - 2 * torch.cos(math.pi / frames * number)))
    parts = torch.einsum("kt,btc->bkc", waves, curve.double()) * kept[..., None]
    return torch.einsum("kt,bkc->btc", waves, parts).to(curve.dtype)


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
