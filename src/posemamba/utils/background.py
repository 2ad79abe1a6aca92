"""Values that are made in a thread while something else works, such as a model while joints are found."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Made = TypeVar("Made")
_LOOK = 0.1  # seconds from one call of `waiting` to the next


class Background(Generic[Made]):
    """A value that a thread makes from now on; an error of it is raised where the value is asked for.

    A process that ends waits for the thread, which would crash in native code otherwise: long work asks `unwanted` in
    between.
    """

    def __init__(self, make: Callable[[], Made]) -> None:
        """Begin.

        Args:
            make: returns the value.
        """
        self._make = make
        self._value: Made | None = None
        self._error: BaseException | None = None
        self._done = threading.Event()
        threading.Thread(target=self._run, name="background").start()

    def _run(self) -> None:
        try:
            self._value = self._make()
        except BaseException as error:  # also SystemExit, by which work ends that nobody waits for
            self._error = error
        finally:
            del self._make
            self._done.set()

    def check(self) -> None:
        """Raise the error with which the thread has ended, if it has."""
        if self._done.is_set() and self._error is not None:
            raise self._error

    def get(self, waiting: Callable[[], None] | None = None) -> Made:
        """Return the value when it is made.

        Args:
            waiting: called ten times a second until then.

        Raises:
            BaseException: what `make` raised.
        """
        while not self._done.wait(_LOOK):
            if waiting is not None:
                waiting()
        self.check()
        return self._value  # type: ignore[return-value]  # made, as there was no error


def unwanted() -> bool:
    """Return True once the process ends, and nobody can ask for a value any more."""
    return not threading.main_thread().is_alive()
