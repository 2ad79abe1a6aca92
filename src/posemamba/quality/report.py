"""The quality report of one person, as text and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from posemamba.quality.common import Fault
from posemamba.quality.measure import Quality
from posemamba.quality.verdict import is_heavy, verdict

_MOST_FAULTS = 25
_MOST_SPANS = 4


def report(quality: Quality) -> str:
    """Format the report of one person: the verdict, the numbers, then the marked frames."""
    n = quality.numbers
    lines = [f"person {quality.person}: {verdict(quality).line}"]
    for title, text in (
        ("detection", _detection(n["detection"], quality)),
        ("bones", _bones(n["bones"])),
        ("limb flips", _flips(n["flips"])),
        ("feet", _feet(n["feet"])),
        ("joint angles", _bends(n["bends"])),
        ("smoothness", _smoothness(n["smoothness"])),
        ("reprojection", _reprojection(n["reprojection"])),
        ("accuracy", _expected(n["expected"])),
    ):
        lines.append(f"  {title + ':':<14}{text}")
    lines += [f"  {'note:':<14}{remark}" for remark in quality.remarks]
    if quality.faults:
        lines.append("  what was marked (! not to be trusted):")
    order = sorted(quality.faults, key=lambda f: not is_heavy(f)) if len(quality.faults) > _MOST_FAULTS else None
    shown = (order or quality.faults)[:_MOST_FAULTS]
    lines += [f"    {_line(fault)}" for fault in sorted(shown, key=lambda f: f.first)]
    if len(quality.faults) > _MOST_FAULTS:
        lines.append(f"    and {len(quality.faults) - _MOST_FAULTS} more (--json has all)")
    return "\n".join(lines)


def _line(fault: Fault) -> str:
    frames = f"frame {fault.first}" if fault.first == fault.last else f"frames {fault.first}-{fault.last}"
    time = f"{fault.start:.2f} s" if fault.first == fault.last else f"{fault.start:.2f}-{fault.end:.2f} s"
    return f"{'!' if is_heavy(fault) else ' '} {time:<13}{frames:<16}{fault.text}"


def _share(value: float | None) -> str:
    return "not known" if value is None else f"{value:.1%}"


def _detection(n: dict[str, Any], quality: Quality) -> str:
    if not quality.seen.any():
        return f"nobody seen in {len(quality.times)} frames"
    text = f"seen in {int(quality.seen.sum())} of {len(quality.times)} frames, "
    text += f"{_share(n['joints_found'])} of the joints found there"
    if n["confidence_given"]:
        text += f", {_share(n['joints_sure'])} with confidence over 0.5"
    text += f"; {_count(n['jumps'], 'jump')}, {_count(n['swaps'], 'left-right swap')}"
    doubtful = [(name, j["doubtful_s"]) for name, j in n["by_joint"].items() if j["doubtful_s"]]
    if doubtful and n["confidence_given"]:
        doubtful.sort(key=lambda item: -sum(b - a for a, b in item[1]))
        shown = [f"{name} {_spans(spans)}" for name, spans in doubtful[:_MOST_SPANS]]
        more = f" and {len(doubtful) - _MOST_SPANS} more joints" if len(doubtful) > _MOST_SPANS else ""
        text += f"; unsure for 0.3 s or longer: {'; '.join(shown)}{more}"
    return text


def _spans(spans: list[list[float]]) -> str:
    shown = ", ".join(f"{a:.2f}-{b:.2f} s" for a, b in spans[:_MOST_SPANS])
    return shown + (", ..." if len(spans) > _MOST_SPANS else "")


def _count(number: int, name: str) -> str:
    return f"{number or 'no'} {name}{'' if number == 1 else 's'}"


def _bones(n: dict[str, Any]) -> str:
    if n["spread"] is None:
        return "not measured: too few frames in which the detector is sure"
    text = f"lengths change by {n['spread']:.1%} (standard deviation over mean, mean of the bones; "
    text += f"goal {n['goal']:.0%}); worst {n['worst']}, {n['worst_spread']:.1%}"
    if n["worst_s"]:
        text += f", most at {n['worst_s'][0]:.2f}-{n['worst_s'][1]:.2f} s"
    if n["refined_spread"] is not None:
        text += f"; after refinement {n['refined_spread']:.1%}"
    sides = n["left_over_right"]
    if sides:
        name = max(sides, key=lambda s: abs(sides[s]))
        text += f"; left against right: at most {abs(sides[name]):.0%} ({name})"
    return text


def _flips(n: dict[str, Any]) -> str:
    name = max(n["by_limb"], key=lambda limb: n["by_limb"][limb]["fastest_deg_s"] or 0.0)
    fastest = n["by_limb"][name]["fastest_deg_s"]
    if fastest is None:
        return "not measured: a single frame"
    text = f"{n['flips'] or 'none'}; the fastest turn is {fastest:.0f} degrees a second ({name})"
    if (refined := n["refined"]) and refined["fastest_deg_s"] is not None:
        text += f"; after refinement {refined['too_fast'] or 'none'} too fast, the fastest turn "
        text += f"{refined['fastest_deg_s']:.0f} ({refined['limb']})"
    return text


def _feet(n: dict[str, Any]) -> str:
    if n["p95_mm"] is None:
        text = "no foot stands still in the picture for 0.3 s"
        if n["measured"] != "in the world":
            text = "never do both stand still in the picture for 0.3 s"
    else:
        text = f"{_count(n['stands'], 'time')} standing, {n['seconds']:.1f} s; 95 % of it within "
        text += f"{n['p95_mm']:.0f} mm of its place {n['measured']} (goal {n['goal_mm']:.0f} mm)"
    if n.get("floor_share_of_frames") is not None:
        text += f"; an ankle below the floor in {n['floor_share_of_frames']:.1%} of the frames"
    return text


def _bends(n: dict[str, Any]) -> str:
    bad = {name: share for name, share in n["share_of_frames"].items() if share}
    if not bad:
        return "no knee or elbow bent backwards"
    return "bent backwards: " + ", ".join(f"{name} in {share:.1%} of the frames" for name, share in bad.items())


def _smoothness(n: dict[str, Any]) -> str:
    kinds = [
        f"{name} {value['median']:.1f} (median), {value['p95']:.1f} (95 %)"
        for name, value in n.items()
        if value and value["median"] is not None
    ]
    return "acceleration, m/s²: " + "; ".join(kinds) if kinds else "not measured: fewer than three frames"


def _reprojection(n: dict[str, Any]) -> str:
    if n["mean_of_body"] is None:
        return "not measured"
    worst = n["by_joint"][n["worst"]]["of_body"] if n["worst"] else 0.0
    text = f"lifted x, y are {n['mean_px']:.1f} pixels, {n['mean_of_body']:.1%} of the body, from the 2D joints on "
    text += "average"
    return text + (f"; worst {n['worst']}, {worst:.1%}" if n["worst"] else "")


def _expected(n: dict[str, Any]) -> str:
    if n["mean_mm"] is None:
        return "these weights do not estimate their error"
    return (
        f"joints are expected to be {n['mean_mm']:.0f} mm off on average, relative to the pelvis (95 % of the frames: "
        f"up to {n['p95_mm']:.0f} mm); most {n['worst']}, {n['by_joint_mm'][n['worst']]:.0f} mm"
    )


def as_json(quality: Quality) -> dict[str, Any]:
    """Return the verdict, numbers, faults and remarks in JSON's types; the series are left out."""
    return {
        "person": quality.person,
        "source": quality.source,
        "frames": len(quality.times),
        "verdict": asdict(verdict(quality)),
        **quality.numbers,
        "faults": [asdict(fault) for fault in quality.faults],
        "remarks": quality.remarks,
    }
