"""The expected errors of joint angles: fitted to motion capture seen by virtual cameras, and compared with the truth.

`posemamba.refine.angle_accuracy` computes what an expected error depends on. For each angle its logarithm is linear in
that, with slopes of 0 or more, and of 1 for the logarithm of the joints' expected errors. The loss is that of these
(`posemamba.train.expected_error`), least where the told error is the mean of the true ones. Why these terms:
docs/decisions/angles.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import spearmanr

from posemamba.data.mocap.motions import Motions
from posemamba.evaluate.angles import VIEWS, AngleScore, Scores, angle_difference, scene_angles
from posemamba.evaluate.mocap.scenes import CAMERAS, Scene, make_scene
from posemamba.evaluate.windows import lift_windows_with_errors
from posemamba.models.posemamba import PoseMamba
from posemamba.poses.angle_table import TERMS, AngleErrorTable, plain_name
from posemamba.refine.angle_accuracy import expected_error, hardly_told, terms, view_of
from posemamba.utils.progress import Progress
from posemamba.utils.tables import markdown_table

Array = NDArray[np.float64]
_FRAMES = 243
_RIDGE = 1e-3
ANKLE_DEG = 7.0
"""Degrees by which an ankle's angle is off, mean of four views of a real clip (4.6 to 8.6 by view): motion capture has
no feet. `python -m studies.real_angles`."""
REAL_VIDEO = {"trunk_flexion": 2.5}
"""How much larger than on motion capture errors are on the same clip, where that is clear. Detectors have no point on
the spine: it is placed by proportion, and the trunk's bend with it."""
SOURCE = (
    "noisy 2D joints of the mocap benchmark through a virtual camera with a guessed lens, validation subjects and "
    "training clips; ankles, and the factor, from a real clip of four calibrated views (studies.real_angles)"
)


@dataclass
class AngleSamples:
    """Errors of angles and what they may depend on, by the angle's name without side."""

    _kept: dict[str, list[Array]] = field(default_factory=dict)

    def observe(self, scene: Scene, variant: str, lifted: NDArray[np.floating]) -> None:
        """Add (K, F, 17, 4) normalised predictions, with the joints' expected errors as a fourth number."""
        for k, told, true, points in scene_angles(scene, variant, lifted):
            for name, angle in told.items():
                xyz = lifted[k, ..., :3].astype(np.float64)
                view, _ = view_of(angle, points)
                row = np.column_stack(
                    [
                        terms(angle, points, lifted[k, ..., 3], xyz),
                        view,
                        angle_difference(angle.degrees, true[name].degrees),
                    ]
                )
                self._kept.setdefault(plain_name(name), []).append(row[np.isfinite(row[:, -1])])

    def __iter__(self) -> Iterator[tuple[str, Array, Array, Array]]:
        """Yield name, terms (n, 4), the view in degrees (n,), and absolute errors in degrees (n,)."""
        for name, rows in self._kept.items():
            whole = np.concatenate(rows)
            yield name, whole[:, : len(TERMS)], whole[:, -2], np.abs(whole[:, -1])


def collect(
    model: PoseMamba,
    motions: Motions,
    cameras_a_clip: int,
    *,
    person_size: float | None,
    samples: AngleSamples,
    progress: Progress | None = None,
) -> None:
    """Lift parts of clips as users' videos are lifted, and keep the angles' errors.

    The 2D joints have a detector's errors; a virtual camera with a guessed lens looks at the person; test-time flip.

    Args:
        model: with an error head.
        motions: the clips; up to 243 frames of each, from the beginning to the end as the clip's number says.
        cameras_a_clip: how many of the benchmark's cameras; clip i begins with number i.
        person_size: as in the model's training.
        samples: they are added there.
        progress: called with the clips done and the clips in total.
    """
    device = next(model.parameters()).device
    for clip in range(len(motions)):
        cameras = tuple(sorted((clip + k) % CAMERAS for k in range(cameras_a_clip)))
        scene = make_scene(motions, clip, cameras, look=True)
        start = max(0, scene.target.shape[1] - _FRAMES) * (clip % 4) // 3
        scene = scene.part(start, _FRAMES)
        given = torch.from_numpy(scene.inputs("noisy")).to(device)
        lifted = lift_windows_with_errors(model, given, person_size=person_size)
        samples.observe(scene, "noisy", lifted.double().cpu().numpy())
        if progress is not None:
            progress(clip + 1, len(motions))


def fit_table(samples: AngleSamples) -> AngleErrorTable:
    """Fit the table of expected errors to samples of subjects whose errors are like those of strangers."""
    rows = {name: _fit(seen, error) for name, seen, _, error in samples}
    rows["ankle_dorsiflexion"] = (float(np.log(ANKLE_DEG)), *(0.0 for _ in TERMS))
    return AngleErrorTable(rows, REAL_VIDEO, SOURCE)


