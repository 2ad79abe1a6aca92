"""Measure how well the verdict sorts good clips from bad ones, and print the tables of docs/quality.md.

The clips are those of `studies.quality_thresholds`: motion capture with the benchmark's noise and confidence, at most
5 s of each. Each is lifted as it is, and damaged in ways in which users' clips are: limbs that are never seen, missing
frames, a wrong shape of the picture. The true error (P1) then says whether the verdict is right.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from posemamba.evaluate.mocap.noise import FixedNumbers
from posemamba.lifting.lifter import Lifter
from posemamba.poses import Keypoints2D
from posemamba.poses.skeletons import LIMBS
from posemamba.quality.common import MIN_CONFIDENCE
from posemamba.quality.trust import AVOID, Trust, judge
from posemamba.quality.verdict import WORDS
from posemamba.refine.metres import to_metres
from posemamba.utils.tables import markdown_table
from studies.command_line import add_benchmark_options, every_nth_clip, report, study_parser
from studies.refinement_tables import Shot, shots

Array = NDArray[np.float64]
LOW, HIGH = 70.0, 120.0
"""Millimetres of true error up to which a clip or a frame counts as right, and from which on as wrong."""
BLOCK = 0.4  # seconds: missing frames come in blocks
_TURNED = np.array([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Damage:
    """A way in which a clip is damaged.

    Attributes:
        change: makes the damaged 2D joints.
        turned: the truth is turned by 180 degrees about the camera's axis.
        single: only the clip's middle frame is lifted, as a picture.
    """

    change: Callable[[Keypoints2D], Keypoints2D]
    turned: bool = False
    single: bool = False


def _lose(joints: Keypoints2D, lost: NDArray[np.bool_]) -> Keypoints2D:
    """Lose the (F, 17) joints."""
    return replace(
        joints,
        xy=np.where(lost[..., None], np.nan, joints.xy).astype(np.float32),
        confidence=np.where(lost, 0, joints.confidence).astype(np.float32),
    )


def _never(*limbs: str, outer: int = 1) -> Callable[[Keypoints2D], Keypoints2D]:
    """Lose joints of limbs throughout: from the knee or the elbow on, or (`outer` 2) the end alone."""

    def change(joints: Keypoints2D) -> Keypoints2D:
        lost = np.zeros(joints.confidence.shape, bool)
        lost[:, [j for limb in limbs for j in LIMBS[limb][outer:]]] = True
        return _lose(joints, lost)

    return change


def _guessed(*limbs: str) -> Callable[[Keypoints2D], Keypoints2D]:
    """Put outer joints of limbs where a detector guesses them: straight down, with a confidence of 0.1 to 0.3."""

    def change(joints: Keypoints2D) -> Keypoints2D:
        xy, confidence = joints.xy.copy(), joints.confidence.copy()
        length = np.nanmedian(np.linalg.norm(xy[:, 8] - xy[:, 0], axis=-1))
        wander = FixedNumbers(7, len(xy)).normal(len(xy), 2)
        for limb in limbs:
            root, *outer = LIMBS[limb]
            for k, j in enumerate(outer):
                xy[:, j] = xy[:, root] + [0, 0.8 * (k + 1) * length] + 0.05 * length * wander
                confidence[:, j] = 0.1 + 0.2 * (np.arange(len(xy)) % 10) / 10
        return replace(joints, xy=xy.astype(np.float32), confidence=confidence.astype(np.float32))

    return change


def _for_a_while(change: Callable[[Keypoints2D], Keypoints2D], seconds: float) -> Callable[[Keypoints2D], Keypoints2D]:
    """Change the joints for some seconds in the middle."""

    def part(joints: Keypoints2D) -> Keypoints2D:
        changed, length = change(joints), round(seconds * joints.fps)
        first = max(0, (len(joints) - length) // 2)
        during = np.zeros(len(joints), bool)
        during[first : first + length] = True
        return replace(
            joints,
            xy=np.where(during[:, None, None], changed.xy, joints.xy),
            confidence=np.where(during[:, None], changed.confidence, joints.confidence),
        )

    return part


def _missing(share: float) -> Callable[[Keypoints2D], Keypoints2D]:
    """Lose all joints in that share of the frames, in blocks."""

    def change(joints: Keypoints2D) -> Keypoints2D:
        block = np.arange(len(joints)) / joints.fps / BLOCK
        gone = (block % 1) < share
        return _lose(joints, np.repeat(gone[:, None], joints.confidence.shape[1], 1))

    return change


def _unsure(joints: Keypoints2D) -> Keypoints2D:
    """Add four times the jitter of the benchmark, with confidences below 0.5."""
    size = np.nanmedian(np.linalg.norm(joints.xy[:, 8] - joints.xy[:, 0], axis=-1))
    noise = 0.15 * size * FixedNumbers(11, len(joints)).normal(*joints.xy.shape)
    low = np.where(joints.confidence > 0, 0.05 + 0.4 * joints.confidence, 0)
    return replace(joints, xy=(joints.xy + noise).astype(np.float32), confidence=low.astype(np.float32))


def _wide(factor: float) -> Callable[[Keypoints2D], Keypoints2D]:
    """Stretch the picture's x."""

    def change(joints: Keypoints2D) -> Keypoints2D:
        middle = np.array(joints.image_size) / 2
        return replace(joints, xy=((joints.xy - middle) * [factor, 1] + middle).astype(np.float32))

    return change


