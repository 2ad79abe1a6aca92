"""Poses of several models side by side on chosen frames: the paper's figures 6 (with the truth) and 7 (without).

Shapes: F frames, J = 17 joints.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from posemamba.io.motion.npz import load_poses_npz
from posemamba.paper.clip import Clip
from posemamba.poses.skeletons import H36M17
from posemamba.show.panel import PITCH, YAW
from posemamba.show.people import ONE_ON_PAPER
from posemamba.utils.errors import PoseMambaError, require
from posemamba.utils.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OTHERS = ("motionbert", "motionagformer", "mixste", "stcformer", "hgmamba")
"""Architectures whose authors' checkpoints are read."""
BASELINES = ("depth zero", "mean depth")
_TRUTH = "#9aa1ad"
_WRONG = "#b3261e"
_LABELS = 3  # joints whose error is written beside them


@dataclass(frozen=True)
class Method:
    """The poses that one model, or one file, gives for a clip.

    Attributes:
        name: for the heading.
        xyz: (F, 17, 3) relative to the pelvis, camera's frame; NaN where nobody was seen.
    """

    name: str
    xyz: NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """Methods on one clip.

    Attributes:
        clip: what they were given.
        methods: in the order of the figure's columns.
        truth: (F, 17, 3) millimetres, relative to the pelvis; None where it is not known.
        unit: of the methods' coordinates: ``mm`` with the truth, else ``px`` at the pelvis's depth.
    """

    clip: Clip
    methods: tuple[Method, ...]
    truth: NDArray[np.float64] | None
    unit: str

    def errors(self, method: Method) -> NDArray[np.float64]:
        """(F, 17): millimetres between each joint and its truth (protocol 1: pelvis on pelvis)."""
        if self.truth is None:
            raise ValueError("the truth of this clip is not known")
        return np.asarray(np.linalg.norm(method.xyz - self.truth, axis=-1))

    def table(self, frames: Sequence[int]) -> str:
        """Plain text: each joint's error in the chosen frames, mm, the worst one starred."""
        lines = []
        for method in self.methods if self.truth is not None else ():
            errors = self.errors(method)[list(frames)]
            lines.append(f"{method.name}: error, mm" + "".join(f"{'frame ' + str(f):>12}" for f in frames))
            for j, name in enumerate(H36M17.joints):
                cells = (f"{e[j]:10.1f}{' *' if j == e.argmax() else '  '}" for e in errors)
                lines.append(f"  {name:<{len(method.name) + 9}}" + "".join(cells))
            cells = (f"{e.mean():10.1f}  " for e in errors)
            lines.append(f"  {'mean (P1)':<{len(method.name) + 9}}" + "".join(cells))
        return "\n".join(lines)


def compare(
    clip: Clip,
    weights: Sequence[str] = (),
    files: Sequence[Path] = (),
    *,
    baselines: bool = False,
    device: str = "cpu",
    data: Path | None = None,
) -> Comparison:
    """Lift a clip with several weights, and take what files hold.

    Args:
        clip: of `read_clip`.
        weights: names or files of PoseMamba's weights, or ``motionbert:FILE`` and the like (`OTHERS`), checkpoints of
            those models' authors.
        files: further poses.npz of the same clip (the clip's own, if it is a file, comes first).
        baselines: with the truth also `BASELINES`, what anything that claims to see depth must beat.
        device: where models run.
        data: folder of the motion capture files, for the baselines.

    Raises:
        PoseMambaError: weights or files that cannot be read or do not belong to the clip; nothing to compare.
    """
    scene = clip.scene
    if scene is None and baselines:
        raise PoseMambaError("--baselines is for mocap clips, whose truth is known; leave it out")
    if scene is not None and files:
        raise PoseMambaError(f"{files[0]}: files are compared with files of the same clip, not with {clip.name}")
    if scene is not None:
        unit = scene.mm_per_unit[0][:, None, None].astype(np.float64)
    else:
        unit = np.full((len(clip), 1, 1), _poses(clip).keypoints.image_size[0] / 2)
    methods: list[Method] = []
    if clip.poses is not None:
        methods.append(Method(clip.poses.model or "file", clip.poses.xyz.astype(np.float64)))
    for path in files:
        poses = load_poses_npz(path).network
        if len(poses) != len(clip):
            raise PoseMambaError(f"{path}: has {len(poses)} frames, {clip.name} has {len(clip)}; give the same clip's")
        methods.append(Method(poses.model or path.parent.name or path.stem, poses.xyz.astype(np.float64)))
    predictors = [_predictor(name, device) for name in weights]
    if baselines:
        from posemamba.data.mocap.motions import load_motions
        from posemamba.evaluate.depth_baselines import flat_baseline, mean_depth_baseline, mean_depths

        depths = mean_depths(load_motions(data, "train"))
        predictors += zip(BASELINES, (flat_baseline, mean_depth_baseline(depths)), strict=True)
    for name, predict in predictors:
        xyz = predict(clip.joints[None])[0].astype(np.float64)
        methods.append(Method(name, (xyz - xyz[:, :1]) * unit))
    if not methods:
        raise PoseMambaError(f"{clip.name}: nothing to compare; name weights (--weights) or further poses.npz")
    truth = None if scene is None else (scene.target[0] - scene.target[0][:, :1]).astype(np.float64) * unit
    return Comparison(clip, _distinct(methods), truth, "px" if scene is None else "mm")


