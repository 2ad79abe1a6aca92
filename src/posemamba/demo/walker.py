"""A synthetic walker: motion for the demo, the docs and the tests, by formulas, without data.

The feet lead: each is planted, rolls over heel and ball, and swings to the next foothold on the path. The pelvis
is above them as high as the legs reach, and two-bone inverse kinematics places the knees. Trunk and arms swing
against the legs. World: metres, z up. Shapes: F frames, J = 17 joints (Human3.6M).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from posemamba.poses import Keypoints2D
from posemamba.poses.skeletons import H36M17

Array = NDArray[np.float64]

STANCE = 0.62  # share of a gait cycle in which a foot is on the ground
FLAT = (0.10, 0.38)  # share of the cycle between which the whole sole is on the ground
GRAVITY = 9.81


@dataclass(frozen=True)
class Body:
    """The lengths of a body in metres; the defaults are close to an average Human3.6M actor, 1.70 m tall.

    The hips, shoulders and foot points are offsets from their segment's middle; the rest are bones.
    """

    hip: float = 0.130
    thigh: float = 0.445
    shin: float = 0.450
    ankle_height: float = 0.080
    ankle_to_heel: float = 0.055
    ankle_to_ball: float = 0.130
    lower_trunk: float = 0.235
    upper_trunk: float = 0.255
    neck: float = 0.120
    head: float = 0.115
    shoulder: float = 0.155
    upper_arm: float = 0.280
    forearm: float = 0.250

    @property
    def height(self) -> float:
        """The standing height from the floor to the top of the head, in metres."""
        trunk = self.lower_trunk + self.upper_trunk + self.neck + self.head
        return self.ankle_height + self.shin + self.thigh + trunk

    def scaled(self, height: float) -> Body:
        """Return the same proportions at another height in metres."""
        factor = height / self.height
        return replace(self, **{f.name: getattr(self, f.name) * factor for f in fields(self)})


def walk(
    frames: int,
    fps: float,
    *,
    seed: int = 0,
    speed: float = 1.25,
    radius: float = 2.0,
    height: float = 1.72,
    body: Body | None = None,
) -> NDArray[np.float32]:
    """Make the motion of a person walking around a circle about the world's origin, or along a straight line.

    The same seed gives the same person and gait; a longer clip continues a shorter one.

    Args:
        frames: F, at least 1.
        fps: frames per second.
        seed: varies where on the circle the walk starts, the phase and the manner of the gait.
        speed: metres a second along the path, 0.5 to 2.2 (faster is running).
        radius: metres; positive turns left, negative turns right, infinite goes straight on from the origin.
        height: the person's in metres; ignored where `body` is given.
        body: segment lengths instead of the average proportions.

    Returns:
        (F, 17, 3) float32, world positions in metres, z up, Human3.6M's joints (`skeleton.H36M17`). Bone
        lengths are the same in all frames, and a flat foot does not move.

    Raises:
        ValueError: a parameter is out of the range of walking.
    """
    if frames < 1 or not fps > 0:
        raise ValueError(f"need at least 1 frame and a positive frame rate, got {frames} and {fps}")
    if not 0.5 <= speed <= 2.2 or not abs(radius) >= 0.8 or not 1.0 <= height <= 2.3:
        raise ValueError(
            f"expected a speed of 0.5-2.2 m/s, a radius of at least 0.8 m and a height of 1.0-2.3 m, "
            f"got {speed}, {radius}, {height}"
        )
    gait = _Gait(body or Body().scaled(height), speed, radius, np.random.default_rng(seed))
    return gait.pose(np.arange(frames) / fps).astype(np.float32)


class _Gait:
    """The gait of one person: world joints as a function of time."""

    def __init__(self, body: Body, speed: float, radius: float, rng: np.random.Generator) -> None:
        self.body, self.speed = body, speed
        self.curvature = 1 / radius  # 0 for an infinite radius
        leg = body.thigh + body.shin
        # people lengthen their steps and hurry them about equally; 1.25 m/s is some 0.93 strides a second
        self.cadence = 0.93 * math.sqrt(speed / 1.25 * 0.895 / leg) * rng.uniform(0.97, 1.03)
        self.phase = rng.uniform()
        self.start = rng.uniform(0, 2 * math.pi)
        self.vigour = rng.uniform(0.85, 1.15) * min(1.3, (speed / 1.25) ** 0.5)
        self.step_width = 0.09 * leg * rng.uniform(0.9, 1.2)  # from the path's line to a foot
        self.wander = rng.uniform(0, 2 * math.pi, size=4)
        # The pelvis rides as high as the more stretched leg allows; looked up over one whole gait cycle, so
        # that the height does not depend on the clip's length.
        cycle = np.linspace(0, 1 / self.cadence, 240, endpoint=False)
        self.pelvis_height = 0.0
        self.pelvis_height = self._highest(cycle) - 0.002 * leg

    # --- the path

    def heading(self, t: Array) -> Array:
        """Return the angle of the walking direction in radians, from the world's x axis towards y."""
        return self.start + self.speed * self.curvature * t

    def ground(self, t: Array) -> Array:
        """Return (..., 2): the point of the path reached at time t."""
        if self.curvature == 0:
            return self.speed * t[..., None] * np.array([math.cos(self.start), math.sin(self.start)])
        angle = self.heading(t)
        return np.stack([np.sin(angle), -np.cos(angle)], -1) / self.curvature

    # --- the feet

    def ankle(self, t: Array, side: int) -> Array:
        """Return (..., 3): the ankle of the left (side 1) or right (side -1) foot."""
        cycles = self.cadence * t + self.phase + (0.5 if side < 0 else 0.0)
        step, c = np.floor(cycles), cycles % 1
        rolling = self._rolling(np.minimum(c, STANCE))
        stance = self._planted(t, step, cycles, side, rolling)
        # swing: a cubic from where the ball leaves the ground to where the heel will strike, with the rolling
        # foot's velocity at both ends, and a bump for ground clearance
        eps, share = 1e-5, 1 - STANCE
        s = np.clip((c - STANCE) / (1 - STANCE), 0, 1)[..., None]
        leaving, landing = np.full_like(c, STANCE), np.zeros_like(c)
        p0 = self._planted(t, step, cycles, side, self._rolling(leaving))
        p1 = self._planted(t, step + 1, cycles, side, self._rolling(landing))
        before = self._planted(t, step, cycles, side, self._rolling(leaving - eps))
        after = self._planted(t, step + 1, cycles, side, self._rolling(landing + eps))
        swing = (1 - s) ** 2 * ((1 + 2 * s) * p0 + s * (p0 - before) / eps * share)
        swing += s**2 * ((3 - 2 * s) * p1 + (s - 1) * (after - p1) / eps * share)
        swing[..., 2:] += 0.6 * self.body.height * s**2 * (1 - s) ** 3
        return np.where(c[..., None] < STANCE, stance, swing)

    def _planted(self, t: Array, step: Array, cycles: Array, side: int, rolling: Array) -> Array:
        """Return the world position of an ankle that is `rolling` (..., 2: ahead, up) over the `step`-th foothold."""
        middle = t + (step + STANCE / 2 - cycles) / self.cadence  # when the body passes over this foothold
        angle = self.heading(middle)
        ahead, left = (
            np.stack([np.cos(angle), np.sin(angle)], -1),
            np.stack([-np.sin(angle), np.cos(angle)], -1),
        )
        flat = self.ground(middle) + side * self.step_width * left - 0.03 * ahead
        return np.concatenate([flat + rolling[..., :1] * ahead, rolling[..., 1:]], -1)

    def _rolling(self, c: Array) -> Array:
        """Return (..., 2): ankle ahead of its place under a flat foot, and above the floor, at stance phase c."""
        b = self.body
        heel = np.clip(1 - c / FLAT[0], 0, 1) ** 2 * math.radians(18) * self.vigour  # toes up at the strike
        rise = np.clip((c - FLAT[1]) / (STANCE - FLAT[1]), 0, 1) ** 2 * math.radians(57) * self.vigour
        ahead = _turned(b.ankle_to_heel, b.ankle_height, heel)[0] - b.ankle_to_heel
        up = _turned(b.ankle_to_heel, b.ankle_height, heel)[1]
        ball = _turned(-b.ankle_to_ball, b.ankle_height, -rise)
        return np.stack([ahead + ball[0] + b.ankle_to_ball, up + ball[1] - b.ankle_height], -1)

    # --- the body

    def _pelvis(self, t: Array) -> tuple[Array, Array]:
        """Return the position (..., 3) and axes (..., 3, 3: columns ahead, left, up) of the pelvis."""
        swing = 2 * math.pi * (self.cadence * t + self.phase)  # 0 when the left heel strikes
        over = swing - math.pi * STANCE  # 0 when the left foot is under the body
        angle = self.heading(t)
        left = np.stack([-np.sin(angle), np.cos(angle)], -1)
        lean = self.speed**2 * self.curvature / GRAVITY
        shift = 0.020 * self.body.height / 1.7 * np.cos(over) + 0.5 * lean * self.body.hip
        up = self.pelvis_height + 0.014 * self.body.height * np.cos(2 * over)
        position = np.concatenate([self.ground(t) + shift[..., None] * left, up[..., None]], -1)
        yaw = angle - math.radians(7) * self.vigour * np.cos(swing)  # the leading leg's hip is ahead
        roll = math.radians(3.5) * np.cos(over)  # the swinging leg's hip drops
        return position, _axes(yaw, np.full_like(t, math.radians(6)), roll - 0.4 * lean)

    def _highest(self, t: Array) -> float:
        """Return the greatest pelvis height at which both legs still reach their ankles at all times t."""
        b = self.body
        position, axes = self._pelvis(t)
        reach = 0.994 * (b.thigh + b.shin)  # a knee never locks
        heights = []
        for side in (1, -1):
            hip = position + side * b.hip * axes[..., 1]
            away = self.ankle(t, side) - hip
            spare = reach**2 - (away[..., :2] ** 2).sum(-1)
            if np.any(spare <= 0):
                raise ValueError(f"legs of {b.thigh + b.shin:.2f} m are too short for {self.speed} m/s")
            heights.append(away[..., 2] + np.sqrt(spare))
        return float(np.min(heights))

    def pose(self, t: Array) -> Array:
        """Return (F, 17, 3) joints at the times t (F,)."""
        b, v = self.body, self.vigour
        swing = 2 * math.pi * (self.cadence * t + self.phase)
        angle, lean = self.heading(t), self.speed**2 * self.curvature / GRAVITY
        slow = [np.sin(0.9 * (i + 1) ** 0.5 * t + w) for i, w in enumerate(self.wander)]
        joints: dict[str, Array] = {}

        pelvis, axes = self._pelvis(t)
        joints["pelvis"] = pelvis
        ahead = np.stack([np.cos(angle), np.sin(angle), np.zeros_like(t)], -1)
        left = np.stack([-np.sin(angle), np.cos(angle), np.zeros_like(t)], -1)
        for name, side in (("left", 1), ("right", -1)):
            hip = pelvis + side * b.hip * axes[..., 1]
            ankle = self.ankle(t, side)
            joints[f"{name}_hip"], joints[f"{name}_ankle"] = hip, ankle
            joints[f"{name}_knee"] = _bend(hip, ankle, b.thigh, b.shin, ahead + 0.08 * side * left)

        chest_yaw = angle + math.radians(8) * v * np.cos(swing) + 0.03 * slow[0]
        chest_lean = math.radians(4) + 0.02 * slow[1] + 0.012 * np.sin(2 * swing)
        chest = _axes(
            chest_yaw, chest_lean, -math.radians(2) * np.cos(swing - math.pi * STANCE) - lean + 0.01 * slow[2]
        )
        waist = _unit(axes[..., 2] + chest[..., 2] - 0.15 * chest[..., 0])  # the small of the back is behind
        joints["spine"] = pelvis + b.lower_trunk * waist
        thorax = joints["spine"] + b.upper_trunk * _unit(chest[..., 2] + 0.06 * chest[..., 0])
        joints["thorax"] = thorax

        gaze = angle + 0.12 * slow[3] + 0.08 * slow[0]
        head = _axes(gaze, 0.05 + 0.03 * slow[1], 0.02 * slow[2] - 0.3 * lean)
        joints["nose"] = thorax + b.neck * _unit(head[..., 2] + 0.62 * head[..., 0])
        joints["head_top"] = joints["nose"] + b.head * _unit(head[..., 2] - 0.30 * head[..., 0])

        for name, side in (("left", 1), ("right", -1)):
            shoulder = thorax + b.shoulder * _unit(side * chest[..., 1] - 0.10 * chest[..., 2])
            forward = -side * np.cos(swing - 0.2)  # with the other side's leg, a little later
            lift = math.radians(-4) + math.radians(19) * v * forward + 0.05 * slow[2 + (side > 0)]
            bend = math.radians(26) + math.radians(13) * v * (forward + 0.3) + 0.06 * slow[1 - (side > 0)]
            out = math.radians(9) + 0.02 * slow[0]
            upper = _limb(chest, lift, out, side)
            # the forearm comes in as the elbow bends
            lower = _limb(chest, lift + bend, out - 0.35 * bend, side)
            joints[f"{name}_shoulder"] = shoulder
            joints[f"{name}_elbow"] = shoulder + b.upper_arm * upper
            joints[f"{name}_wrist"] = joints[f"{name}_elbow"] + b.forearm * lower
        return np.stack([joints[name] for name in H36M17.joints], axis=1)