def _turned(joints: Keypoints2D) -> Keypoints2D:
    """Turn the picture upside down."""
    return replace(joints, xy=(np.array(joints.image_size) - joints.xy).astype(np.float32))


def _swapped(joints: Keypoints2D) -> Keypoints2D:
    """Swap left and right throughout."""
    order = list(joints.skeleton.mirrored)
    return replace(joints, xy=joints.xy[:, order], confidence=joints.confidence[:, order])


DAMAGES = {
    "none": Damage(lambda joints: joints),
    "none, a single picture": Damage(lambda joints: joints, single=True),
    "legs never seen": Damage(_never("left leg", "right leg")),
    "legs guessed": Damage(_guessed("left leg", "right leg")),
    "feet never seen": Damage(_never("left leg", "right leg", outer=2)),
    "arms never seen": Damage(_never("left arm", "right arm")),
    "left arm and left leg never seen": Damage(_never("left arm", "left leg")),
    "left arm never seen": Damage(_never("left arm")),
    "legs never seen for 0.3 s": Damage(_for_a_while(_never("left leg", "right leg"), 0.3)),
    "legs never seen for 1 s": Damage(_for_a_while(_never("left leg", "right leg"), 1.0)),
    "left arm and left leg never seen for 1 s": Damage(_for_a_while(_never("left arm", "left leg"), 1.0)),
    "a quarter of the frames missing": Damage(_missing(0.25)),
    "60 % of the frames missing": Damage(_missing(0.6)),
    "jitter, low confidence": Damage(_unsure),
    "stretched by 1.3": Damage(_wide(1.3)),
    "stretched by 1.8": Damage(_wide(1.8)),
    "upside down": Damage(_turned, turned=True),
    "left and right swapped": Damage(_swapped),
}


@dataclass(frozen=True)
class Sample:
    """A verdict and the true errors, millimetres, NaN where the person was not seen.

    Attributes:
        error: (F,) mean of the joints.
        guessed: (F,) mean of the joints of which the detector is not sure.
    """

    trust: Trust
    error: Array
    guessed: Array

    @property
    def p1(self) -> float:
        return float(np.nanmean(self.error))


