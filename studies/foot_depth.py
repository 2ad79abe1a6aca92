"""The depth of heels and foot tips: ways to get it, on motion capture with feet and on a real clip of several views.

MOTIONS is a folder of ASF and AMC files (NN.asf, NN_MM.amc) and BVH files, whose feet have a tip (ltoes, or the end of
the foot in BVH). Their heel is a model: a triangle of BlazePose's proportions in the plane of shank and foot, turned so
that the sole is level while the foot rests. Each motion is seen by the benchmark's four cameras, exactly and with the
benchmark's errors of a detector, and lifted. --reference is a folder of camXX.npz (K, dist, R, t, lm (F, 33, 5) of
BlazePose) of one clip: heels and tips are triangulated from all views, and each view is lifted alone.

Every way gets the lifted leg and the two points in the picture. Ways that learn something are fitted to the other
motions. Errors are relative to the ankle, means over the views: heel and toe in millimetres, the ankle's dorsiflexion
and the sole's direction in degrees.

Shapes: F frames; 4 heels and foot tips in the order of `posemamba.poses.skeletons.FEET`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

from posemamba.data.cameras import see
from posemamba.data.mocap import bvh, cmu
from posemamba.evaluate.mocap.noise import JITTER, FixedNumbers, benchmark_detections, carried_on, unit_of
from posemamba.evaluate.mocap.scenes import CAMERAS, benchmark_cameras
from posemamba.lifting.feet import LENGTHS, foot_depths, leg_axes, most_likely, shank_lengths
from posemamba.lifting.lifter import Lifter
from posemamba.poses import Keypoints2D, NetworkPoses
from posemamba.poses.mapping import find_feet, to_h36m17
from posemamba.poses.skeletons import BLAZEPOSE33, FEET_ANKLES, FEET_SIDES, H36M17
from posemamba.utils.errors import PoseMambaError
from studies.command_line import report, study_parser

Array = NDArray[np.float64]
ANKLES = list(FEET_ANKLES)
FPS = 50.0
WIDTH = 1000
"""Pixels across the virtual pictures."""
FOOT_DIFFICULTY = 1.9
"""The benchmark's errors at a heel or tip, as a multiple of those at a shoulder; its ankles have 1.7."""
RESTS = 0.12
"""Metres a second: the highest speed of a resting ankle."""


@dataclass
class Sight:
    """One clip seen by one camera, and lifted.

    Attributes:
        clip: its name; motions that learn leave it out.
        kind: ``exact``, ``noisy`` or ``real``.
        xyz: (F, 17, 3) lifted, pixels at the pelvis's depth, in the virtual camera's axes, as all that follows.
        offsets: (F, 4, 2) from the ankle in its picture, pixels.
        true: (F, 4, 3) from the ankle, millimetres, x and y as in the picture; NaN where it is not known.
        shanks: (F, 2, 3) true shanks of the left and the right leg, ankle to knee, any unit.
        mm: (F,) millimetres per pixel at the pelvis's depth.
        body: (F, 17, 3) true joints in the unit of `true`; None for a real clip.
    """

    clip: str
    kind: str
    xyz: Array
    offsets: Array
    true: Array
    shanks: Array
    mm: Array
    body: Array | None = None


# --- motions with feet


def read_feet(path: Path) -> Array:
    """Return (F, 21, 3) joints and feet of an AMC or BVH file at 50 frames a second, metres, z up; heels by a model.

    Raises:
        PoseMambaError: the file cannot be read, or its feet have no tip.
    """
    xyz, tips, fps = _read_amc(path) if path.suffix == ".amc" else _read_bvh(path)
    body = np.concatenate([xyz, tips], 1)
    at = np.arange(0, len(body) - 1, fps / FPS)
    share = (at % 1)[:, None, None]
    body = (1 - share) * body[at.astype(int)] + share * body[at.astype(int) + 1]
    feet = np.empty((len(body), 4, 3))
    for side, (_, knee, ankle, heel, toe) in enumerate(FEET_SIDES.values()):
        feet[:, [heel, toe]] = _level_foot(body[:, knee], body[:, ankle], body[:, 17 + side])
    return np.concatenate([body[:, :17], feet], 1)


