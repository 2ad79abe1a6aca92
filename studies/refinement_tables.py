"""Measure the errors of refinement, and print the tables of docs/refine.md.

The input is motion capture seen by the benchmark's cameras: at most 5 s of each clip, from camera i mod 4 for clip i.
Rows named "lifted" start from 2D joints with the benchmark's noise and confidence, rows named "truth" from exact poses.
Settings are chosen on the validation subjects; errors are stated for the test subjects.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from posemamba.data.cameras import Cameras, see
from posemamba.data.mocap.motions import load_motions
from posemamba.evaluate.mocap.noise import benchmark_detections
from posemamba.evaluate.mocap.scenes import CAMERAS, benchmark_cameras
from posemamba.lifting.lifter import Lifter
from posemamba.poses import Keypoints2D, NetworkPoses, Poses3D
from posemamba.poses.skeletons import H36M17
from posemamba.poses.virtual_camera import Lens, VirtualCamera
from posemamba.refine.bones import steady_bones
from posemamba.refine.common import Mask, body_length, bone_lengths, true_spans
from posemamba.refine.feet import steady_feet
from posemamba.refine.metres import to_metres
from posemamba.refine.root_path import root_path
from posemamba.refine.scale import BODY_LENGTH, scale
from posemamba.refine.smooth import Method, smooth
from posemamba.refine.stances import STANDS_SECONDS, standing
from posemamba.refine.upright import level_axes, upright
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.tables import markdown_table
from studies.command_line import add_benchmark_options, every_nth_clip, report, study_parser

Array = NDArray[np.float64]
SECONDS = 5.0
WIDTH = 1000  # pixels; any
STANDS = 0.1
"""Metres a second: slower than that an ankle truly stands."""
PITCHES = (-30.0, -20.0, -10.0, 0.0, 10.0, 20.0, 30.0)


@dataclass
class Shot:
    """One clip as one camera sees it.

    Attributes:
        truth: exact poses with exact 2D joints, pixels.
        noisy: 2D joints with the benchmark's noise and confidence; NaN where the detector lost one.
        camera_xyz: (F, 17, 3) metres.
        mm_per_pixel: (F,) at the pelvis's depth.
        height: standing height of this body, metres, by the share that `scale` uses.
        pitch, roll: of the camera, degrees.
    """

    truth: NetworkPoses
    noisy: Keypoints2D
    camera_xyz: Array
    mm_per_pixel: Array
    height: float
    pitch: float
    roll: float

    @property
    def lens(self) -> Lens:
        """The camera's true lens."""
        return Lens(self.truth.camera.focal, "given")

    def exact(self) -> Keypoints2D:
        """The exact 2D joints, all certain."""
        return replace(self.noisy, xy=self.truth.keypoints.xy, confidence=np.ones_like(self.noisy.confidence))

    def placed(self, poses: NetworkPoses) -> Poses3D:
        """Metres with the true height."""
        return to_metres(poses, self.height)

    def off(self, poses: Poses3D) -> Array:
        """(F, 17, 3) metres by which joints are off, relative to the pelvis."""
        apart = poses.xyz.astype(np.float64) - self.camera_xyz
        return np.asarray(apart - apart[:, :1])


def make_shot(body: NDArray[np.floating], fps: float, cameras: Cameras, number: int, k: int) -> Shot:
    """See (F, 17, 3) metres with camera k of `cameras`."""
    one = Cameras(**{name: value[k : k + 1] for name, value in vars(cameras).items()})
    view = see(torch.from_numpy(body.astype(np.float64))[None], one)
    exact = view.xy[0].numpy()
    size = (WIDTH, max(1, round(WIDTH * float(one.aspect[0]))))
    half = WIDTH / 2

    def keypoints(xy: Array, confidence: NDArray[np.floating]) -> Keypoints2D:
        pixels = np.where(confidence[..., None] > 0, xy * half + [half, size[1] / 2], np.nan)
        return Keypoints2D(pixels.astype(np.float32), confidence.astype(np.float32), H36M17, size, fps)

    found = np.ones(exact.shape[:2], np.float32)
    truth = NetworkPoses(
        (view.target[0].numpy() * half).astype(np.float32),
        found,
        np.ones(len(exact), bool),
        keypoints(exact, found),
        camera=VirtualCamera.unturned(size, Lens(float(one.focal[0]) * WIDTH, "given")),
    )
    camera_xyz = view.camera_xyz[0].numpy()
    return Shot(
        truth,
        keypoints(*benchmark_detections(exact, number, k)),
        camera_xyz,
        view.mm_per_unit[0].numpy() / half,
        body_length(np.median(bone_lengths(camera_xyz), 0)) / BODY_LENGTH,
        math.degrees(float(one.pitch[0])),
        math.degrees(float(one.roll[0])),
    )


