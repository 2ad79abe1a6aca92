"""A live session kept as a result like any other: its pictures as a video, and beside it the joints that were found.

The two are what `posemamba lift` makes of a video before it lifts: lifting goes on from there, with the whole clip at
hand, and without detecting again.
"""

from __future__ import annotations

import queue
import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemamba.live.session import Seen
from posemamba.poses.detections import Detection
from posemamba.utils.errors import PoseMambaError

__all__ = ["VIDEO", "Recorder"]

VIDEO = "recording.mp4"
_WAITING = 30  # pictures that wait to be encoded: about a second
_BRIDGE = 0.25  # seconds: shorter gaps are interpolated with confidence 0, as of detected clips


class Recorder:
    """A recorder of the pictures of a session and of what was found in them; a thread encodes.

    >>> recorder = Recorder(Path("out"), "lite")
    >>> runner.watch = recorder.take
    >>> ...
    >>> video = recorder.close()  # out/recording.mp4
    >>> recorder.write_joints(video, Path("out"))  # out/keypoints.npz

    Attributes:
        frames: pictures taken.
    """

    def __init__(self, folder: Path, detector: str) -> None:
        """Begin.

        Args:
            folder: is made.
            detector: BlazePose's size, ``lite``, ``full`` or ``heavy``.

        Raises:
            PoseMambaError: the folder cannot be written to, or PyAV is not installed.
        """
        from posemamba.io.video.writer import VideoWriter
        from posemamba.utils.files import writing

        self.folder, self.detector, self.frames = Path(folder), detector, 0
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        self._writer = VideoWriter(self.folder / VIDEO, fps=30)
        self._writer.__enter__()
        self._found: list[Detection | None] = []
        self._first = 0.0
        self._shape: tuple[int, ...] = ()
        self._waiting: queue.Queue[tuple[NDArray[np.uint8], float] | None] = queue.Queue(_WAITING)
        self._error: BaseException | None = None
        self._taking, self._closed = threading.Lock(), False
        self._thread = threading.Thread(target=self._write, name="record", daemon=True)
        self._thread.start()

    def take(self, rgb: NDArray[np.uint8], seen: Seen) -> None:
        """Take a picture and what was found in it; pictures of another size than the first are left out."""
        with self._taking:
            if not self._shape:
                self._shape, self._first = rgb.shape, seen.time
            if rgb.shape != self._shape or self._error is not None or self._closed:
                return
            self._waiting.put((rgb, seen.time - self._first))
            self._found.append(seen.found)
            self.frames += 1

    def close(self) -> Path:
        """End; return the video. What was found in it is written by `write_joints`, where the video lies in the end.

        Raises:
            PoseMambaError: no picture came, nobody was seen, or something cannot be written.
        """
        self._end()
        if (failed := self._error) is not None:
            self._abandon(failed)
            raise PoseMambaError(f"{self.folder}: the recording cannot be written ({failed})") from failed
        if not self.frames or all(found is None for found in self._found):
            error = PoseMambaError(
                f"{self.folder}: nothing is recorded, as " + ("nobody was seen" if self.frames else "no picture came")
            )
            self._abandon(error)
            raise error
        self._writer.__exit__(None, None, None)
        return self.folder / VIDEO

    def discard(self) -> None:
        """End without a result."""
        self._end()
        self._abandon(PoseMambaError("the recording was discarded"))

    def _end(self) -> None:
        with self._taking:  # a picture that is being taken in another thread is the last one
            self._closed = True
        self._waiting.put(None)
        self._thread.join()

    def _abandon(self, error: BaseException) -> None:
        self._writer.__exit__(type(error), error, error.__traceback__)

    def _write(self) -> None:
        while (item := self._waiting.get()) is not None:
            try:
                if self._error is None:
                    self._writer.write(*item)
            except BaseException as error:
                self._error = error

    def write_joints(self, video: Path, results: Path) -> None:
        """Write the joints that were found, for `posemamba lift` of the video into this folder to go on from.

        Args:
            video: as `close` returned it, or moved since, under any name.
            results: the folder of the results, which is made.

        Raises:
            PoseMambaError: the video is another one, or the joints cannot be written.
        """
        from posemamba.detect import bridge
        from posemamba.io.inputs import Input
        from posemamba.io.keypoints.detected import FILE, Detected, write_detected
        from posemamba.io.video.reading import frame_times, probe
        from posemamba.pipeline.reading import Reading
        from posemamba.poses import Keypoints2D
        from posemamba.poses.skeletons import BLAZEPOSE33
        from posemamba.utils.files import writing

        info, times = probe(video), frame_times(video)
        if len(times) != self.frames:
            raise PoseMambaError(f"{video}: holds {len(times)} pictures, expected {self.frames}: record it again")
        xy = np.full((self.frames, len(BLAZEPOSE33), 2), np.nan, np.float32)
        confidence = np.zeros((self.frames, len(BLAZEPOSE33)), np.float32)
        for i, found in enumerate(self._found):
            if found is not None:
                xy[i], confidence[i] = found.xy, found.confidence
        person = Keypoints2D(
            xy=bridge(xy, times, _BRIDGE),
            confidence=confidence,
            skeleton=BLAZEPOSE33,
            image_size=info.image_size,
            fps=info.fps,
            times=times,
            source=video.name,
        )
        reading, one = Reading(detector=self.detector), Input(video, results, "video")
        detected = Detected([person], reading.detector_of(one), reading.detection_digest(one))
        with writing(results):
            results.mkdir(parents=True, exist_ok=True)
            write_detected(results / FILE, detected)
