"""A live session in threads: pictures are looked at and lifted side by side, and old ones are dropped.

One picture waits at the most, the newest. So the delay does not grow where pictures come faster than they can be looked
at: it is the time of one picture that is being looked at and one that is being lifted.
"""

from __future__ import annotations

import queue
import threading
import time as clock
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posemamba.live.poses import LivePose
from posemamba.live.session import LiveSession, Seen
from posemamba.utils.errors import PoseMambaError

__all__ = ["Counts", "LiveRunner", "Picture", "Watcher"]

Picture = NDArray[np.uint8] | Callable[[], NDArray[np.uint8]]
"""(height, width, 3) uint8 RGB, or a function that makes it: it is called for pictures that are not dropped."""
Watcher = Callable[[NDArray[np.uint8], Seen], None]
"""Called with each picture that was looked at, before it is lifted, in the thread that looks at pictures."""


@dataclass
class Counts:
    """Counts of the pictures so far.

    Attributes:
        offered: pictures that came.
        dropped: those that nobody had time for.
        poses: poses that were given, also those in which nobody is seen.
        seconds: from the arrival of the latest pose's picture to the pose.
    """

    offered: int = 0
    dropped: int = 0
    poses: int = 0
    seconds: float = 0.0


class LiveRunner:
    """A session that runs in two threads, one of which looks at the next picture while the other lifts.

    >>> with LiveRunner(session, print) as runner:
    ...     for picture, seconds in camera:
    ...         runner.offer(picture, seconds)

    Attributes:
        session: the session.
        counts: of pictures and poses.
    """

    def __init__(
        self,
        session: LiveSession,
        on_pose: Callable[[LivePose], None],
        *,
        drop: bool = True,
        watch: Watcher | None = None,
        threads: int = 1,
        on_error: Callable[[BaseException], None] | None = None,
    ) -> None:
        """Start the threads.

        Args:
            session: is used by the runner alone.
            on_pose: called with each pose in turn, in the thread that lifts.
            drop: drop pictures that there is no time for; False: `offer` waits.
            watch: see `Watcher`; may be set later, too.
            threads: on which PyTorch lifts, set for the thread that lifts. On two cores one is faster than two, as
                the other core finds joints meanwhile.
            on_error: called at once with what ends the threads, in one of them; `offer` and `close` raise it later.
        """
        self.session, self.counts, self.watch = session, Counts(), watch
        self._on_pose, self._drop, self._lifting_threads, self._on_error = on_pose, drop, threads, on_error
        self._slot: tuple[Picture, float, float] | None = None
        self._changed = threading.Condition()
        self._seen: queue.Queue[tuple[Seen, float] | None] = queue.Queue(1)
        self._closed = False
        self._error: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._guarded, args=(work,), name=name, daemon=True)
            for name, work in (("look", self._look), ("lift", self._lift))
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> LiveRunner:
        return self

    def __exit__(self, kind: object, *unused: object) -> None:
        if kind is None:
            self.close()
        else:
            self.stop()

    def offer(self, picture: Picture, time: float) -> bool:
        """Offer the next picture.

        Args:
            picture: see `Picture`.
            time: seconds; a picture that is not later than one before is dropped.

        Returns:
            False if a picture was dropped for it.

        Raises:
            PoseMambaError: an earlier picture could not be looked at or lifted.
        """
        with self._changed:
            self.counts.offered += 1
            while not self._drop and self._slot is not None and self._error is None and not self._closed:
                self._changed.wait(0.1)
            self.check()
            dropped = self._slot is not None
            self.counts.dropped += dropped
            self._slot = (picture, time, clock.monotonic())
            self._changed.notify_all()
        return not dropped

    def check(self) -> None:
        """Raise the error that has ended the threads, if there is one."""
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Look at the picture that waits, give the last poses, and end the threads.

        Raises:
            PoseMambaError: a picture could not be looked at or lifted.
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        self.check()

    def stop(self) -> None:
        """End the threads after what they are doing, without further poses."""
        with self._changed:
            self._slot, self._closed = None, True
            self._error = self._error or PoseMambaError("the session was stopped")
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            with self._changed:
                first = self._error is None
                self._error = self._error or error
                self._changed.notify_all()
            if first and self._on_error is not None:
                self._on_error(error)

    def _look(self) -> None:
        last = -np.inf
        try:
            while (taken := self._take()) is not None:
                picture, time, came = taken
                if not time > last:
                    self.counts.dropped += 1
                    continue
                last = time
                rgb = picture() if callable(picture) else picture
                seen = self.session.detect(rgb, time)
                if (watch := self.watch) is not None:
                    watch(rgb, seen)
                self._hand_on((seen, came))
        finally:
            self._hand_on(None)

    def _take(self) -> tuple[Picture, float, float] | None:
        with self._changed:
            while self._slot is None and not self._closed and self._error is None:
                self._changed.wait()
            taken, self._slot = self._slot, None
            self._changed.notify_all()
            return None if self._error is not None else taken

    def _hand_on(self, seen: tuple[Seen, float] | None) -> None:
        while self._error is None or seen is None:
            try:
                self._seen.put(seen, timeout=0.1)
                return
            except queue.Full:
                if self._error is not None:
                    return

    def _lift(self) -> None:
        import torch

        torch.set_num_threads(self._lifting_threads)
        arrivals: dict[float, float] = {}  # of pictures whose poses are still to come
        while (item := self._seen.get()) is not None and self._error is None:
            seen, came = item
            arrivals[seen.time] = came
            if (pose := self.session.lift(seen)) is not None:
                self._give(pose, arrivals)
        if self._error is None:
            for pose in self.session.finish():
                self._give(pose, arrivals)

    def _give(self, pose: LivePose, arrivals: dict[float, float]) -> None:
        self.counts.poses += 1
        self.counts.seconds = clock.monotonic() - arrivals.pop(pose.time, clock.monotonic())
        self._on_pose(pose)