def shots(split: str, *, every: int = 1, change: Callable[[Cameras], Cameras] = lambda c: c) -> Iterator[Shot]:
    """One shot of each clip, or of each `every`-th; `change` changes the benchmark's cameras."""
    motions = load_motions(None, split)
    for i in range(0, len(motions), every):
        body = motions.clip(i)
        length = min(len(body), round(SECONDS * motions.fps))
        start = (len(body) - length) // 2
        yield make_shot(body[start : start + length], motions.fps, change(benchmark_cameras(i)), i, i % CAMERAS)


def jittered(shot: Shot, seed: int, deviation_mm: float = 15.0) -> NetworkPoses:
    """The exact pose with noise that stays alike from frame to frame (correlation 0.8), as a lifting's does."""
    random = np.random.default_rng(seed)
    noise = random.normal(size=shot.truth.xyz.shape)
    for f in range(1, len(noise)):
        noise[f] = 0.8 * noise[f - 1] + 0.6 * noise[f]
    noise[:, 0] = 0
    xyz = shot.truth.xyz + noise * deviation_mm / shot.mm_per_pixel[:, None, None]
    return replace(shot.truth, xyz=xyz.astype(np.float32))


def measure_smoothing(weights: str, split: str, every: int) -> str:
    """Position and acceleration error of each method and strength, lifted and truth with noise."""
    lifter = Lifter.from_pretrained(weights)
    settings: list[tuple[str, Callable[[Poses3D], Poses3D]]] = [("none", lambda m: m)]

    def add(name: str, method: Method, cutoff: float, beta: float | None = None, both: bool = True) -> None:
        settings.append((name, lambda m: smooth(m, method, cutoff, beta=beta, both_ways=both)))

    for hertz in (2.0, 3.0, 4.0, 5.0, 6.0, 8.0):
        add(f"butterworth {hertz:g} Hz", "butterworth", hertz)
    for hertz in (2.0, 3.0, 4.0, 5.0, 6.0, 8.0):
        add(f"savitzky-golay {hertz:g} Hz", "savitzky-golay", hertz)
    for hertz, beta in ((1, 5), (1, 15), (2, 0), (2, 5), (2, 15), (3, 5), (5, 5)):
        add(f"one-euro {hertz} Hz, beta {beta}", "one-euro", hertz, beta)
    for hertz, beta in ((1, 15), (2, 5), (3, 15), (5, 15)):
        add(f"one-euro {hertz} Hz, beta {beta}, forward only", "one-euro", hertz, beta, False)
    sums = np.zeros((len(settings), 4))
    frames = 0
    for number, shot in enumerate(shots(split, every=every)):
        frames += len(shot.camera_xyz)
        inputs = [shot.placed(lifter(shot.noisy, lens=shot.lens)), shot.placed(jittered(shot, number))]
        for s, (_, apply) in enumerate(settings):
            for v, motion in enumerate(inputs):
                off = 1000 * shot.off(apply(motion))
                bend = np.diff(off, n=2, axis=0) * shot.truth.fps**2 / 1000
                sums[s, 2 * v] += np.linalg.norm(off, axis=-1).mean() * len(off)
                sums[s, 2 * v + 1] += np.linalg.norm(bend, axis=-1).mean() * len(off)
    means = sums / frames
    rows = [
        [name, *(f"{m:.1f}" if i % 2 == 0 else f"{m:.2f}" for i, m in enumerate(mean))]
        for (name, _), mean in zip(settings, means, strict=True)
    ]
    columns = ["", "lifted: mm", "lifted: m/s²", "truth and noise: mm", "truth and noise: m/s²"]
    return f"{split}, {frames} frames, weights {weights}\n\n" + markdown_table(columns, rows)