def _read_amc(path: Path) -> tuple[Array, Array, float]:
    skeleton = cmu.read_asf(path.with_name(path.stem.split("_")[0] + ".asf"))
    motion = cmu.read_amc(path, skeleton)
    ends, _ = cmu.bone_ends(skeleton, motion)
    return cmu.joints(skeleton, motion), np.stack([ends["ltoes"], ends["rtoes"]], 1) @ cmu.Z_UP.T, 120.0


def _read_bvh(path: Path) -> tuple[Array, Array, float]:
    xyz, fps, _ = bvh.read_bvh(path)
    file = bvh.read_nodes(path)
    nodes, parents = file.positions, file.parents
    found = bvh.find_joints(file.names)
    legs = [found[f"{side}_{joint}"] for side in ("right", "left") for joint in ("hip", "knee", "ankle")]
    tips = []
    for side in ("left", "right"):
        end = found[f"{side}_ankle"]
        while end in parents:
            end = parents.index(end)
        if end == found[f"{side}_ankle"]:
            raise PoseMambaError(f"{path}: the {side} foot has no tip, expected a node below the ankle")
        tips.append(nodes[:, end])
    given = np.concatenate([nodes[:, legs].reshape(-1, 3), np.ones((len(nodes) * 6, 1))], 1)
    matrix = np.linalg.lstsq(given, xyz[:, 1:7].reshape(-1, 3), rcond=None)[0]  # the file's axes and unit to metres
    placed = np.concatenate([np.stack(tips, 1), np.ones((len(nodes), 2, 1))], -1) @ matrix
    return xyz, placed, fps


def _level_foot(knee: Array, ankle: Array, tip: Array) -> Array:
    """Return a heel and the tip, (F, 2, 3), turned at the ankle so that the sole is level while the foot rests."""
    shank = float(np.median(np.linalg.norm(knee - ankle, axis=-1)))
    up, ahead = _unit(knee - ankle), _unit(tip - ankle)
    back, reach = LENGTHS[0], float(np.median(np.linalg.norm(tip - ankle, axis=-1))) / shank
    sole = reach + LENGTHS[2] - LENGTHS[1]
    cosine = np.clip((reach**2 + back**2 - sole**2) / (2 * reach * back), -1, 1)
    normal = _unit(up - (up * ahead).sum(-1, keepdims=True) * ahead)
    heel = ankle + shank * back * (cosine * ahead - np.sqrt(1 - cosine**2) * normal)
    lowest = np.minimum(heel[:, 2], tip[:, 2])
    rests = np.linalg.norm(np.gradient(ankle, axis=0), axis=-1) * FPS < RESTS
    rests &= lowest <= np.percentile(lowest, 40)
    direction = _unit(tip - heel)
    lean = float(np.median(np.arcsin(direction[rests, 2]))) if rests.any() else 0.0
    axis = _unit(np.cross(up, direction))
    placed = []
    for point in (heel, tip):
        way = point - ankle
        across = axis * (axis * way).sum(-1, keepdims=True) * (1 - np.cos(lean))
        placed.append(ankle + way * np.cos(lean) + np.cross(axis, way) * np.sin(lean) + across)
    return np.stack(placed, 1)


def _unit(v: Array) -> Array:
    return np.asarray(v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-12))


# --- sights


