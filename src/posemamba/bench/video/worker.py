"""The process of one pipeline, and of the preparation: ``python -m posemamba.bench.video.worker NAME VIDEO SIZE``.

It prints one line of JSON: the frames, and the seconds without imports.
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
from pathlib import Path
from typing import Any

from posemamba.utils.errors import PoseMambaError

PREPARE = "prepare"
"""In place of a name: compile the kernels of posemamba, and read the video's number of frames."""


def prepare(video: Path, size: str) -> int:
    """Compile what is kept on disk; return the video's frames."""
    from posemamba.detect.blazepose import BlazePoseDetector
    from posemamba.io.video.reading import probe
    from posemamba.lifting.lifter import Lifter

    frames = probe(video).frames
    BlazePoseDetector(size).close()  # type: ignore[arg-type]  # a size of the command line, checked there
    Lifter.from_pretrained("posemamba-s", device="cpu").warm_up()
    return frames


def loop(video: Path, size: str) -> int:
    """Decode the video and run the detector in each frame; return the frames."""
    from posemamba.detect.blazepose import BlazePoseDetector
    from posemamba.io.video.reading import probe, read_frames

    detector = BlazePoseDetector(size)  # type: ignore[arg-type]
    detector.begin(probe(video).fps)
    frames = 0
    for frame in read_frames(video):
        detector(frame.rgb)
        frames += 1
    return frames


def mediapipe(video: Path, size: str) -> int:
    """Decode the video and run MediaPipe's Pose in each frame, with its world landmarks; return the frames."""
    from mediapipe.python.solutions.pose import Pose  # type: ignore[import-not-found]

    from posemamba.io.video.reading import read_frames

    frames = 0
    with Pose(model_complexity=("lite", "full", "heavy").index(size)) as pose:
        for frame in read_frames(video):
            result = pose.process(frame.rgb)
            _ = result.pose_landmarks, result.pose_world_landmarks
            frames += 1
    return frames


def _lifted_by(model: Any, name: str, video: Path, size: str) -> int:
    from posemamba.lifting.lifter import Lifter
    from posemamba.pipeline.lift import lift

    (poses,) = lift(video, detector=size, lifter=Lifter(model, name=name, device="cpu"))
    return len(poses)


def motionbert(video: Path, size: str) -> int:
    """Find joints as ``posemamba lift`` does and lift them with MotionBERT; return the frames."""
    from posemamba.models.motionbert import MotionBERT

    return _lifted_by(MotionBERT.preset(), "motionbert", video, size)


def motionagformer(video: Path, size: str) -> int:
    """Find joints as ``posemamba lift`` does and lift them with MotionAGFormer-B; return the frames."""
    from posemamba.models.motionagformer import MotionAGFormer

    return _lifted_by(MotionAGFormer.preset("b"), "motionagformer-b", video, size)


ABSENT = 3
"""The exit status where something that a pipeline needs is not here; the last line on stderr says what."""
RUN = {one.__name__: one for one in (prepare, loop, mediapipe, motionbert, motionagformer)}


def main(arguments: list[str]) -> int:
    """Run one; the exit status."""
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")  # as the command line does
    name, video, size = arguments
    begin = time.perf_counter()
    try:
        frames = RUN[name](Path(video), size)
    except urllib.error.URLError as error:
        print(f"it downloads its network at first use, and that failed ({error.reason})", file=sys.stderr)
        return ABSENT
    except PoseMambaError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps({"frames": frames, "seconds": time.perf_counter() - begin}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