def measure_root(weights: str, split: str, every: int) -> str:
    """Error of the pelvis's place and path, and of all joints, with the field of view known and guessed."""
    lifter = Lifter.from_pretrained(weights)
    found: dict[tuple[str, str], list[tuple[float, ...]]] = {}
    sizes = []
    for shot in shots(split, every=every):
        known, guessed = lifter(shot.noisy, lens=shot.lens), lifter(shot.noisy)
        unknown = replace(shot.truth, camera=None)
        sizes.append(len(known))
        for kind, told, untold in (("truth", shot.truth, unknown), ("lifted", known, guessed)):
            for cutoff in (0.25, 1.0):
                for name, poses, height in (
                    ("known, height known", told, shot.height),
                    ("guessed, height known", untold, shot.height),
                    ("guessed, typical height", untold, None),
                ):
                    metric = scale(Poses3D.raw(poses), height, cutoff=cutoff)
                    motion = root_path(metric, depth_cutoff=cutoff)
                    off = motion.xyz - shot.camera_xyz
                    root = off[:, 0]
                    # as seen from where the path begins and ends: what remains of a constant shift is no error
                    path = root - root.mean(0)
                    pose = off - off[:, :1]
                    found.setdefault((kind, f"{name}, {cutoff:g} Hz"), []).append(
                        (
                            100 * float(np.linalg.norm(root, axis=-1).mean()),
                            100 * float(np.linalg.norm(path, axis=-1).mean()),
                            100 * float(np.linalg.norm(root[:, :2], axis=-1).mean()),
                            100 * float(np.linalg.norm(pose, axis=-1).mean()),
                            100 * float(np.mean(np.abs(root[:, 2]) / shot.camera_xyz[:, 0, 2])),
                            float(motion.steps[-1].report["reprojection_median_px"]),
                        )
                    )
    rows = []
    for (kind, name), values in found.items():
        mean = np.average(values, axis=0, weights=sizes)
        median = np.median([v[0] for v in values])
        cells = [mean[0], median, *mean[1:]]
        rows.append([kind, name, *(f"{c:.1f}" for c in cells)])
    columns = [
        "pose",
        "field of view; depth's cutoff",
        "root, cm",
        "median clip",
        "path, cm",
        "root across, cm",
        "joints to root, cm",
        "distance, %",
        "reprojection, px of 1000",
    ]
    return f"{split}, {len(sizes)} clips, {sum(sizes)} frames, weights {weights}\n\n" + markdown_table(columns, rows)


def measure_bones(weights: str, split: str, every: int) -> str:
    """What steady bones do to the error of the pose in metres, and to the bones' lengths."""
    lifter = Lifter.from_pretrained(weights)
    found: dict[str, list[tuple[float, ...]]] = {}
    sizes = []
    for shot in shots(split, every=every):
        body = shot.camera_xyz - shot.camera_xyz[:, :1]
        true = np.median(bone_lengths(body), 0)
        sizes.append(len(body))
        for kind, poses in (
            ("truth", shot.truth),
            ("lifted, exact 2D", lifter(shot.exact(), lens=shot.lens)),
            ("lifted, noisy 2D", lifter(shot.noisy, lens=shot.lens)),
        ):
            plain = smooth(shot.placed(poses))
            for name, motion in (("as they are", plain), ("steady", steady_bones(plain))):
                pose = (motion.xyz - motion.xyz[:, :1]).astype(np.float64)
                bones = bone_lengths(pose)
                found.setdefault(f"{kind}: {name}", []).append(
                    (
                        1000 * float(np.linalg.norm(pose - body, axis=-1).mean()),
                        100 * float((bones.std(0) / bones.mean(0)).mean()),
                        1000 * float(np.abs(np.median(bones, 0) - true).mean()),
                    )
                )
    rows = []
    for name, values in found.items():
        mean = np.average(values, axis=0, weights=sizes)
        rows.append([name, *(f"{m:.1f}" for m in mean)])
    columns = ["", "joints to pelvis, mm", "bones vary by, %", "their lengths off by, mm"]
    return f"{split}, {len(sizes)} clips, {sum(sizes)} frames, weights {weights}\n\n" + markdown_table(columns, rows)


