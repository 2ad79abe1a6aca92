"""Motion capture seen by virtual cameras: training clips without end, made on a device.

A training batch is a pure function of (seed, step, rank). The random numbers of a clip (motion, body, camera, detector)
come from NumPy's Philox generator keyed with these, the noise of every frame from PyTorch's generator on the device,
seeded with them. So a run that is resumed goes on with the same stream.

Shapes: B clips, T frames of a clip, J = 17 joints, N frames of all motions.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from posemamba.data.augment import add_detector_errors
from posemamba.data.cameras import look_at_people, project, see
from posemamba.data.clips import ClipBatch
from posemamba.data.mocap import recombine
from posemamba.data.mocap.draw import ClipDrawer
from posemamba.data.mocap.draw.numbers import ClipNumbers, Motion, Segment, to_device
from posemamba.data.mocap.motions import Motions
from posemamba.data.mocap.options import MocapOptions
from posemamba.models.inputs import mirror


class MocapSource:
    """Training clips made on a device out of motion capture.

    Args:
        motions: what to draw from.
        options: what to vary.
        seed: with the step and the rank, all that a batch depends on.
        device: where the motions are kept and the batches are made.
    """

    def __init__(
        self, motions: Motions, options: MocapOptions, seed: int = 0, device: torch.device | str = "cpu"
    ) -> None:
        self.motions, self.options, self.seed = motions, options, seed
        self.device = torch.device(device)
        self.positions = torch.from_numpy(motions.positions).to(self.device)
        self._drawer = ClipDrawer(motions, options)
        self._generator = torch.Generator(self.device)

    def batch(self, step: int, size: int, *, rank: int = 0, frames: int | None = None) -> ClipBatch:
        """The clips of one training step; the same for the same seed, step, rank, size and device type.

        Args:
            step: number of the step.
            size: clips of 243 frames; of shorter clips there are more, up to three times as many.
            rank: number of the process that asks, where several train together.
            frames: length of the clips; None draws it from the options.
        """
        random = np.random.Generator(np.random.Philox(key=[self.seed, (step << 16) + rank]))
        if frames is None:
            frames = self._drawer.frames(random)
            size = min(size * self._drawer.longest // frames, 3 * size)
        numbers = to_device(self._drawer.draw(random, size, frames), self.device)
        self._generator.manual_seed((self.seed * 1_000_003 + step) * 4099 + rank)
        with torch.autocast(self.device.type, enabled=False), torch.no_grad():
            return self._make(numbers, frames)

    def _make(self, numbers: ClipNumbers, frames: int) -> ClipBatch:
        """Apply each group of random numbers in turn: motion, body, camera, detector."""
        bodies = numbers.body.apply(self._move(numbers.motion, frames))
        view = see(bodies, numbers.camera)
        shown, detector = view.xy, self.options.detector
        if detector.displaced_share or detector.raised_ankle_share:
            shown = project(numbers.displacement.apply(view.camera_xyz), numbers.camera.focal).xy
        noisy, confidence = add_detector_errors(shown, numbers.detector, self._generator)
        if self.options.camera.look_at_share:
            view, noisy = look_at_people(view, noisy, confidence, numbers.camera, numbers.look)
        return ClipBatch(noisy, view.target, view.mm_per_unit, view.xy, confidence)

    def _move(self, motion: Motion, frames: int) -> Tensor:
        """(B, T, J, 3) positions of bodies in motion."""
        frame = torch.arange(frames, device=self.device)
        frame = torch.where(motion.reverse[:, None], frame.flip(0), frame)

        def sampled(segment: Segment) -> Tensor:
            time = (segment.begin + segment.first.double())[:, None] + segment.step.double()[:, None] * frame
            return sample_motion(self.positions, time, segment.begin, segment.end)

        bodies, options = sampled(motion.segment), self.options.motion
        if options.straight_knee_share or options.stiff_knee_share:
            bodies = recombine.straighten_knees(bodies, motion.straighter, motion.stiffness)
        if options.graft_share:
            bodies = recombine.graft(bodies, sampled(motion.graft.segment), motion.graft.part)
        if options.joint_perturbation_share:
            bodies = recombine.rotate_joints(bodies, motion.perturbation)
        if options.tumble_share:
            bodies = recombine.tumble(bodies, motion.tumble)
        return torch.where(motion.flip[:, None, None, None], mirror(bodies), bodies)


def sample_motion(positions: Tensor, time: Tensor, begin: Tensor, end: Tensor) -> Tensor:
    """Motion at times between frames (Catmull and Rom 1974: cubics through the frames, smooth in speed).

    Args:
        positions: (N, J, 3) motions one after another.
        time: (B, T) frame numbers in `positions`, with fractions.
        begin: (B,) first frame of each motion.
        end: (B,) last frame of each motion; nothing is read outside of it.

    Returns:
        (B, T, J, 3).
    """
    whole = time.floor()
    t = (time - whole).to(positions.dtype)[..., None, None]
    around = whole.long()[..., None] + torch.arange(-1, 3, device=positions.device)
    around = torch.minimum(torch.maximum(around, begin[:, None, None]), end[:, None, None])
    p0, p1, p2, p3 = positions[around].unbind(2)
    a = 2 * p1
    b = p2 - p0
    c = 2 * p0 - 5 * p1 + 4 * p2 - p3
    d = 3 * (p1 - p2) + p3 - p0
    return 0.5 * (a + t * (b + t * (c + t * d)))