def motion_sights(body: Array, name: str, number: int, lifter: Lifter) -> list[Sight]:
    """Film (F, 21, 3) joints and feet by the benchmark's cameras, exactly and with a detector's errors; lift them."""
    cameras = benchmark_cameras(number)
    view = see(torch.from_numpy(body).expand(CAMERAS, -1, -1, -1), cameras)
    sights = []
    for k in range(CAMERAS):
        xy, aspect = view.xy[k].numpy(), float(cameras.aspect[k])
        mm, target = 2 * view.mm_per_unit[k].numpy() / WIDTH, view.target[k].numpy() * WIDTH / 2
        noisy, confidence = benchmark_detections(xy[:, :17], number, k)
        corner = np.array([1, aspect])
        fixed, unit = FixedNumbers(20261130, number, k), unit_of(xy[:, :17])
        slow = carried_on(fixed.normal(len(xy), 4, 2), 0.8, 0.6)
        off = unit * FOOT_DIFFICULTY * (0.015 * fixed.normal(4, 2) + JITTER * slow)
        for kind, joints, sure, feet in (
            ("exact", xy[:, :17], np.ones(xy[:, :17, 0].shape), xy[:, 17:]),
            ("noisy", noisy, confidence, xy[:, 17:] + off),
        ):
            pixels = (joints + corner) * WIDTH / 2
            keypoints = Keypoints2D(pixels, sure, H36M17, (WIDTH, round(WIDTH * aspect)), FPS)
            feet = (feet + corner) * WIDTH / 2
            places = 1000 * view.camera_xyz[k].numpy()
            body_mm = target[:, :17] * mm[:, None, None]
            sights.append(_sight(name, kind, lifter(keypoints), pixels[:, ANKLES], feet, places, mm, body_mm))
    return sights


def _sight(
    clip: str,
    kind: str,
    poses: NetworkPoses,
    ankles: Array,
    feet: Array,
    places: Array,
    mm: Array,
    body: Array | None = None,
) -> Sight:
    """Make a sight of what the real camera sees, in the picture and the axes of the virtual one that lifted.

    Args:
        ankles, feet: (F, 4, 2) pixels of the real picture.
        places: (F, 21, 3) true joints and feet, millimetres in the real camera's axes; only pelvis, knees, ankles and
            feet count.
        mm: (F,) millimetres per pixel of the real picture at the pelvis's depth.
    """
    camera = poses.camera
    pelvis = np.concatenate([(poses.keypoints.xy[:, :1] - camera.centre) / camera.focal, np.ones((len(mm), 1, 1))], -1)
    turned = camera.turn(places)
    turned[..., :2] *= turned[:, :1, 2:] / turned[..., 2:]  # as in the picture at the pelvis's depth
    return Sight(
        clip,
        kind,
        poses.xyz.astype(float),
        camera.see(feet) - camera.see(ankles),
        turned[:, 17:] - turned[:, ANKLES],
        np.stack([turned[:, 5] - turned[:, 6], turned[:, 2] - turned[:, 3]], 1),
        mm * camera.turn(pelvis)[:, 0, 2],
        None if body is None else camera.turn(body),
    )


def real_sights(folder: Path, lifter: Lifter) -> list[Sight]:
    """Lift each view of a real clip, and triangulate heels, tips, ankles and knees from all of them.

    Raises:
        PoseMambaError: the folder has fewer than three cam*.npz, or they lack an array.
    """
    files = sorted(folder.glob("cam*.npz"))
    if len(files) < 3:
        raise PoseMambaError(f"{folder}: has {len(files)} files cam*.npz, expected three views or more")
    names = ("K", "dist", "R", "t", "lm", "width", "height", "fps", "ref")
    try:
        views = [{name: np.asarray(np.load(file)[name]) for name in names} for file in files]
    except KeyError as error:
        raise PoseMambaError(f"{folder}: {error}; expected K, dist, R, t, lm, width, height, fps and ref") from None
    joints = [BLAZEPOSE33.joints.index(f"{side}_{part}") for side in ("right", "left") for part in ("knee", "ankle")]
    feet = [BLAZEPOSE33.joints.index(f"{side}_{part}") for side in ("right", "left") for part in ("heel", "toe")]
    world = _triangulated(views, [*joints, *feet])
    sights = []
    for view in views:
        size = int(view["width"]), int(view["height"])
        detected = Keypoints2D(view["lm"][..., :2], view["lm"][..., 3], BLAZEPOSE33, size, float(view["fps"]))
        flat, points = to_h36m17(detected), find_feet(detected)
        assert points is not None
        places = np.full((len(world), 21, 3), np.nan)
        places[:, 0] = 1000 * view["ref"][:, 0]
        places[:, [2, 3, 5, 6, *range(17, 21)]] = 1000 * (world @ view["R"].T + view["t"])
        mm = places[:, 0, 2] / view["K"][0, 0]
        ankles, feet_xy = flat.xy[:, ANKLES].astype(float), points.xy.astype(float)
        sights.append(_sight("real", "real", lifter(detected), ankles, feet_xy, places, mm))
    return sights


