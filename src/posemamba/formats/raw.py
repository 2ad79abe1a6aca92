"""What the readers of keypoint files have in common: checks, and what to do about facts that a file lacks."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemamba.errors import PoseMambaError
from posemamba.poses import Keypoints2D
from posemamba.skeleton import COCO17, H36M17, SKELETONS, Skeleton

_ASSUMED_FPS = 30.0
_COMMON_SIZES = ((640, 480), (1280, 720), (1920, 1080), (2560, 1440), (3840, 2160), (7680, 4320))


@dataclass
class RawKeypoints:
    """What a file said.

    Attributes:
        xy: (F, J, 2), NaN where missing.
        confidence: (F, J), or None.
        skeleton, fps, image_size, times: None where the file does not say.
        source: what the file says it is made from.
    """

    xy: NDArray[np.floating]
    confidence: NDArray[np.floating] | None = None
    skeleton: Skeleton | None = None
    fps: float | None = None
    image_size: tuple[int, int] | None = None
    times: NDArray[np.float64] | None = None
    source: str | None = None


def finish(
    path: Path,
    raw: RawKeypoints,
    *,
    skeleton: Skeleton | None,
    fps: float | None,
    image_size: tuple[int, int] | None,
) -> Keypoints2D:
    """Check the values, recognise the skeleton, complete what the file does not say; see `read_keypoints`."""
    frames, joints = raw.xy.shape[:2]
    if frames == 0:
        raise PoseMambaError(f"{path}: holds zero frames, expected at least one")
    if np.isnan(raw.xy).any(-1).all() or not np.nan_to_num(raw.xy).any():
        raise PoseMambaError(f"{path}: no joint was found in any of its {frames} frames (all NaN or zero)")
    skeleton = _skeleton(path, raw, skeleton)
    with np.errstate(over="ignore"):
        xy = raw.xy.astype(np.float32)
    if len(bad := np.argwhere(np.isinf(xy))):
        frame, joint = bad[0][:2]
        raise PoseMambaError(
            f"{path}: frame {frame}, joint {joint} ({skeleton.joints[joint]}) is infinite: "
            f"{raw.xy[frame, joint].tolist()}; expected pixels, or NaN for a joint that was not found"
        )
    confidence = raw.confidence
    if confidence is not None and len(bad := np.argwhere(np.isinf(confidence))):
        frame, joint = bad[0]
        raise PoseMambaError(
            f"{path}: frame {frame}, joint {joint} ({skeleton.joints[joint]}) has an infinite confidence; "
            "expected 0 to 1"
        )
    nowhere = (xy == 0).all(-1)
    if confidence is not None:
        nowhere &= ~(confidence > 0)
    missing = nowhere | np.isnan(xy).any(-1)
    xy = np.where(missing[..., None], np.float32(np.nan), xy)
    if missing.all():
        raise PoseMambaError(f"{path}: no joint was found in any of its {frames} frames (all NaN or zero)")
    largest = float(np.nanmax(np.abs(xy)))
    if largest <= 2:
        raise PoseMambaError(
            f"{path}: all coordinates lie within {largest:.3g} of zero: shares of the image, not pixels; "
            "multiply x by the image's width and y by its height"
        )
    if confidence is None:
        confidence = np.ones((frames, joints))
    if np.nanmax(confidence, initial=0) > 1.5:
        warnings.warn(
            f"{path.name}: confidences up to {np.nanmax(confidence):.3g}, expected 0 to 1: cut off at 1",
            stacklevel=3,
        )
    confidence = np.clip(np.nan_to_num(confidence), 0, 1)

    assumed = []
    fps = _positive(path, fps, "--fps") or _positive(path, raw.fps, "fps in the file")
    if fps is None:
        fps = _ASSUMED_FPS
        if raw.times is None:
            assumed.append(f"{fps:g} frames per second (--fps)")
        elif frames > 1:
            fps = float((frames - 1) / (raw.times[-1] - raw.times[0]))
    size = image_size or raw.image_size
    if size is None:
        size = _guess_size(xy)
        assumed.append(f"an image of {size[0]}x{size[1]} pixels (--image-size)")
    elif min(size) <= 0:
        raise PoseMambaError(f"{path}: image size {size[0]}x{size[1]}, expected positive numbers of pixels")
    if assumed:
        warnings.warn(
            f"{path.name}: the file does not say everything; assumed: {' and '.join(assumed)}", stacklevel=3
        )
    source = raw.source or path.name
    return Keypoints2D(
        xy=xy,
        confidence=np.where(missing, 0, confidence).astype(np.float32),
        skeleton=skeleton,
        image_size=size,
        fps=fps,
        times=raw.times,
        source=f"{source} (assumed: {' and '.join(assumed)})" if assumed else source,
    )


def _positive(path: Path, fps: float | None, what: str) -> float | None:
    if fps is None:
        return None
    if not (np.isfinite(fps) and fps > 0):
        raise PoseMambaError(f"{path}: {what} is {fps:g}, expected a positive number of frames per second")
    return float(fps)


def _guess_size(xy: NDArray[np.float32]) -> tuple[int, int]:
    """The smallest common video size that holds the joints; a few may lie outside."""
    found = xy[np.isfinite(xy).all(-1)]
    extent = np.percentile(found, 99, axis=0)
    sizes = [s for size in _COMMON_SIZES for s in (size, size[::-1])]
    for width, height in sizes:
        if extent[0] <= width and extent[1] <= height:
            return width, height
    width, height = np.ceil(extent * 1.1).astype(int).tolist()
    return width, height


def _skeleton(path: Path, raw: RawKeypoints, wanted: Skeleton | None) -> Skeleton:
    joints = raw.xy.shape[1]
    known = ", ".join(f"{s.name} ({len(s)})" for s in SKELETONS.values())
    named = wanted or raw.skeleton
    if named is not None:
        if len(named) != joints:
            who = "--skeleton" if wanted else "the file"
            raise PoseMambaError(
                f"{path}: holds {joints} joints, but {who} says {named.name}, which has {len(named)}; "
                f"known: {known}"
            )
        return named
    candidates = [s for s in SKELETONS.values() if len(s) == joints]
    if not candidates:
        raise PoseMambaError(f"{path}: holds {joints} joints, which is no known skeleton; known: {known}")
    if len(candidates) == 1:
        return candidates[0]
    if (recognised := recognise_17(raw.xy)) is not None:
        return recognised
    raise PoseMambaError(
        f"{path}: {joints} joints may be any of {', '.join(s.name for s in candidates)}, and how they lie "
        "does not tell which; name it: --skeleton NAME, or a 'skeleton' in the file"
    )


def recognise_17(xy: NDArray[np.floating]) -> Skeleton | None:
    """Human3.6M or COCO, by geometry: None if it is not clear.

    COCO's first five joints are the nose, the eyes and the ears, close to each other. Human3.6M's are the
    pelvis, a whole leg and the other hip, far apart, and the pelvis lies half-way between the hips, joints 1
    and 4.

    Args:
        xy: (F, 17, 2), NaN where missing.
    """
    found = np.isfinite(xy).all(-1) & (xy != 0).any(-1)
    enough = found[:, :5].all(-1) & (found.sum(-1) >= 10)
    xy = np.where(found[..., None], xy, np.nan).astype(np.float64)[enough]
    extent = (np.nanmax(xy, axis=1) - np.nanmin(xy, axis=1)).max(-1) if len(xy) else np.zeros(0)
    xy, extent = xy[extent > 0], extent[extent > 0]
    if not len(xy):
        return None
    spread = np.median(np.linalg.norm(xy[:, 1:5] - xy[:, :1], axis=-1).max(-1) / extent)
    off_middle = np.median(np.linalg.norm(xy[:, 0] - (xy[:, 1] + xy[:, 4]) / 2, axis=-1) / extent)
    if spread < 0.22:
        return COCO17
    if spread > 0.3 and off_middle < 0.05:
        return H36M17
    return None