def _turned(ahead: float, up: float, angle: Array) -> tuple[Array, Array]:
    """Rotate the vector (ahead, up) backwards by `angle` radians (a toe that rises)."""
    return ahead * np.cos(angle) - up * np.sin(angle), ahead * np.sin(angle) + up * np.cos(angle)


def _unit(v: Array) -> Array:
    return v / np.linalg.norm(v, axis=-1, keepdims=True)


def _axes(yaw: Array, pitch: Array, roll: Array) -> Array:
    """Return (..., 3, 3) columns ahead, left, up after yaw (to the left), pitch (bowing) and roll (left side up)."""
    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (np.cos, np.sin))
    ahead = np.stack([cy * cp, sy * cp, -sp], -1)
    flat_left = np.stack([-sy, cy, np.zeros_like(cy)], -1)
    flat_up = np.cross(ahead, flat_left)
    left = cr[..., None] * flat_left + sr[..., None] * flat_up
    return np.stack([ahead, left, np.cross(ahead, left)], -1)


def _limb(axes: Array, lift: Array, out: Array, side: int) -> Array:
    """Return the unit direction of a hanging limb, lifted forward and away from the body by angles in radians."""
    down = -axes[..., 2] * np.cos(lift)[..., None] + axes[..., 0] * np.sin(lift)[..., None]
    return _unit(down * np.cos(out)[..., None] + side * axes[..., 1] * np.sin(out)[..., None])