def _triangulated(views: Sequence[dict[str, NDArray]], landmarks: list[int]) -> Array:
    """Return (F, N, 3) landmarks in the world, of all views that agree to 15 pixels; NaN where fewer than three do.

    Landmarks of a visibility below 0.3 do not count.
    """
    found = []
    for view in views:
        focal, centre = view["K"][[0, 1], [0, 1]], view["K"][:2, 2]
        seen = (view["lm"][:, landmarks, :2] - centre) / focal
        plain, (k1, k2, p1, p2) = seen.copy(), view["dist"]
        for _ in range(20):
            r2, product = (plain**2).sum(-1, keepdims=True), plain[..., :1] * plain[..., 1:]
            bent = plain * (1 + k1 * r2 + k2 * r2**2) + np.concatenate(
                [2 * p1 * product + p2 * (r2 + 2 * plain[..., :1] ** 2), p1 * (r2 + 2 * plain[..., 1:] ** 2)
                 + 2 * p2 * product], -1)  # fmt: skip
            plain = plain - (bent - seen)
        found.append(plain)
    sure = np.stack([view["lm"][:, landmarks, 3] >= 0.3 for view in views])
    lines, cameras = np.stack(found), [np.concatenate([v["R"], v["t"][:, None]], 1) for v in views]
    use = sure & np.isfinite(lines).all(-1)
    lines = np.where(use[..., None], lines, 0.0)
    for _ in range(len(views) - 2):
        rows = np.stack([x[..., None] * c[2] - c[:2] for x, c in zip(lines, cameras, strict=True)])
        rows = np.moveaxis(rows * use[..., None, None], 0, -3).reshape(*lines.shape[1:3], -1, 4)
        point = np.linalg.svd(rows)[2][..., -1, :]
        point = point[..., :3] / point[..., 3:]
        off = []
        for x, c, view in zip(lines, cameras, views, strict=True):
            seen = point @ c[:, :3].T + c[:, 3]
            off.append(np.linalg.norm(seen[..., :2] / seen[..., 2:] - x, axis=-1) * view["K"][0, 0])
        error = np.where(use, np.stack(off), 0)
        bad = (error.max(0) > 15) & (use.sum(0) > 3)
        worst = np.argmax(error, 0)
        use &= ~(bad & (np.arange(len(views))[:, None, None] == worst))
    return np.where(((error.max(0) <= 20) & (use.sum(0) >= 3))[..., None], point, np.nan)


# --- ways to get the depth: (F, 17, 3) lifted joints and (F, 4, 2) offsets to (F, 4)

Way = Callable[[Array, Array], Array]
Learn = Callable[[Sequence[Sight]], Way]


def flat(xyz: Array, offsets: Array) -> Array:
    """Put the points at the ankle's depth."""
    return np.zeros(offsets.shape[:2])


def by_feet(solve: Callable[[Array, Array, Array], Array]) -> Way:
    """Make a way of a solver for one foot: axes (F, 3, 3), places (F, 2, 2) and legs (F, 3) to (F, 2, 3) vectors."""

    def way(xyz: Array, offsets: Array) -> Array:
        depth, size = np.zeros(offsets.shape[:2]), shank_lengths(xyz)
        for side, (hip, knee, ankle, heel, toe) in FEET_SIDES.items():
            axes = leg_axes(xyz, hip, knee, ankle, 1.0 if side == "left" else -1.0)
            places = offsets[:, [heel, toe]] / size[:, None, None]
            depth[:, [heel, toe]] = solve(axes, places, _legs(xyz, axes, side))[..., 2] * size[:, None]
        return depth

    return way


