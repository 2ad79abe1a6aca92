"""A live session: pictures with times in, poses out, each from the frames around it and no later than asked for.

In each step the network lifts one window of the last frames. The pose that is given is that of `delay` frames ago: the
frames after it are its window's future. What needs the whole clip offline is made of the last seconds: the direction of
the virtual camera that looks at the person, the size of the body and the path (`placing`).

Shapes: n frames, J = 17 joints, 4 heels and foot tips.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from posemamba.lifting.even_frames import even_window
from posemamba.lifting.feet import lift_feet
from posemamba.lifting.lifter import Lifter
from posemamba.lifting.looking import slow_curves
from posemamba.live.placing import Placer, joint_weights
from posemamba.live.poses import LivePose, judge_frame
from posemamba.poses import Feet2D, Keypoints2D, NetworkPoses, Poses3D
from posemamba.poses.detections import Detection
from posemamba.poses.keypoints import find_jumps
from posemamba.poses.mapping import to_h36m17
from posemamba.poses.skeletons import H36M17
from posemamba.poses.virtual_camera import Lens, VirtualCamera, check_roll, level_roll, look_along, mean_ray
from posemamba.refine.angle_accuracy import expected_error, terms
from posemamba.refine.angles import measure_angles, unseen_joints
from posemamba.refine.common import Array
from posemamba.refine.scale import check_height
from posemamba.utils.errors import PoseMambaError

if TYPE_CHECKING:
    from posemamba.detect.blazepose.networks import Size

__all__ = ["DELAY", "DETECTOR", "MOST_DELAY", "SIZES", "WEIGHTS", "LiveSession", "Seen"]

WEIGHTS = "posemamba-s27"
"""The weights of a live session: trained for windows of 27 frames."""
DETECTOR: Size = "full"
"""The default: little slower than lite, and much more accurate (docs/live.md)."""
DELAY = 2
"""Frames by which a pose comes later than its picture, if nothing else is asked for."""
SIZES = ("lite", "full", "heavy")
"""The detectors: BlazePose's sizes."""
MOST_DELAY = 13
"""The most: half of the window, more brings nothing."""
_LOOKING, _PLACING = 5.0, 2.0  # seconds of the past that turn the virtual camera, and that give size and path
_MOST_FRAMES = 200  # kept of these seconds
_FADES = 0.1
"""Seconds in which the difference between a pose and the one before it fades. Measured on a real clip: without
it there is a third more jitter at a delay of 0, and 1 mm less error."""


@dataclass(frozen=True)
class Seen:
    """One picture in which a detector has looked for the person.

    Attributes:
        time: seconds.
        image_size: (width, height) in pixels.
        found: the person's joints in the detector's skeleton; None: nobody is there.
    """

    time: float
    image_size: tuple[int, int]
    found: Detection | None


@dataclass
class _Frame:
    """A frame of the past: its 2D joints, and the direction in which they are seen."""

    index: int
    time: float
    segment: int
    keypoints: Keypoints2D | None  # of one frame, in Human3.6M's joints
    ray: NDArray[np.float64] | None = None  # (2,) mean direction to the joints, x and y at z = 1
    joints: float = 0.0  # the number of joints that it is a mean of


@dataclass
class _Lifted:
    """A frame as the network gave it, for the size of the body and the path."""

    time: float
    xyz: Array  # (J, 3) pixels, in the virtual camera's axes
    sight: Array  # (J, 2) pixels from the picture's middle, as the virtual camera sees the joints
    weights: Array  # (J,)