def _bend(root: Array, end: Array, upper: float, lower: float, pole: Array) -> Array:
    """Return the middle joint of a two-bone chain from `root` to `end`, on the side of the direction `pole`."""
    span = end - root
    length = np.linalg.norm(span, axis=-1, keepdims=True)
    along = span / length
    cosine = (upper**2 + length**2 - lower**2) / (2 * upper * length)
    if np.any(np.abs(cosine) > 1):
        raise ValueError(f"bones of {upper:.2f} m and {lower:.2f} m cannot make this walk")
    side = _unit(pole - (pole * along).sum(-1, keepdims=True) * along)
    return root + upper * (cosine * along + np.sqrt(1 - cosine**2) * side)


def noisy(
    keypoints: Keypoints2D,
    *,
    seed: int = 0,
    pixels: float = 3.0,
    correlation: float = 0.12,
    dropped: float = 0.01,
) -> Keypoints2D:
    """Add a detector's errors to keypoints: correlated jitter, times of low confidence, and a few lost joints.

    Args:
        keypoints: clean ones; joints that are NaN stay so.
        seed: of the random numbers.
        pixels: typical standard deviation of the jitter on each axis; more for hands and feet.
        correlation: correlation time of the jitter, in seconds.
        dropped: share of the joints that are lost (NaN, confidence 0), for about 0.2 s at a time.

    Returns:
        New `Keypoints2D`; the confidence is lower where the jitter is larger.
    """
    if pixels < 0 or correlation < 0 or not 0 <= dropped < 1:
        raise ValueError(f"pixels {pixels}, correlation {correlation} or dropped {dropped} is out of range")
    rng = np.random.default_rng(seed)
    frames, joints = keypoints.confidence.shape
    doubt = np.exp(0.5 * _drift(rng, (frames, joints, 1), 0.5 * keypoints.fps))  # spells of half a second
    reach = np.array([_joint_noise(name) for name in keypoints.skeleton.joints])[:, None]
    spread = pixels * reach * doubt
    jitter = _drift(rng, (frames, joints, 2), correlation * keypoints.fps) * spread
    lapse = _drift(rng, (frames, joints), 0.2 * keypoints.fps)
    lost = lapse < NormalDist().inv_cdf(dropped) if dropped else np.zeros((frames, joints), bool)
    xy = np.where(lost[..., None], np.nan, keypoints.xy + jitter)
    # about 0.9 for a trunk joint, 0.8 for a hand, less in a spell of doubt
    sure = np.clip(1 / (1 + (0.35 * reach * doubt)[..., 0] ** 2), 0.05, 1)
    confidence = np.where(lost, 0, keypoints.confidence * sure)
    return replace(keypoints, xy=xy.astype(np.float32), confidence=confidence.astype(np.float32))


def _joint_noise(name: str) -> float:
    """Return the size of a joint's jitter, relative to an average joint's."""
    factors = {"wrist": 1.5, "ankle": 1.3, "elbow": 1.2, "knee": 1.0, "shoulder": 0.8, "hip": 0.9}
    return next((f for part, f in factors.items() if part in name), 0.7)


def _drift(rng: np.random.Generator, shape: tuple[int, ...], frames: float) -> Array:
    """Make normal noise of unit variance whose correlation along axis 0 falls to 1/e after `frames` frames."""
    keep = math.exp(-1 / frames) if frames > 0 else 0.0
    noise = rng.standard_normal(shape)
    for i in range(1, len(noise)):
        noise[i] = keep * noise[i - 1] + math.sqrt(1 - keep**2) * noise[i]
    return noise