def _legs(xyz: Array, axes: Array, side: str) -> Array:
    """Return what may tell the foot's angle: 1, the knee's flexion, the ankle's place from the other one, (F, 4)."""
    hip, knee, ankle, _, _ = FEET_SIDES[side]
    other = FEET_SIDES["right" if side == "left" else "left"][2]
    bent = np.arccos(np.clip((_unit(xyz[:, hip] - xyz[:, knee]) * axes[..., 2]).sum(-1), -1, 1))
    apart = (xyz[:, ankle] - xyz[:, other]) / shank_lengths(xyz)[:, None]
    return np.stack([np.ones(len(xyz)), bent, (apart * axes[..., 0]).sum(-1), (apart * axes[..., 2]).sum(-1)], -1)


def learn_gaussian(sights: Sequence[Sight], columns: int = 1, rounds: int = 3) -> Way:
    """Fit the mean, as a linear function of the first `columns` of `_legs`, and the covariance to exact sights."""
    given, wanted = [], []
    for sight in sights:
        if sight.kind == "exact" and sight.body is not None:
            size = shank_lengths(sight.body)[:, None]
            for side, (hip, knee, ankle, heel, toe) in FEET_SIDES.items():
                axes = leg_axes(sight.body, hip, knee, ankle, 1.0 if side == "left" else -1.0)
                local = [np.einsum("fij,fi->fj", axes, sight.true[:, point] / size) for point in (heel, toe)]
                given.append(_legs(sight.body, axes, side)[:, :columns])
                wanted.append(np.concatenate(local, 1))
    x, y = np.concatenate(given), np.concatenate(wanted)
    matrix = np.linalg.lstsq(x, y, rcond=None)[0]
    covariance = np.cov((y - x @ matrix).T)

    def solve(axes: Array, places: Array, legs: Array) -> Array:
        known = np.isfinite(places).all(-1)
        mean = legs[:, :columns] @ matrix
        return most_likely(
            axes, np.where(known[..., None], places, 0), known, mean=mean, covariance=covariance, rounds=rounds
        )

    return by_feet(solve)


def rigid(axes: Array, places: Array, legs: Array) -> Array:
    """Turn a rigid triangle of `LENGTHS` so that it fits: pitch, yaw, roll and size, held by what ankles do.

    Levenberg and Marquardt's iteration from three pitches; the best of them.
    """
    back, reach, sole = LENGTHS
    behind = -(back**2 + sole**2 - reach**2) / (2 * sole)
    low = -np.sqrt(back**2 - behind**2)
    points = np.array([[behind, 0, low], [behind + sole, 0, low]])
    mean = np.array([np.radians(5), np.radians(5), 0, 0])
    spread = np.array([*np.radians([20, 13, 8]), 0.06])

    def vectors(x: Array) -> Array:
        cp, sp, cy, sy, cr, sr = (f(x[:, i])[:, None] for i in range(3) for f in (np.cos, np.sin))
        ahead, out, up = axes[..., 0], axes[..., 1], axes[..., 2]
        level, aside = cy * ahead + sy * out, cy * out - sy * ahead
        turned = np.stack([cp * level + sp * up, cr * aside + sr * (cp * up - sp * level)], -1)
        turned = np.concatenate([turned, (cr * (cp * up - sp * level) - sr * aside)[..., None]], -1)
        return np.exp(x[:, 3])[:, None, None] * np.einsum("fij,pj->fpi", turned, points)

    def residuals(x: Array) -> Array:
        off = np.nan_to_num(vectors(x)[..., :2] - places) / 0.05
        return np.concatenate([off.reshape(len(x), 4), (x - mean) / spread], 1)

    best = np.tile(mean, (len(axes), 1))
    least = np.full(len(axes), np.inf)
    for start in np.radians([-25, 5, 30]):
        x = np.tile(mean, (len(axes), 1))
        x[:, 0] = start
        damping, r = np.full(len(x), 1e-2), residuals(x)
        for _ in range(8):
            slope = np.stack([(residuals(x + step) - r) / 1e-4 for step in 1e-4 * np.eye(4)], -1)
            square = slope.transpose(0, 2, 1) @ slope
            square += damping[:, None, None] * square * np.eye(4)
            step = np.linalg.solve(square, slope.transpose(0, 2, 1) @ r[..., None])[..., 0]
            new = x - np.clip(step, -0.6, 0.6)
            better = (residuals(new) ** 2).sum(1) < (r**2).sum(1)
            x = np.where(better[:, None], new, x)
            r, damping = residuals(x), np.where(better, damping / 4, damping * 6)
        better = (r**2).sum(1) < least
        best, least = np.where(better[:, None], x, best), np.where(better, (r**2).sum(1), least)
    return vectors(best)