def _stands(ankle: Array, fps: float) -> Mask:
    """(F,) frames in which an ankle, (F, 3) metres, truly stands: slower than `STANDS` for `STANDS_SECONDS`."""
    slow = np.linalg.norm(np.gradient(ankle, axis=0), axis=-1) * fps < STANDS
    out = np.zeros(len(ankle), bool)
    for a, b in true_spans(slow):
        out[a:b] = (b - 1 - a) / fps >= STANDS_SECONDS - 1e-6
    return out


def _excursions(places: Array, standing: Mask) -> list[Array]:
    """How far, in cm, places (F, 3) lie from their median, of each stance."""
    found = [places[a:b] for a, b in true_spans(standing, 3)]
    return [100 * np.linalg.norm(place - np.median(place, axis=0), axis=-1) for place in found]


def measure_feet(weights: str, split: str, every: int) -> str:
    """What steady feet do to standing ankles, to the pose and to the path, and how well stances are found."""
    lifter = Lifter.from_pretrained(weights)
    return feet_table(
        f"{split}, weights {weights}",
        (
            (
                shot,
                {
                    "truth": shot.truth,
                    "lifted, exact 2D": lifter(shot.exact(), lens=shot.lens),
                    "lifted, noisy 2D": lifter(shot.noisy, lens=shot.lens),
                },
            )
            for shot in shots(split, every=every)
        ),
    )


def feet_table(title: str, lifted: Iterable[tuple[Shot, dict[str, NetworkPoses]]]) -> str:
    """The table of `measure_feet` over shots with poses by kind."""
    means: dict[str, list[tuple[float, ...]]] = {}
    moved: dict[str, list[Array]] = {}
    found: dict[str, list[float]] = {}
    stances: dict[str, Array] = {}
    sizes, stood = [], [0.0, 0.0]
    for shot, kinds in lifted:
        fps, body = shot.truth.fps, shot.camera_xyz
        sizes.append(len(body))
        stands = [_stands(body[:, j], fps) for j in (3, 6)]
        stood[0] += (stands[0].sum() + stands[1].sum()) / fps
        stood[1] += (stands[0] & stands[1]).sum() / fps
        for kind, poses in kinds.items():
            plain = smooth(shot.placed(poses))
            taken = [on > 0 for on in standing(plain).T]
            tally = stances.setdefault(kind, np.zeros(3))
            for j, truly, on in zip((3, 6), stands, taken, strict=True):
                slow = np.linalg.norm(np.gradient(body[:, j], axis=0), axis=-1) * fps < 2 * STANDS
                tally += np.array([(truly & on).sum(), on.sum(), (on & slow).sum()]) / fps
            for name, motion in (
                ("as they are", plain),
                ("steady feet", steady_feet(plain)),
                ("steady bones", steady_bones(plain)),
                ("steady bones and feet", steady_feet(steady_bones(plain))),
            ):
                row = f"{kind}: {name}"
                xyz = motion.xyz.astype(np.float64)
                off = xyz - body
                away = off[:, 0] - off[:, 0].mean(0)
                bend = np.diff(off, n=2, axis=0) * fps**2
                means.setdefault(row, []).append(
                    (
                        1000 * float(np.linalg.norm(off - off[:, :1], axis=-1).mean()),
                        100 * float(np.linalg.norm(away, axis=-1).mean()),
                        float(np.linalg.norm(bend, axis=-1).mean()) if len(bend) else 0.0,
                    )
                )
                moves = [e for j, s in zip((3, 6), stands, strict=True) for e in _excursions(xyz[:, j], s)]
                moved.setdefault(row, []).extend(moves)
                if motion.steps[-1].name == "steady_feet":
                    found.setdefault(row, []).append(float(motion.steps[-1].report["seconds"]))
    rows = []
    for row, values in means.items():
        mean = np.average(values, axis=0, weights=sizes)
        feet = ["", "", ""]
        if moved[row]:
            every = np.concatenate(moved[row])
            within = np.mean([m.max() < 2 for m in moved[row]])
            feet = [f"{every.mean():.1f}", f"{np.percentile(every, 95):.1f}", f"{within:.0%}"]
        cells = [
            *feet,
            f"{mean[0]:.1f}",
            f"{mean[1]:.1f}",
            f"{mean[2]:.2f}",
            f"{sum(found[row]):.0f}" if row in found else "",
        ]
        rows.append([row, *cells])
    columns = [
        "",
        "standing ankles move, cm",
        "95 %",
        "stances within 2 cm",
        "joints to pelvis, mm",
        "path, cm",
        "m/s²",
    ]
    text = (
        f"{title}, {len(sizes)} clips, {sum(sizes)} frames; ankles truly stand for {stood[0]:.0f} s, both at once for "
    )
    notes = [
        f"{kind}: {100 * hits / max(stood[0], 1e-9):.0f} % of that found; of the {taken:.0f} s taken for standing "
        f"{100 * slow / max(taken, 1e-9):.0f} % slower than {2 * STANDS:g} m/s"
        for kind, (hits, taken, slow) in stances.items()
    ]
    return f"{text}{stood[1]:.0f} s\n\n" + markdown_table([*columns, "held, s"], rows) + "\n\n" + "\n".join(notes)