def _poses(clip: Clip) -> Any:
    assert clip.poses is not None  # a clip has either the truth or what was lifted
    return clip.poses


def _distinct(methods: Sequence[Method]) -> tuple[Method, ...]:
    """The same name twice gets a number."""
    names = [m.name for m in methods]
    return tuple(
        Method(m.name if names.count(m.name) == 1 else f"{m.name} ({names[: i + 1].count(m.name)})", m.xyz)
        for i, m in enumerate(methods)
    )


def _predictor(name: str, device: str) -> tuple[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]]:
    from posemamba.evaluate.mocap.benchmark import model_predictor
    from posemamba.lifting.lifter import Lifter
    from posemamba.ops.runtime.device import choose_device

    kind, _, file = name.partition(":")
    if kind in OTHERS and file:
        from posemamba.models.registry import ARCHITECTURES

        other: Any = ARCHITECTURES[kind].model.from_pretrained(file)
        if other.config.joints != len(H36M17):
            raise PoseMambaError(f"{file}: a model of {other.config.joints} joints, expected {len(H36M17)}")
        frames: int = other.config.frames
        predict = model_predictor(other.to(choose_device(device)), window=frames)

        def whole_windows(xy: NDArray[np.float32]) -> NDArray[np.float32]:  # MotionAGFormer takes no shorter clips
            missing = max(0, frames - xy.shape[1])
            return predict(np.pad(xy, ((0, 0), (0, missing), (0, 0), (0, 0)), mode="edge"))[:, : xy.shape[1]]

        return ARCHITECTURES[kind].label, whole_windows
    lifter = Lifter.from_pretrained(name, device=device)
    return lifter.name, model_predictor(
        lifter.model, window=lifter.window, flip=lifter.flip, person_size=lifter.person_size, batch=1
    )


def parse_frames(text: str, count: int) -> list[int]:
    """``10,50,90``: frames of a clip, from 0.

    Raises:
        PoseMambaError: other text, or a frame that the clip has not.
    """
    frames = []
    for part in text.split(","):
        if not part.strip().isdigit():
            raise PoseMambaError(f"--frames is '{text}', expected numbers with commas, e.g. 10,50,90")
        frames.append(int(part))
    if beyond := [f for f in frames if f >= count]:
        raise PoseMambaError(f"--frames: there is no frame {beyond[0]}, the clip has 0 to {count - 1}")
    return frames


def plot_comparison(path: str | Path, comparison: Comparison, frames: Sequence[int]) -> None:
    """Draw it: a row for each frame, the 2D input and then a column for each method.

    With the truth, that is drawn in grey below each method's pose, a thin line joins each joint with its true place,
    the worst joint is circled, and the worst three have their error beside them where there is room. 3D poses are
    seen from 35 degrees to the camera's right, a little above it, all panels of a row at one scale.

    Raises:
        PoseMambaError: matplotlib is not installed, or the file cannot be written.
    """
    from posemamba.utils.plotting import check_plot_file

    path = Path(path)
    check_plot_file(path)
    require("matplotlib", "plot")
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    columns = 1 + len(comparison.methods)
    figure = Figure(figsize=(2.9 * columns, 3.3 * len(frames) + 0.7), dpi=130)
    grid: Any = figure.subplots(len(frames), columns, squeeze=False)
    figure.subplots_adjust(
        left=0.4 / figure.get_figwidth(), right=0.995, bottom=0.012, top=1 - 0.95 / figure.get_figheight(),
        wspace=0.03, hspace=0.035,
    )  # fmt: skip
    for row, frame in zip(grid, frames, strict=True):
        _draw_input(row[0], comparison.clip.xy[frame])
        row[0].set_ylabel(f"frame {frame}", fontsize=10)
        truth = None if comparison.truth is None else comparison.truth[frame]
        shown = [m.xyz[frame] for m in comparison.methods] + ([] if truth is None else [truth])
        corners = np.concatenate([_seen_from_the_side(p) for p in shown if np.isfinite(p).all()] or [np.zeros((1, 2))])
        middle, reach = (corners.max(0) + corners.min(0)) / 2, 0.58 * max(float(np.ptp(corners, axis=0).max()), 1e-6)
        for ax, method in zip(row[1:], comparison.methods, strict=True):
            errors = None if truth is None else comparison.errors(method)[frame]
            _draw_pose(ax, method.xyz[frame], truth, errors)
            ax.set_xlim(middle[0] - reach, middle[0] + reach)
            ax.set_ylim(middle[1] + reach, middle[1] - reach)
    grid[0][0].set_title("input", fontsize=11)
    for ax, method in zip(grid[0][1:], comparison.methods, strict=True):
        ax.set_title(method.name, fontsize=11)
    left, right, _ = ONE_ON_PAPER
    handles = [
        Line2D([], [], color=_css(left), lw=3, label="left"),
        Line2D([], [], color=_css(right), lw=3, label="right"),
    ]
    if comparison.truth is not None:
        handles += [
            Line2D([], [], color=_TRUTH, lw=3, label="truth"),
            Line2D([], [], color=_WRONG, lw=1, label="error"),
            Line2D([], [], color=_WRONG, marker="o", mfc="none", ms=9, lw=0, label="worst joint"),
        ]
    figure.legend(handles=handles, loc="upper right", ncols=len(handles), frameon=False, fontsize=9)
    figure.text(0.012, 1 - 0.28 / figure.get_figheight(), comparison.clip.name, fontsize=11)
    try:
        with atomic_path(path) as temporary:
            figure.savefig(temporary)
    except OSError as error:
        raise PoseMambaError(f"{path}: cannot write there ({error.strerror or error})") from error