WAYS: dict[str, Learn] = {
    "the ankle's depth": lambda sights: flat,
    "a typical foot": lambda sights: by_feet(
        lambda axes, places, legs: most_likely(axes, 0 * places, np.zeros(places.shape[:2], bool))
    ),
    "a rigid foot, turned to fit": lambda sights: by_feet(rigid),
    "mean and covariance": lambda sights: learn_gaussian(sights, rounds=0),
    "and lengths": learn_gaussian,
    "and knee and stride": lambda sights: learn_gaussian(sights, columns=4),
    "as it is lifted (posemamba.lifting.feet)": lambda sights: foot_depths,
}


# --- errors


def errors(sight: Sight, way: Way) -> tuple[float, float, float, float]:
    """Return the mean errors of heel and toe (mm), of the ankle's angle and of the sole's direction (degrees)."""
    offsets = np.concatenate([sight.offsets, way(sight.xyz, sight.offsets)[..., None]], -1)
    vectors = offsets * sight.mm[:, None, None]
    off = np.linalg.norm(vectors - sight.true, axis=-1)
    ours, theirs = ankle_angles(sight.xyz, vectors), ankle_angles(None, sight.true, sight.shanks)
    turned = []
    for _, _, _, heel, toe in FEET_SIDES.values():
        a, b = _unit(vectors[:, toe] - vectors[:, heel]), _unit(sight.true[:, toe] - sight.true[:, heel])
        turned.append(np.degrees(np.arccos(np.clip((a * b).sum(-1), -1, 1))))
    return (
        float(np.nanmean(off[:, ::2])),
        float(np.nanmean(off[:, 1::2])),
        float(np.nanmean(np.abs(ours - theirs))),
        float(np.nanmean(turned)),
    )


def ankle_angles(xyz: Array | None, feet: Array, shanks: Array | None = None) -> Array:
    """Return the dorsiflexion of the left and the right ankle, (F, 2) degrees."""
    if shanks is None:
        assert xyz is not None
        shanks = np.stack([xyz[:, knee] - xyz[:, ankle] for _, knee, ankle, _, _ in FEET_SIDES.values()], 1)
    soles = np.stack([feet[:, toe] - feet[:, heel] for _, _, _, heel, toe in FEET_SIDES.values()], 1)
    return np.degrees(np.arcsin(np.clip((_unit(shanks) * _unit(soles)).sum(-1), -1, 1)))


def agreement(sights: Sequence[Sight], way: Way, fps: float = 60.0) -> str:
    """Describe how smoothed ankle angles follow the truth: correlation, constant and remaining difference, degrees."""
    rows = []
    for sight in sights:
        vectors = np.concatenate([sight.offsets, way(sight.xyz, sight.offsets)[..., None]], -1)
        for ours, theirs in zip(
            ankle_angles(sight.xyz, vectors).T, ankle_angles(None, sight.true, sight.shanks).T, strict=True
        ):
            smooth = [_smoothed(angle, fps) for angle in (ours, theirs)]
            gap = smooth[0] - smooth[1]
            rows.append((np.corrcoef(*smooth)[0, 1], abs(gap.mean()), gap.std()))
    correlation, constant, rest = np.mean(rows, 0)
    most = np.max(rows, 0)[1]
    return (
        f"correlation {correlation:.2f}, constant off by {constant:.1f} (at most {most:.1f}), else by {rest:.1f} "
        "(standard deviation)"
    )