class LiveSession:
    """A person's poses while pictures come.

    >>> session = LiveSession(height=1.80)
    >>> for picture, seconds in camera:
    ...     if (pose := session.push(picture, seconds)) is not None and pose.seen:
    ...         print(pose.xyz)  # (17, 3) metres

    Attributes:
        delay: frames by which a pose comes later than its picture.
        detector: the detector's name.
        lifter: with the weights.
    """

    def __init__(
        self,
        weights: str | Path = WEIGHTS,
        *,
        detector: Size = DETECTOR,
        delay: int = DELAY,
        height: float | None = None,
        field_of_view: float | None = None,
        camera_roll: float | None = None,
        flip: bool = False,
        device: str | None = "cpu",
        lifter: Lifter | None = None,
    ) -> None:
        """Load detector and weights.

        Args:
            weights: a bundled name, a weights file, or a released checkpoint.
            detector: BlazePose's size, ``lite``, ``full`` or ``heavy``.
            delay: frames by which a pose comes later than its picture, 0 to 13; more is more accurate.
            height: the person's standing height in metres; None: a typical one.
            field_of_view: the camera's horizontal field of view in degrees; None: a guess.
            camera_roll: degrees by which the camera is turned clockwise about its axis; None: not known.
            flip: test-time flip: lift the mirrored joints too and average; more accurate, twice the time.
            device: where the model runs.
            lifter: used in place of `weights`, `flip` and `device`; it may serve several sessions, one after another.

        Raises:
            PoseMambaError: a number without a meaning, unknown weights, or LiteRT is not installed.
        """
        if not 0 <= delay <= MOST_DELAY or int(delay) != delay:
            raise PoseMambaError(f"the delay is {delay} frames, expected a whole number from 0 to {MOST_DELAY}")
        self.delay, self.detector = int(delay), detector
        self.height = None if height is None else check_height(height)
        self.field_of_view = field_of_view
        if field_of_view is not None:
            Lens.of_fov((1, 1), field_of_view)
        self._roll = None if camera_roll is None else math.radians(check_roll(camera_roll))
        from posemamba.detect.blazepose.one_person import OnePersonDetector

        self._detector = OnePersonDetector(detector)
        if lifter is None:
            lifter = Lifter.from_pretrained(weights, device=device, flip=flip)
            lifter.warm_up()
        self.lifter = lifter
        self._image_size = (0, 0)
        self._begin((1, 1))
        self._index = 0

    def _begin(self, image_size: tuple[int, int]) -> None:
        """Forget all frames, as pictures of this size follow."""
        self._image_size = image_size
        lens = Lens() if self.field_of_view is None else Lens.of_fov(image_size, self.field_of_view)
        self._real = VirtualCamera.unturned(image_size, lens)
        self._placer = Placer(self.height, self._real.focal)
        self._frames: list[_Frame] = []
        self._lifted: list[_Lifted] = []
        self._segment, self._placed_segment = 0, -1
        self._before: tuple[float, Array] | None = None  # the time of the pose before, and its joints
        self._given = -1  # index of the last frame whose pose was given

    @property
    def field_of_view_degrees(self) -> float:
        """The horizontal field of view in degrees, given or guessed, once pictures have come."""
        return self._real.fov(self._image_size)

    def push(self, picture: NDArray[np.uint8], time: float) -> LivePose | None:
        """Look at the next picture; return the pose of `delay` pictures ago.

        Args:
            picture: (height, width, 3) uint8, RGB.
            time: seconds, later than that of the picture before.

        Returns:
            The pose, perhaps with `seen` False; None while there are fewer pictures than the delay.

        Raises:
            PoseMambaError: the time does not rise.
        """
        return self.lift(self.detect(picture, time))

    def detect(self, picture: NDArray[np.uint8], time: float) -> Seen:
        """Find the person in the next picture: the first half of `push`, which may run in a thread of its own."""
        from posemamba.detect import inside_picture

        size = (picture.shape[1], picture.shape[0])
        found = self._detector(picture, time)
        return Seen(time, size, None if found is None else inside_picture(found, size))

    def lift(self, seen: Seen) -> LivePose | None:
        """Lift the person: the second half of `push`; pictures come in the order of their times.

        Raises:
            PoseMambaError: the time does not rise.
        """
        if self._image_size != seen.image_size:
            self._begin(seen.image_size)
        if self._frames and not seen.time > self._frames[-1].time:
            raise PoseMambaError(
                f"a picture is at {seen.time:.6g} s, not after the one before at {self._frames[-1].time:.6g} s; "
                "expected rising times"
            )
        self._append(seen)
        return self._next(self.delay)

    def finish(self) -> list[LivePose]:
        """Return the poses of the last pictures, which nothing follows any more; the session may go on behind them."""
        poses = []
        while (pose := self._next(0)) is not None:
            poses.append(pose)
        return poses

    def _next(self, delay: int) -> LivePose | None:
        last = self._frames[-1].index if self._frames else -1
        at = next((i for i, frame in enumerate(self._frames) if frame.index > self._given), None)
        if at is None or self._frames[at].index > last - delay:
            return None
        self._given = self._frames[at].index
        pose = self._pose(at)
        oldest = self._frames[at].time - _LOOKING
        cut = max(0, at - _MOST_FRAMES)
        while self._frames[cut].time < oldest and at - cut >= self.lifter.window:
            cut += 1
        del self._frames[:cut]
        return pose

    def _append(self, seen: Seen) -> None:
        """Put a frame behind the others; it begins a new segment where the person was away, or is another one."""
        joints = None if seen.found is None else self._keypoints(seen)
        before = next((f for f in reversed(self._frames) if f.keypoints is not None), None)
        if joints is not None and before is not None and before.keypoints is not None:
            away = seen.time - before.time > self.lifter.max_gap
            if away or _jumps(before.keypoints, joints):
                self._segment += 1
        frame = _Frame(self._index, seen.time, self._segment, joints)
        self._index += 1
        if joints is not None:
            ray, count = mean_ray(joints.xy, self._real.focal, self._real.centre, joints.confidence)
            if count[0] > 0:
                frame.ray, frame.joints = ray[0, :2] / ray[0, 2], float(count[0])
        self._frames.append(frame)

    def _keypoints(self, seen: Seen) -> Keypoints2D | None:
        """Return the joints of one frame as Human3.6M's; None: nothing that lifting needs was found."""
        found = seen.found
        assert found is not None
        one = Keypoints2D(
            xy=found.xy[None].astype(np.float32),
            confidence=found.confidence[None].astype(np.float32),
            skeleton=self._detector.skeleton,
            image_size=seen.image_size,
            fps=30.0,
            times=np.array([seen.time]),
        )
        joints = to_h36m17(one)
        return joints if joints.seen.any() else None

    def _pose(self, at: int) -> LivePose:
        """Return the pose of one of the kept frames."""
        frame = self._frames[at]
        if frame.keypoints is None:
            return LivePose(frame.index, frame.time, False, self._image_size)
        own = [f for f in self._frames if f.segment == frame.segment]
        if frame.segment != self._placed_segment:
            self._placed_segment, self._lifted, self._before = frame.segment, [], None
            self._placer.forget()
        window = self._window(own)
        keypoints = joined([f.keypoints for f in window], [f.time for f in window])
        keypoints, target = even_window(keypoints, frame.time, self.lifter.window)
        camera = self._camera(own, keypoints)
        turned = camera.see(keypoints.xy).astype(np.float32)
        lifted = self.lifter.lift_window(turned, keypoints.confidence, self._image_size)
        self._steady(lifted, camera, keypoints.frame_times(), target)
        return self._placed(frame, keypoints, camera, turned, lifted, target)

    def _steady(self, lifted: NDArray[np.float32], camera: VirtualCamera, times: Array, target: int) -> None:
        """Let the pose go on from the one before: windows differ from each other, and each is smooth in itself.

        The movement since the frame before is the window's own. The difference from the pose that was given for that
        frame fades within `_FADES` seconds. So nothing comes later, as it would by a filter.
        """
        time, before = float(times[target]), self._before
        known = camera.turn_back(lifted[..., :3])  # in the real camera's axes, as virtual cameras turn
        if before is not None and before[0] >= times[0] and time - before[0] < 1:
            at = np.clip(np.searchsorted(times, before[0], "right"), 1, len(times) - 1)
            share = (before[0] - times[at - 1]) / (times[at] - times[at - 1])
            off = before[1] - ((1 - share) * known[at - 1] + share * known[at])
            off *= math.exp(-(time - before[0]) / _FADES)
            known = known + off
            lifted[target:, :, :3] += camera.turn(np.broadcast_to(off, known.shape))[target:].astype(np.float32)
        self._before = time, known[target]

    def _window(self, own: Sequence[_Frame]) -> list[_Frame]:
        """Return the last frames of a segment, from the network's window; none at its end without the person."""
        end = max(i for i, f in enumerate(own) if f.keypoints is not None) + 1
        return list(own[max(0, end - self.lifter.window) : end])

    def _camera(self, own: Sequence[_Frame], keypoints: Keypoints2D) -> VirtualCamera:
        """Return the camera that looks at the person, turning slowly, with a rotation for each frame of a window."""
        known = [f for f in own if f.ray is not None]
        at = keypoints.frame_times()
        rotation = np.tile(np.eye(3), (len(at), 1, 1))
        if known:
            times = np.array([f.time for f in known])
            flat = np.stack([f.ray for f in known if f.ray is not None])
            curve = slow_curves(times, flat, np.array([f.joints for f in known]))
            x, y = (np.interp(at, times, c) for c in curve.T)
            direction = np.stack([x, y, np.ones_like(x)], 1)
            rotation = look_along(direction, 0.0 if self._roll is None else level_roll(direction, self._roll))
        return VirtualCamera(rotation, self._real.focal, self._real.centre, lens=self._real.lens)

    def _placed(
        self,
        frame: _Frame,
        keypoints: Keypoints2D,
        camera: VirtualCamera,
        turned: NDArray[np.float32],
        lifted: NDArray[np.float32],
        target: int,
    ) -> LivePose:
        """Put a frame of a lifted window before the camera, in metres."""
        sight = turned.astype(np.float64) - camera.centre
        weights = joint_weights(np.where(np.isfinite(turned).all(-1), keypoints.confidence, 0))
        times = keypoints.frame_times()
        new = [
            _Lifted(float(times[i]), lifted[i, :, :3].astype(np.float64), sight[i], weights[i])
            for i in range(target, len(times))
        ]
        past = [one for one in self._lifted if frame.time - _PLACING <= one.time < frame.time][-_MOST_FRAMES:]
        around = [*past, *new]
        network = self._network(frame, camera, lifted, target)
        points = [network.xyz[0], *([] if network.feet is None else [network.feet[0]])]
        placed = self._placer(
            np.array([one.time for one in around]),
            np.stack([one.xyz for one in around]),
            np.stack([one.sight for one in around]),
            np.stack([one.weights for one in around]),
            len(past),
            np.concatenate(points).astype(np.float64),
        )
        self._lifted = [*past, new[0]]
        metres = network.camera.turn_back(placed[None]).astype(np.float32)
        feet = None if network.feet is None else metres[:, len(H36M17) :]
        poses = Poses3D(metres[:, : len(H36M17)], network.seen, "metre", "camera", True, network, feet=feet)
        return _told(frame, poses, placed)

    def _network(self, frame: _Frame, camera: VirtualCamera, lifted: NDArray[np.float32], target: int) -> NetworkPoses:
        """Return what the network gave for one frame of a window, as a clip of one frame."""
        assert frame.keypoints is not None
        keypoints = frame.keypoints
        own = VirtualCamera(camera.rotation[target : target + 1], camera.focal, camera.centre, lens=camera.lens)
        xyz, errors = lifted[target : target + 1, :, :3], lifted[target : target + 1, :, 3]
        seen_by_it = replace(keypoints, xy=own.see(keypoints.xy).astype(np.float32))
        if keypoints.feet is not None:
            feet = Feet2D(own.see(keypoints.feet.xy).astype(np.float32), keypoints.feet.confidence)
            seen_by_it = replace(seen_by_it, feet=feet)
        return NetworkPoses(
            xyz=xyz,
            confidence=np.where(seen_by_it.found, keypoints.confidence, 0).astype(np.float32),
            seen=np.ones(1, bool),
            keypoints=keypoints,
            model=self.lifter.name,
            expected_error=None if np.isnan(errors).all() else errors,
            feet=lift_feet(xyz, seen_by_it),
            camera=own,
            angle_errors=self.lifter.angle_errors,
        )