def measure_upright(weights: str, split: str, every: int) -> str:
    """Tilt error of the estimated world, for cameras that look up and down."""
    lifter = Lifter.from_pretrained(weights)
    rows = []
    for pitch in PITCHES:
        tilts: dict[str, list[float]] = {}
        refused: dict[str, int] = {"truth": 0, "lifted": 0}

        def turned(cameras: Cameras, pitch: float = pitch) -> Cameras:
            return replace(cameras, pitch=torch.full_like(cameras.pitch, math.radians(pitch)))

        for shot in shots(split, every=every, change=turned):
            lifted = lifter(shot.noisy, lens=shot.lens)
            up = level_axes(shot.pitch, shot.roll)[:, 2]
            for kind, poses in (("truth", shot.truth), ("lifted", lifted)):
                motion = shot.placed(poses)
                for name, roll in (("roll not known", None), ("roll known", shot.roll)):
                    try:
                        step = upright(motion, roll=roll).steps[-1]
                    except PoseMambaError:
                        refused[kind] += roll is None
                        continue
                    got = level_axes(step.report["pitch_deg"], step.report["roll_deg"])[:, 2]
                    tilts.setdefault(f"{kind}: {name}", []).append(
                        math.degrees(math.acos(min(1.0, max(-1.0, float(got @ up)))))
                    )
            tilts.setdefault("taken as level", []).append(math.degrees(math.acos(min(1.0, float(-up[1])))))
        columns = ["pitch", *tilts, "refused clips, truth / lifted"]
        cells = [f"{np.mean(t):.1f} ({np.median(t):.1f})" for t in tilts.values()]
        rows.append([f"{pitch:g}", *cells, f"{refused['truth']} / {refused['lifted']}"])
    return f"{split}, degrees, mean (median) over clips, weights {weights}\n\n" + markdown_table(columns, rows)


def main(arguments: list[str] | None = None) -> int:
    """Print one table; return the exit status."""
    measures = {
        "smoothing": measure_smoothing,
        "root": measure_root,
        "bones": measure_bones,
        "feet": measure_feet,
        "upright": measure_upright,
    }
    parser = study_parser("refinement_tables", __doc__)
    parser.add_argument("what", choices=tuple(measures), help="the step to measure")
    add_benchmark_options(parser, "validation for smoothing, else test")
    given = parser.parse_args(arguments)
    split = given.split or ("validation" if given.what == "smoothing" else "test")
    return report(lambda: print(measures[given.what](given.weights, split, every_nth_clip(given))))


if __name__ == "__main__":
    sys.exit(main())
