"""The report on the mocap benchmark as Markdown."""

from __future__ import annotations

from posemamba.evaluate.angles import angle_table
from posemamba.evaluate.mocap.benchmark import BenchmarkResult, Score
from posemamba.evaluate.mocap.confidence import ErrorByConfidence
from posemamba.evaluate.mocap.variants import CLEAR_MM, VariantReport
from posemamba.poses.skeletons import H36M17
from posemamba.refine.angles import STRAIGHT
from posemamba.utils.tables import markdown_table


def markdown(result: BenchmarkResult, variants: dict[str, VariantReport]) -> str:
    """Format the report as Markdown, with links to the figures of `figures.write_figures`."""
    names, each = list(variants), list(variants.values())
    parts = [
        f"# {result.name} on the mocap benchmark",
        f"{next(iter(result.overall.values())).frames:,} frames, {result.cameras}. `exact`: projected 2D "
        "joints; `noisy`: with the errors of a detector. Millimetres and lower is better, unless noted otherwise.",
        "## Overall, by subject and by action",
        "P1: MPJPE, the mean distance of joints; P2: PA-MPJPE, the same after each frame is aligned; MPJVE: the mean "
        "error of the movement from frame to frame.",
        _scores(result, names),
        "## By joint",
        "P1 of each joint; poses are relative to the pelvis, whose error is 0.\n\n![](by_joint.png)",
        markdown_table(
            ["joint", *names],
            [[_plain(j), *(f"{v.joints[j]:.1f}" for v in each)] for j in H36M17.joints],
        ),
        "## By camera pitch",
        "Degrees down that the camera looks. The second number: against the mean of all cameras of the same clips, "
        "as not every clip is seen at every pitch.\n\n![](by_pitch.png)",
        markdown_table(
            ["pitch", "frames", *(f"{n}{of}" for n in names for of in ("", ", against other cameras"))],
            [
                [f"{rows[0].degrees:g}", f"{rows[0].frames:,}"]
                + [
                    cell
                    for p in rows
                    for cell in (f"{p.p1:.1f}", "" if p.against_others is None else f"{p.against_others:+.1f}")
                ]
                for rows in zip(*(v.pitches for v in each), strict=True)
            ],
        ),
        "## The worst clips",
        "The worst camera of each; frames count from 0.\n\n" + "\n".join(f"![](worst_{n}.png)" for n in names),
        *(
            markdown_table(
                [f"clip ({name})", "motion", "camera", "pitch", "P1", "worst frame", "its P1"],
                [
                    [
                        f"{s.clip} {s.name}",
                        s.description,
                        str(s.camera),
                        f"{s.pitch:g}",
                        f"{s.p1:.1f}",
                        str(s.worst_frame),
                        f"{s.worst_p1:.0f}",
                    ]
                    for s in (shot.sequence for shot in variant.worst)
                ],
            )
            for name, variant in variants.items()
        ),
        "## Joint angles",
        "Mean absolute error, in brackets the bias (predicted less true), degrees, by the angle between the line of "
        "sight and the normal of the angle's plane: 0° from the side, 90° edge-on. Straight limbs are bent by less "
        f"than {STRAIGHT:g} degrees.",
        angle_table(result.angles),
        "## Does the body stay the same?",
        "How much each bone's length changes over a clip: standard deviation over mean, per cent, mean over clips "
        "and cameras. In Human3.6M's convention, in which perspective alone gives what stands under `true`.",
        markdown_table(
            ["bone", *names, "true"],
            [
                [bone, *(f"{v.bones[bone][0]:.1f}" for v in each), f"{each[0].bones[bone][1]:.1f}"]
                for bone in each[0].bones
            ]
            + [["**mean**", *(f"{v.bones_mean[0]:.1f}" for v in each), f"{each[0].bones_mean[1]:.1f}"]],
        ),
        "## Does it move as it should?",
        "Mean size of acceleration, mm/s². Predicted above true: the result jitters; below: it is too smooth.",
        markdown_table(
            ["", *names],
            [[f"{what}", *(f"{v.acceleration[what]:,.0f}" for v in each)] for what in each[0].acceleration],
        ),
        "## Which side, and which way in depth?",
        "Left-right swaps: per cent of frames in which swapping the prediction's sides lowers the error of these "
        "joints by more than 30 %.",
        markdown_table(
            ["", *names],
            [[what, *(f"{v.side_flips[what]:.2f}" for v in each)] for what in each[0].side_flips],
        ),
        f"Wrong way in depth: per cent of the frames in which the true depths of a bone's ends differ by more than "
        f"{CLEAR_MM / 10:g} cm.",
        markdown_table(
            ["bone", *names],
            [[bone, *(f"{v.depth_flips[bone]:.1f}" for v in each)] for bone in each[0].depth_flips]
            + [["**all of these**", *(f"{v.depth_flips_all:.1f}" for v in each)]],
        ),
    ]
    for name, variant in variants.items():
        if variant.by_confidence is not None:
            parts += _confidence_text(name, variant.by_confidence)
    return "\n\n".join(parts) + "\n"


def _scores(result: BenchmarkResult, names: list[str]) -> str:
    groups: list[tuple[str, dict[str, Score]]] = [("**all**", result.overall)]
    for kind in (result.subjects, result.actions):
        groups += [(key, {v: kind[v][key] for v in names}) for key in sorted(kind[names[0]])]
    return markdown_table(
        ["", "frames", *(f"{what} {v}" for v in names for what in ("P1", "P2", "MPJVE"))],
        [
            [key, f"{scores[names[0]].frames:,}"] + [cell for v in names for cell in _cells(scores[v])]
            for key, scores in groups
        ],
    )


def _cells(score: Score) -> list[str]:
    return [f"{score.p1:.1f}", f"{score.p2:.1f}", f"{score.mpjve:.2f}"]


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _confidence_text(name: str, by_confidence: ErrorByConfidence) -> list[str]:
    return [
        f"## Does the error depend on the detector's confidence? ({name})",
        f"Rank correlation of confidence and error (Spearman) {by_confidence.spearman:+.3f} over all joints, "
        f"{by_confidence.spearman_within_joints:+.3f} within a joint; -1 would be perfect.\n\n"
        "![](by_confidence.png)",
        markdown_table(
            ["confidence of the 2D joint", "joints", "P1 of the joint"],
            [[b.label, f"{b.joints:,}", "" if b.p1 is None else f"{b.p1:.1f}"] for b in by_confidence.bins],
        ),
    ]