def _fit(seen: Array, error: Array) -> tuple[float, ...]:
    """Return base and slopes for terms (n, 4) and absolute errors (n,).

    An angle is off in proportion to its joints. Fitted slopes are flatter, as what is told of joints is uncertain, and
    tell too little of people who move otherwise than those of the fit.
    """
    middle = seen.mean(0)
    x = np.column_stack([np.ones(len(seen)), seen - middle])

    def loss(w: Array) -> tuple[float, Array]:
        told = x @ w
        ratio = error * np.exp(-told)
        slopes = np.concatenate([[0.0], w[1:]])
        value = float((told + ratio).mean() + _RIDGE * (slopes**2).sum())
        return value, x.T @ (1 - ratio) / len(x) + 2 * _RIDGE * slopes

    start = np.array([np.log(error.mean()), *(float(term == "joints") for term in TERMS)])
    bounds = [(None, None), *((1.0, 1.0) if term == "joints" else (0.0, None) for term in TERMS)]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return (float(found[0] - middle @ found[1:]), *(float(v) for v in found[1:]))


@dataclass(frozen=True)
class ToldAndTrue:
    """Told and true mean absolute errors of an angle, degrees.

    Attributes:
        told, true: means over all frames.
        views: the same by the view of the told pose, one pair for each of `posemamba.evaluate.angles.VIEWS`; None
            without frames.
        edge_on: the same of the frames in which the picture hardly tells the angle, and `edge_on_share`, their share.
        fifths: the same of the fifths of all frames by told error.
        rank: Spearman's rank correlation of told and true.
    """

    told: float
    true: float
    views: Sequence[Sequence[float | None]]
    edge_on: Sequence[float | None]
    edge_on_share: float
    fifths: Sequence[Sequence[float | None]]
    rank: float


def compare(samples: AngleSamples, table: AngleErrorTable) -> dict[str, ToldAndTrue]:
    """Compare what a table tells with the truth, by the angle's name without side; real video's factor is left out."""
    found = {}
    plain = AngleErrorTable(table.rows, {})
    for name, seen, view, error in samples:
        told = expected_error(plain, name, seen)

        def pair(k: NDArray[np.generic], told: Array = told, error: Array = error) -> tuple[float | None, float | None]:
            chosen = told[k], error[k]
            return (float(chosen[0].mean()), float(chosen[1].mean())) if len(chosen[0]) else (None, None)

        views = tuple(pair((view >= low) & (view <= high)) for low, high in VIEWS)
        hardly = hardly_told(seen[:, TERMS.index("depth")])
        fifths = tuple(pair(part) for part in np.array_split(np.argsort(told), 5))
        rank = float(spearmanr(told, error)[0])
        found[name] = ToldAndTrue(
            float(told.mean()), float(error.mean()), views, pair(hardly), float(hardly.mean()), fifths, rank
        )
    return found


def angles_card(scores: Mapping[str, Scores], told: Mapping[str, ToldAndTrue]) -> dict[str, Any]:
    """Return measured errors of angles, and what was told of them, in JSON's types for a card."""
    return {
        "of": "test subjects of the mocap benchmark, one camera a clip, test-time flip; degrees",
        "scores": {
            variant: {name: {where: _rounded(asdict(s)) for where, s in own.items()} for name, own in by_name.items()}
            for variant, by_name in scores.items()
        },
        "told": {name: _rounded(asdict(one)) for name, one in told.items()},
    }


def read_angles_card(card: Mapping[str, Any]) -> tuple[dict[str, Scores], dict[str, ToldAndTrue]]:
    """Return what `angles_card` was given."""
    scores: dict[str, Scores] = {
        variant: {name: {where: AngleScore(**s) for where, s in own.items()} for name, own in by_name.items()}
        for variant, by_name in card["scores"].items()
    }
    return scores, {name: ToldAndTrue(**one) for name, one in card["told"].items()}


def _rounded(value: Any) -> Any:
    """Round numbers, in dictionaries and lists too, to hundredths; NaN becomes None."""
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(v) for v in value]
    if isinstance(value, float):
        return None if np.isnan(value) else round(value, 2)
    return value


def comparison_table(found: Mapping[str, ToldAndTrue]) -> str:
    """Format a Markdown table: true error (told) by angle, view, and fifths of the told error."""
    views = [f"{low}-{high}°" for low, high in VIEWS]
    header = ["angle, degrees", "true (told)", *views, "edge-on: share", "there", "fifths by told", "rank"]
    rows = []
    for name, one in found.items():
        cells = [_cell(pair) for pair in ((one.told, one.true), *one.views)]
        cells += [f"{100 * one.edge_on_share:.0f} %", _cell(one.edge_on)]
        fifths = ", ".join(_cell(pair) for pair in one.fifths)
        rows.append([name.replace("_", " "), *cells, fifths, f"{one.rank:.2f}"])
    return markdown_table(header, rows)


def _cell(pair: Sequence[float | None]) -> str:
    told, true = pair
    return "" if told is None or true is None else f"{true:.1f} ({told:.1f})"