def _jumps(before: Keypoints2D, now: Keypoints2D) -> bool:
    """Tell whether the joints of two frames are more than a body's size apart."""
    return bool(len(find_jumps(joined([before, now], [0.0, 1.0]))))


def joined(frames: Sequence[Keypoints2D | None], times: Sequence[float]) -> Keypoints2D:
    """Join frames of one clip, of which at least one is known, into one; in the others nothing was found.

    Heels and foot tips are left out, as the network does not take them.
    """
    known = next(frame for frame in frames if frame is not None)
    xy = np.full((len(frames), len(H36M17), 2), np.nan, np.float32)
    confidence = np.zeros((len(frames), len(H36M17)), np.float32)
    for i, frame in enumerate(frames):
        if frame is not None:
            xy[i], confidence[i] = frame.xy[0], frame.confidence[0]
    return replace(known, xy=xy, confidence=confidence, times=np.array(times, np.float64), feet=None)


def _told(frame: _Frame, poses: Poses3D, placed: Array) -> LivePose:
    """Return the pose of a clip of one frame, with its angles and how far it can be trusted.

    Args:
        frame: the frame.
        poses: in metres, in the real camera's axes.
        placed: (17 or 21, 3) the same, in the virtual camera's axes.
    """
    expected = poses.expected_error
    expected_mm = None if expected is None else (1000 * expected[0]).astype(np.float32)
    keypoints, confidence = poses.keypoints, poses.confidence[0]
    angles, off = _angles(poses, placed)
    trust, reason = judge_frame(confidence, expected_mm)
    return LivePose(
        index=frame.index,
        time=frame.time,
        seen=True,
        image_size=keypoints.image_size,
        xyz=poses.xyz[0],
        expected_mm=expected_mm,
        feet=None if poses.feet is None else poses.feet[0],
        xy=keypoints.xy[0],
        feet_xy=None if keypoints.feet is None else keypoints.feet.xy[0],
        confidence=confidence,
        angles=angles,
        angle_errors=off,
        trust=trust,
        reason=reason,
    )


def _angles(poses: Poses3D, placed: Array) -> tuple[dict[str, float], dict[str, float]]:
    """Return the known angles of one frame, and their expected errors, in degrees by name."""
    network = poses.network
    unseen = unseen_joints(poses)[0]
    points = placed[None]
    feet = None if network.feet is None else points[:, len(H36M17) :]
    angles, errors = {}, {}
    for name, angle in measure_angles(points[:, : len(H36M17)], feet).items():
        if unseen[list(angle.joints)].any() or not np.isfinite(angle.degrees[0]):
            continue
        angles[name] = float(angle.degrees[0])
        if network.angle_errors is not None and network.expected_error is not None:
            told = terms(angle, points, network.expected_error, network.xyz.astype(np.float64))
            expected = float(expected_error(network.angle_errors, name, told)[0])
            if math.isfinite(expected):
                errors[name] = expected
    return angles, errors