def _css(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _sides() -> list[str]:
    left, right, middle = (_css(c) for c in ONE_ON_PAPER)
    return [left if n.startswith("left") else right if n.startswith("right") else middle for n in H36M17.joints]


def _seen_from_the_side(xyz: NDArray[np.floating]) -> NDArray[np.float64]:
    """(17, 3) in the camera's frame -> (17, 2): without perspective, so that lengths can be compared."""
    x, y, z = np.moveaxis(np.asarray(xyz, np.float64), -1, 0)
    across = x * math.cos(YAW) - z * math.sin(YAW)
    away = x * math.sin(YAW) + z * math.cos(YAW)
    return np.stack([across, y * math.cos(PITCH) - away * math.sin(PITCH)], -1)


def _bones(ax: Axes, points: NDArray[np.floating], colours: Sequence[str], width: float, order: int) -> None:
    for p, j in H36M17.bones:
        ends = points[[p, j]]
        ax.plot(ends[:, 0], ends[:, 1], color=colours[j], lw=width, solid_capstyle="round", zorder=order)


def _plain(ax: Axes) -> None:
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_aspect("equal")
    for spine in ax.spines.values():
        spine.set_color("#d5d9e0")


def _draw_input(ax: Axes, xy: NDArray[np.floating]) -> None:
    _plain(ax)
    _bones(ax, xy, _sides(), 2.0, 2)
    middle, reach = (xy.max(0) + xy.min(0)) / 2, 0.58 * max(float(np.ptp(xy, axis=0).max()), 1e-6)
    ax.set_xlim(middle[0] - reach, middle[0] + reach)
    ax.set_ylim(middle[1] + reach, middle[1] - reach)


def _draw_pose(
    ax: Axes, xyz: NDArray[np.floating], truth: NDArray[np.floating] | None, errors: NDArray[np.floating] | None
) -> None:
    from matplotlib.patheffects import withStroke

    _plain(ax)
    if not np.isfinite(xyz).all():
        ax.text(0.5, 0.5, "not seen", transform=ax.transAxes, ha="center", color=_WRONG)
        return
    points = _seen_from_the_side(xyz)
    _bones(ax, points, _sides(), 2.6, 3)
    if truth is None or errors is None:
        return
    true = _seen_from_the_side(truth)
    _bones(ax, true, [_TRUTH] * len(true), 2.2, 1)
    for a, b in zip(points, true, strict=True):
        ax.plot([a[0], b[0]], [a[1], b[1]], color=_WRONG, lw=0.9, zorder=4)
    worst = np.argsort(-errors)[:_LABELS]
    ax.plot(*points[worst[0]], "o", mfc="none", mec=_WRONG, mew=1.6, ms=13, zorder=5)
    reach = float(np.ptp(np.concatenate([points, true]), axis=0).max())
    labelled: list[int] = []
    for j in worst:
        apart = [np.abs(points[j] - points[k]) / reach for k in labelled]
        if any(a[0] < 0.3 and a[1] < 0.06 for a in apart):
            continue  # it would lie on a larger one
        labelled.append(int(j))
        outwards = 1 if points[j, 0] >= points[0, 0] else -1
        ax.annotate(
            f"{errors[j]:.0f}",
            points[j],
            (9 * outwards, 0),
            textcoords="offset points",
            fontsize=8,
            color=_WRONG,
            ha="left" if outwards > 0 else "right",
            va="center",
            zorder=6,
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )
    name = H36M17.joints[int(worst[0])].replace("_", " ")
    text = f"mean {errors.mean():.0f} mm, {name} {errors[worst[0]]:.0f} mm"
    ax.text(0.5, 0.015, text, transform=ax.transAxes, ha="center", va="bottom", fontsize=8)