def lift_damaged(lifter: Lifter, shot: Shot, damage: Damage) -> Sample:
    """Lift one damaged clip and judge it."""
    joints, truth = shot.noisy, shot.camera_xyz * (_TURNED if damage.turned else 1.0)
    if damage.single:
        middle = np.array([len(joints) // 2])
        joints, truth = joints.select(middle), truth[middle]
    joints = damage.change(joints)
    poses = to_metres(lifter(joints, lens=shot.lens), shot.height)
    off = poses.xyz.astype(np.float64) - truth
    off = 1000 * np.linalg.norm(off - off[:, :1], axis=-1)
    unsure = (joints.confidence <= MIN_CONFIDENCE) & np.isfinite(off)
    guessed = np.where(unsure, off, 0).sum(1) / np.where(unsure.any(1), unsure.sum(1), np.nan)
    return Sample(judge(poses), off.mean(-1), guessed)


def measure(weights: str, split: str, every: int) -> str:
    """Return the tables in Markdown."""
    lifter = Lifter.from_pretrained(weights)
    found: dict[str, list[Sample]] = {name: [] for name in DAMAGES}
    for number, shot in enumerate(shots(split, every=every)):
        for name, damage in DAMAGES.items():
            found[name].append(lift_damaged(lifter, shot, damage))
        print(number, file=sys.stderr, flush=True)
    every_one = [s for samples in found.values() for s in samples]
    return "\n\n".join([_by_damage(found), "Undamaged:", _rates(found["none"]), "All:", _rates(every_one)])


def _by_damage(found: dict[str, list[Sample]]) -> str:
    rows = []
    for name, samples in found.items():
        words = [s.trust.word for s in samples]
        errors, levels = np.concatenate([s.error for s in samples]), np.concatenate([s.trust.levels for s in samples])
        expected = [s.trust.expected_mm for s in samples if s.trust.expected_mm is not None]
        by_level = [errors[(levels == level) & np.isfinite(errors)] for level in (0, 1, 2)]
        guessed = np.concatenate([s.guessed for s in samples])
        rows.append(
            [
                name,
                f"{np.mean([s.p1 for s in samples]):.0f}",
                f"{np.nanmean(guessed):.0f}" if np.isfinite(guessed).any() else "",
                f"{np.mean(expected):.0f}" if expected else "",
                *(f"{words.count(word) / len(words):.0%}" for word in WORDS),
                *(f"{part.mean():.0f} ({len(part) / len(errors):.0%})" if len(part) else "" for part in by_level),
            ]
        )
    return markdown_table(
        ["damage", "P1", "of guessed joints", "expected", *WORDS, "P1 at level 0 (frames)", "level 1", "level 2"], rows
    )


def _rates(samples: list[Sample]) -> str:
    """Return the shares of false alarms and misses."""
    p1 = np.array([s.p1 for s in samples])
    words = np.array([s.trust.word for s in samples])
    error, level = np.concatenate([s.error for s in samples]), np.concatenate([s.trust.levels for s in samples])
    right, wrong = p1 <= LOW, p1 > HIGH
    low, high = error <= LOW, error > HIGH

    def share(part: NDArray[np.bool_], of: NDArray[np.bool_]) -> str:
        return f"{(part & of).sum()} of {of.sum()} ({(part & of).sum() / max(of.sum(), 1):.1%})"

    rows = [
        [f"clips of at most {LOW:.0f} mm, do not trust", share(words == WORDS[2], right)],
        [f"clips of at most {LOW:.0f} mm, use with care", share(words == WORDS[1], right)],
        [f"clips above {HIGH:.0f} mm, good", share(words == WORDS[0], wrong)],
        [f"frames of at most {LOW:.0f} mm, level 2", share(level == AVOID, low)],
        [f"frames above {HIGH:.0f} mm, level 0", share(level == 0, high)],
        [
            f"frames above {HIGH:.0f} mm, level 0, in clips called good",
            share((level == 0) & np.repeat(words == WORDS[0], [len(s.error) for s in samples]), high),
        ],
    ]
    return markdown_table(["what", "share"], rows)


def main(arguments: list[str] | None = None) -> int:
    """Print the tables; return the exit status."""
    parser = study_parser("trust_calibration", __doc__)
    add_benchmark_options(parser, "test")
    parser.add_argument("--every", type=int, default=0, help="take every N-th clip")
    given = parser.parse_args(arguments)
    every = given.every or every_nth_clip(given)
    return report(lambda: print(measure(given.weights, given.split or "test", every)))


if __name__ == "__main__":
    sys.exit(main())
