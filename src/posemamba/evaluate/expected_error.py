"""Validation of a model's expected errors against true errors on motion capture.

The clips of the mocap benchmark are seen by one camera each, through a virtual camera that looks at the person as in
lifting, and lifted in windows end to end, with test-time flip.
Joints are relative to the pelvis, which is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

from posemamba.data.mocap.motions import Motions
from posemamba.evaluate.mocap.scenes import VARIANTS, Scene, scenes
from posemamba.evaluate.windows import lift_windows_with_errors
from posemamba.models.posemamba import PoseMamba
from posemamba.utils.progress import Progress
from posemamba.utils.tables import markdown_table

BINS = 5


@dataclass(frozen=True)
class ExpectedError:
    """The expected and true errors of one input variant, millimetres.

    Attributes:
        expected, true: means over all joints and frames.
        rank_joints, rank_frames, rank_clips: Spearman's rank correlation over joints, and over means of frames and
            clips.
        bins: (BINS, 2) mean expected and true error of the fifths of all joints, sorted by expected error.
        covered: share of joints whose true error is at most twice the expected one.
    """

    expected: float
    true: float
    rank_joints: float
    rank_frames: float
    rank_clips: float
    bins: NDArray[np.float64]
    covered: float


def expected_errors(
    model: PoseMamba,
    motions: Motions,
    *,
    person_size: float | None,
    progress: Progress | None = None,
    observe: Callable[[Scene, str, NDArray[np.float64]], None] | None = None,
) -> dict[str, ExpectedError]:
    """Compare expected with true errors, by variant (``exact``, ``noisy``).

    Args:
        model: with an error head.
        motions: e.g. of the test split.
        person_size: as in the model's training.
        progress: called with the clips done and the clips in total.
        observe: called with every scene, variant and (1, F, 17, 4) prediction, for further measurements in the pass.
    """
    kept: dict[str, list[tuple[NDArray[np.float64], NDArray[np.float64]]]] = {v: [] for v in VARIANTS}
    device = next(model.parameters()).device
    for scene in scenes(motions, quick=True, look=True):
        for variant in VARIANTS:
            given = torch.from_numpy(scene.inputs(variant)).to(device)
            with_errors = lift_windows_with_errors(model, given, person_size=person_size)
            lifted = with_errors.double().cpu().numpy()
            if observe is not None:
                observe(scene, variant, lifted)
            predicted, truth = scene.millimetres(lifted[..., :3])
            expected = lifted[0, :, 1:, 3] * scene.mm_per_unit[0, :, None]
            kept[variant].append((expected.astype(np.float64), np.linalg.norm(predicted - truth, axis=-1)[0, :, 1:]))
        if progress is not None:
            progress(scene.clip + 1, len(motions))
    return {variant: _compare(clips) for variant, clips in kept.items()}


def _compare(clips: list[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> ExpectedError:
    expected, true = (np.concatenate(values) for values in zip(*clips, strict=True))
    order = np.argsort(expected, axis=None)
    bins = [(expected.ravel()[part].mean(), true.ravel()[part].mean()) for part in np.array_split(order, BINS)]
    by_clip = np.array([(e.mean(), t.mean()) for e, t in clips])
    return ExpectedError(
        expected=float(expected.mean()),
        true=float(true.mean()),
        rank_joints=float(spearmanr(expected.ravel(), true.ravel())[0]),
        rank_frames=float(spearmanr(expected.mean(1), true.mean(1))[0]),
        rank_clips=float(spearmanr(by_clip[:, 0], by_clip[:, 1])[0]),
        bins=np.array(bins),
        covered=float((true <= 2 * expected).mean()),
    )


def table(found: dict[str, dict[str, ExpectedError]]) -> str:
    """Format a Markdown table with a row for each split and variant."""
    header = [
        "split, 2D",
        "expected, mm",
        "true, mm",
        "rank: joints",
        "frames",
        "clips",
        "within twice the expected",
        "true error of the fifths by expected error (expected)",
    ]
    rows = []
    for split, variants in found.items():
        for variant, e in variants.items():
            fifths = ", ".join(f"{true:.0f} ({expected:.0f})" for expected, true in e.bins)
            ranks = [f"{rank:.2f}" for rank in (e.rank_joints, e.rank_frames, e.rank_clips)]
            covered = f"{100 * e.covered:.0f} %"
            rows.append([f"{split}, {variant}", f"{e.expected:.0f}", f"{e.true:.0f}", *ranks, covered, fifths])
    return markdown_table(header, rows)