def shank_errors(sights: Sequence[Sight]) -> Array:
    """Return how far the lifted shanks' directions are off, (sights, 2) degrees, mean of the frames."""
    found = []
    for sight in sights:
        ours = np.stack([sight.xyz[:, knee] - sight.xyz[:, ankle] for _, knee, ankle, _, _ in FEET_SIDES.values()], 1)
        cosine = np.clip((_unit(ours) * _unit(sight.shanks)).sum(-1), -1, 1)
        found.append(np.nanmean(np.degrees(np.arccos(cosine)), 0))
    return np.array(found)


def _smoothed(values: Array, fps: float) -> Array:
    """Return (F,) values after Butterworth's filter at 4 hertz, gaps interpolated."""
    at = np.arange(len(values))
    known = np.isfinite(values)
    return np.asarray(sosfiltfilt(butter(2, 4 / (fps / 2), output="sos"), np.interp(at, at[known], values[known])))


def run(motions: Path, reference: Path | None, weights: str) -> None:
    """Measure and print.

    Raises:
        PoseMambaError: a folder has no motions or views, or a file cannot be read.
    """
    files = sorted([*motions.glob("*.amc"), *motions.glob("*.bvh")])
    if len(files) < 2:  # ways that learn are fitted to the others
        raise PoseMambaError(
            f"{motions}: {len(files)} motions in it, expected two or more, NN_MM.amc with NN.asf, or BVH files"
        )
    lifter = Lifter.from_pretrained(weights, device="cpu")
    sights: list[Sight] = []
    for number, file in enumerate(files):
        body = read_feet(file)
        print(f"{file.stem}: {len(body)} frames", file=sys.stderr, flush=True)
        sights += motion_sights(body, file.stem, number, lifter)
    if reference is not None:
        sights += real_sights(reference, lifter)
    kinds = list(dict.fromkeys(sight.kind for sight in sights))
    print(f"heel mm, toe mm, ankle deg, sole deg; {lifter.name}")
    print("| way |" + "".join(f" {kind} |" for kind in kinds))
    print("|---|" + "---|" * len(kinds))
    for name, learn in WAYS.items():
        cells = []
        for kind in kinds:
            rows = []
            for clip in dict.fromkeys(sight.clip for sight in sights if sight.kind == kind):
                way = learn([sight for sight in sights if sight.clip != clip])
                rows += [errors(sight, way) for sight in sights if sight.clip == clip and sight.kind == kind]
            cells.append(" / ".join(f"{value:.1f}" for value in np.mean(rows, 0)))
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    if reference is not None:
        real = [sight for sight in sights if sight.kind == "real"]
        for name in ("a typical foot", "as it is lifted (posemamba.lifting.feet)"):
            print(f"real, {name}: {agreement(real, WAYS[name](sights))}")
        off = shank_errors(real)
        print(f"real, lifted shanks: directions off by {off.min():.1f} to {off.max():.1f} degrees, by view and leg")
    learned = np.concatenate([_local(sight) for sight in sights if sight.kind == "exact"])
    print("mean", learned.mean(0).round(3).tolist())
    print("covariance, 1e-4", (1e4 * np.cov(learned.T)).round(1).tolist())


def _local(sight: Sight) -> Array:
    """Return the true vectors from ankle to heel and toe in the leg's frame, (2 F, 6) in shank lengths."""
    assert sight.body is not None
    size, rows = shank_lengths(sight.body)[:, None], []
    for side, (hip, knee, ankle, heel, toe) in FEET_SIDES.items():
        axes = leg_axes(sight.body, hip, knee, ankle, 1.0 if side == "left" else -1.0)
        local = [np.einsum("fij,fi->fj", axes, sight.true[:, point] / size) for point in (heel, toe)]
        rows.append(np.concatenate(local, 1))
    return np.concatenate(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study; returns the exit status."""
    parser = study_parser("foot_depth", __doc__)
    parser.add_argument("motions", type=Path, metavar="MOTIONS", help="folder of ASF, AMC and BVH files")
    parser.add_argument("--reference", type=Path, help="folder of camXX.npz of a real clip of several views")
    parser.add_argument("--weights", default="posemamba-s", help="name or file (default: posemamba-s)")
    options = parser.parse_args(arguments)
    return report(lambda: run(options.motions, options.reference, options.weights))


if __name__ == "__main__":
    sys.exit(main())
