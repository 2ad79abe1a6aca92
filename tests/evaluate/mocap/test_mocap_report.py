"""The report on predictors whose errors are known beforehand."""

import json

import numpy as np
import pytest

from posemamba.evaluate.mocap import benchmark as bench
from posemamba.evaluate.mocap import scenes as see
from posemamba.evaluate.mocap.figures import write_figures
from posemamba.evaluate.mocap.report import Measurements, write_report
from posemamba.poses.skeletons import H36M17
from posemamba.utils.errors import PoseMambaError


def run(motions, change=lambda target, scene, variant: target, quick=False):
    """The report on a predictor that knows the truth and changes it; `change` gets and gives (K, F, J, 3)."""
    answers = {}
    for scene in see.scenes(motions, quick=quick):
        for variant in see.VARIANTS:
            answers[scene.inputs(variant).tobytes()] = change(scene.target.astype(np.float64), scene, variant)
    measured = Measurements(motions.fps)
    result = bench.run_benchmark(
        lambda joints: answers[joints.tobytes()], name="made up", motions=motions, quick=quick, observe=measured.observe
    )
    return measured.report(result)


def test_the_truth_has_no_error_anywhere(motions):
    report = run(motions)
    for variant in report.variants.values():
        assert max(variant.joints.values()) < 1e-3 and max(p.p1 for p in variant.pitches) < 1e-3
        assert all(s.p1 < 1e-3 and s.worst_p1 < 1e-3 for s in variant.sequences)
        assert not any(variant.side_flips.values()) and not any(variant.depth_flips.values())
        assert variant.depth_flips_all == 0
        assert variant.acceleration["error"] < 1e-3
        assert variant.acceleration["predicted"] == pytest.approx(variant.acceleration["true"]) != 0
        assert all(pred == pytest.approx(true) for pred, true in variant.bones.values())
        assert variant.bones_mean[0] == pytest.approx(variant.bones_mean[1])
    assert report.variants["exact"].by_confidence is None
    bins = report.variants["noisy"].by_confidence.bins
    assert sum(b.joints for b in bins) == 4 * 290 * 16 and bins[0].label == "lost" and bins[0].joints
    assert all(b.p1 < 1e-3 for b in bins if b.joints)


def test_one_joint_one_pitch_one_frame(motions):
    """170 mm at the right wrist, 10 of P1, where a camera looks 20 degrees down and nowhere else; one frame worse."""

    def change(target, scene, variant):
        for k, pitch in enumerate(scene.pitches):
            if pitch == 20 and variant == "exact":
                target[k, :, 16, 2] += 170 / scene.mm_per_unit[k]
                target[k, 7, 16, 2] += 17 / scene.mm_per_unit[k, 7]
        return target

    report = run(motions, change)
    exact, noisy = report.variants["exact"], report.variants["noisy"]
    seen = {(s.clip, s.camera): s for s in exact.sequences}
    assert {p.degrees for p in exact.pitches} <= set(see._PITCHES) and len(seen) == 12
    hit = [s for s in seen.values() if s.pitch == 20]
    assert hit and all(see._PITCHES[(s.clip + 2 * s.camera) % 7] == s.pitch for s in seen.values())
    frames = sum(s.frames for s in hit)
    for pitch in exact.pitches:
        wanted = 10 + len(hit) / frames if pitch.degrees == 20 else 0
        assert pitch.p1 == pytest.approx(wanted, abs=1e-3) and pitch.frames == sum(
            s.frames for s in seen.values() if s.pitch == pitch.degrees
        )
    steep = next(p for p in exact.pitches if p.degrees == 20)
    assert steep.against_others == pytest.approx(0.75 * steep.p1, abs=1e-3)  # one of each clip's four cameras
    for name, p1 in exact.joints.items():
        wanted = (170 * frames + 17 * len(hit)) / (4 * 290) if name == "right_wrist" else 0
        assert p1 == pytest.approx(wanted, abs=1e-3)
    assert exact.sequences[0].pitch == 20 and exact.sequences[0].worst_frame == 7
    assert exact.sequences[0].worst_p1 == pytest.approx(11, abs=1e-3)
    shot = exact.worst[0]
    assert shot.sequence == exact.sequences[0]
    assert np.linalg.norm(shot.pred - shot.target, axis=-1)[16] == pytest.approx(187, abs=0.01)
    assert len({s.sequence.clip for s in exact.worst}) == len(exact.worst)
    assert max(noisy.joints.values()) < 1e-3


def test_sides_exchanged_count_as_flipped_everywhere(motions):
    report = run(motions, lambda target, scene, variant: target[:, :, H36M17.mirrored], quick=True)
    assert report.variants["exact"].side_flips == {"legs": 100, "arms": 100, "either": 100}
    assert all(p.against_others is None for p in report.variants["exact"].pitches)


def test_depth_the_wrong_way_round_counts_as_flipped_everywhere(motions):
    report = run(motions, lambda target, scene, variant: target * [1, 1, -1], quick=True).variants["exact"]
    assert report.depth_flips_all == 100
    assert set(report.depth_flips.values()) <= {0, 100}  # 0: a bone that is never far from upright
    assert report.depth_flips["right knee to right ankle"] == 100


def test_it_finds_an_error_that_grows_where_the_confidence_falls(motions):
    def change(target, scene, variant):
        if variant == "noisy":
            target[..., 2] += 100 * (1 - scene.confidence) / scene.mm_per_unit[..., None]
            target[..., 0, 2] = scene.target[..., 0, 2]
        return target

    by_confidence = run(motions, change).variants["noisy"].by_confidence
    assert by_confidence.spearman < -0.999 and by_confidence.spearman_within_joints < -0.999
    p1 = [b.p1 for b in by_confidence.bins if b.joints]
    assert p1[0] == pytest.approx(100, abs=0.1) and p1 == sorted(p1, reverse=True)
    assert all(100 * (1 - b.high) - 0.1 <= b.p1 <= 100 * (1 - b.low) + 0.1 for b in by_confidence.bins if b.joints)


@pytest.mark.slow
def test_what_is_written(motions, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    report = run(motions, lambda target, scene, variant: 0.9 * target, quick=True)
    figures = write_figures(report, tmp_path / "report")
    path = write_report(report, tmp_path / "report")
    text = path.read_text()
    content = json.loads((tmp_path / "report" / "report.json").read_text())
    p1 = report.result.overall["noisy"].p1
    assert content["scores"]["overall"]["noisy"]["p1_mm"] == p1 and f"| {p1:.1f} |" in text
    assert set(content["variants"]["noisy"]["joints"]) == set(H36M17.joints)
    assert content["variants"]["exact"]["by_confidence"] is None and len(content["variants"]["exact"]["sequences"]) == 3
    from PIL import Image

    pictures = {line[4:-1] for line in text.splitlines() if line.startswith("![](")}
    assert pictures == {"by_joint.png", "by_pitch.png", "by_confidence.png", "worst_exact.png", "worst_noisy.png"}
    assert {figure.name for figure in figures} == pictures
    for name in pictures:
        assert np.asarray(Image.open(path.parent / name).convert("L")).std() > 10

    def absent(module, extra):
        raise PoseMambaError(f"this needs {module}")

    monkeypatch.setattr("posemamba.evaluate.mocap.figures.require", absent)
    with pytest.raises(PoseMambaError, match="matplotlib"):
        write_figures(report, tmp_path / "other")
