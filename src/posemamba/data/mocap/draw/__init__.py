"""Random numbers of training clips, drawn once for each clip on the host: motion, body, camera, detector.

`ClipDrawer` draws the groups of `MocapOptions`, each by the module of its name here, into the tree of
`posemamba.data.mocap.draw.numbers`. A new disturbance is a new group there, and a function in the group's module that
draws it.

**Drawings are in a fixed order**, that of `ClipDrawer.draw`: clips depend on it, and so do runs that are resumed. New
ones come last.
"""

from __future__ import annotations

import numpy as np

from posemamba.data.mocap.draw import body, camera, detector
from posemamba.data.mocap.draw.motion import MotionDrawer
from posemamba.data.mocap.draw.numbers import ClipNumbers
from posemamba.data.mocap.draw.sampler import Sampler
from posemamba.data.mocap.motions import Motions
from posemamba.data.mocap.options import MocapOptions
from posemamba.utils.errors import PoseMambaError


class ClipDrawer:
    """Draws the random numbers of training clips; all chance comes from the generators that are given.

    Args:
        motions: what to draw from.
        options: what to vary.

    Attributes:
        longest: frames of the longest clips.

    Raises:
        PoseMambaError: no motion is long enough for these.
    """

    def __init__(self, motions: Motions, options: MocapOptions) -> None:
        self._options, self._fps = options, motions.fps
        self._motions = MotionDrawer(motions, options.motion)
        total = sum(options.lengths.values())
        self._frames = list(options.lengths)
        self._shares = np.cumsum([v / total for v in options.lengths.values()])
        self.longest = max(self._frames)
        if not self._motions.long_enough(self.longest).any():
            raise PoseMambaError(f"no motion is long enough for clips of {self.longest} frames")

    def frames(self, random: np.random.Generator) -> int:
        """Draw the frames of a batch's clips, one of the options' lengths."""
        which = np.searchsorted(self._shares, random.random(), side="right")
        return self._frames[min(int(which), len(self._frames) - 1)]

    def draw(self, random: np.random.Generator, size: int, frames: int) -> ClipNumbers:
        """Draw the numbers of `size` clips of `frames` frames; angles in radians."""
        s, o, motions = Sampler(random, size), self._options, self._motions
        segment = motions.draw_segment(s, frames)
        cameras, extreme = camera.draw_cameras(s, o.camera)
        noisy = ~s.chance(o.detector.clean_share)
        edge = camera.crop(s, o.camera, cameras, noisy)
        speed = np.where(s.chance(o.motion.static_share), s.uniform(0, 0.1), 1.0)
        jitter = s.log_uniform(0.008, 0.07) * noisy
        occlusions, may_be_limb = detector.draw_occlusions(s, o.detector, noisy, frames)
        swap_length = detector.swap_lengths(s, noisy)
        flip = s.chance(0.5 if o.motion.flip else 0)
        bodies = body.draw_bodies(s, o.body)
        camera.place(s, o.camera, cameras)
        step = segment.step.numpy() * speed
        errors = detector.draw_errors(
            s, o.detector, noisy, jitter, swap_length, occlusions, edge, step, frames, self._fps
        )
        motion = motions.draw_changes(s, segment, speed, frames, flip)
        # drawn after all others, so that these do not change with it
        detector.occlude_limbs(s, o.detector, occlusions, may_be_limb)
        camera.hold_level(s, o.camera, cameras, extreme)
        anatomical, alike = body.draw_people(s, o.body)
        motions.tumble(s, motion, frames)
        body.mix_conventions(s, o.body, bodies, anatomical, alike)
        motions.enlarge(s, motion)
        standing = motions.stand(s, motion.segment, frames)
        motion.straighter = motions.straighten(s, standing)
        body.take_detectors_bones(s, o.body, bodies, anatomical, alike)
        camera.hold_askew(s, o.camera, cameras, extreme)
        look = camera.look_at(s, o.camera, seconds=motion.segment.step / self._fps)
        displacement = detector.displace(s, o.detector, noisy)
        detector.lose_head_and_ankles(s, o.detector, errors, noisy, frames)
        detector.be_confident(s, o.detector, errors, noisy)
        motion.stiffness = motions.stiffen(s)
        return ClipNumbers(motion, bodies, cameras, errors, displacement, look)
