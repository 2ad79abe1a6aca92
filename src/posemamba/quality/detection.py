"""What the 2D joints alone say: frames without the person, doubtful joints, somebody else, left and right exchanged."""

from __future__ import annotations

import numpy as np

from posemamba.poses.keypoints import find_jumps
from posemamba.quality.common import ARMS, JOINTS, LEGS, SURE, Array, Clip, Found, Mask, number, runs

SWAPPED = 0.1
"""Of the body's size: by how much nearer three joints of a limb lie, exchanged, to where they were (as in
`studies.mediapipe_modes`)."""
_LONGEST_SWAP = 1.0  # seconds: what is exchanged for longer may be the right way round
_DOUBT_SECONDS = 0.3
_DOUBTFUL_JOINTS = 9  # of 17: more than half


def check_detection(clip: Clip) -> Found:
    """Coverage, confidence, jumps and swaps of the 2D joints."""
    found, frames = Found(), len(clip.times)
    keypoints, seen = clip.poses.keypoints, clip.poses.seen
    confidence = np.where(keypoints.found, np.nan_to_num(keypoints.confidence.astype(np.float64)), 0.0)
    for a, b in runs(~seen):
        found.faults.append(clip.fault("not seen", "", a, b, "the person was not seen"))
    doubtful = (confidence <= SURE) & seen[:, None]
    long = clip.frames_in(_DOUBT_SECONDS)
    joints = {}
    for j, name in enumerate(JOINTS):
        spells = runs(doubtful[:, j], long)
        joints[name] = {
            "found": number(float(keypoints.found[seen, j].mean()) if seen.any() else np.nan),
            "sure": number(float((~doubtful[seen, j]).mean()) if seen.any() else np.nan),
            "doubtful_stretches": [[float(clip.times[a]), float(clip.times[b])] for a, b in spells],
        }
    for a, b in runs(doubtful.sum(1) >= _DOUBTFUL_JOINTS):
        count = int(np.median(doubtful[a : b + 1].sum(1)))
        text = f"the detector is unsure of {count} of 17 joints"
        if not (confidence[a : b + 1] > 0).any():
            text = "the detector did not find the person; the 2D joints are filled in"
        found.faults.append(clip.fault("doubt", "", a, b, text))
    for a, b in _elsewhere(clip):
        found.faults.append(
            clip.fault("jump", "", a, b, "the 2D joints jumped here by more than a body: perhaps somebody else")
        )
    swaps = 0
    for part, pairs in (("legs", LEGS), ("arms", ARMS)):
        for a, b in _swapped(clip, pairs):
            swaps += 1
            found.faults.append(clip.fault("swap", part, a, b, "left and right change places in 2D"))
    given = confidence[seen][keypoints.found[seen]]
    told = bool(len(given) and not (given == given[0]).all())
    if len(given) and not told:
        found.remarks.append(
            f"all joints have confidence {given[0]:g}: none was given, so all that are found are trusted"
        )
    found.numbers = {
        "seen": float(seen.mean()) if frames else None,
        "joints_found": number(float(keypoints.found[seen].mean()) if seen.any() else np.nan),
        "joints_sure": number(float((~doubtful[seen]).mean()) if seen.any() else np.nan),
        "confidence_given": told,
        "jumps": len(find_jumps(keypoints)),
        "swaps": swaps,
        "by_joint": joints,
    }
    found.series["confidence"] = np.where(seen, confidence.mean(-1), np.nan)
    return found


def _elsewhere(clip: Clip) -> list[tuple[int, int]]:
    """Where the joints may be somebody else's: of the stretches between jumps, every other, those that are fewer."""
    seen, jumps = clip.poses.seen, find_jumps(clip.poses.keypoints)
    if not len(jumps):
        return []
    starts = [int(np.argmax(seen)), *jumps.tolist()]
    ends = [int(np.flatnonzero(seen[:j])[-1]) for j in jumps] + [int(np.flatnonzero(seen)[-1])]
    pieces = list(zip(starts, ends, strict=True))
    counts = [sum(int(seen[a : b + 1].sum()) for a, b in pieces[parity::2]) for parity in (0, 1)]
    return pieces[1::2] if counts[1] <= counts[0] else pieces[0::2]


def _swapped(clip: Clip, pairs: tuple[tuple[int, int], ...]) -> list[tuple[int, int]]:
    """Frames in which the pairs are exchanged: from one change to the change back, or the frame of a change alone."""
    xy = clip.xy
    if len(xy) < 2:
        return []
    changes = np.flatnonzero(_changes(xy, pairs)) + 1
    longest, out, i = clip.frames_in(_LONGEST_SWAP), [], 0
    while i < len(changes):
        back = i + 1 < len(changes) and changes[i + 1] - changes[i] <= longest
        out.append((int(changes[i]), int(changes[i + 1] - 1) if back else int(changes[i])))
        i += 2 if back else 1
    return out


def _changes(xy: Array, pairs: tuple[tuple[int, int], ...]) -> Mask:
    """(F - 1,) whether the joints, exchanged, lie nearer to where they were."""
    left, right = np.array(pairs).T
    known: Mask = np.asarray(np.isfinite(xy).all(-1))
    boxes = np.where(known[..., None], xy, np.inf).min(1), np.where(known[..., None], xy, -np.inf).max(1)
    extent = (boxes[1] - boxes[0]).max(-1)[known.any(-1)]
    size = float(np.median(extent)) if len(extent) else np.nan
    before, after = xy[:-1], xy[1:]
    kept = np.linalg.norm(after[:, [*left, *right]] - before[:, [*left, *right]], axis=-1).mean(-1)
    crossed = np.linalg.norm(after[:, [*left, *right]] - before[:, [*right, *left]], axis=-1).mean(-1)
    return np.asarray(kept - crossed > SWAPPED * size)
