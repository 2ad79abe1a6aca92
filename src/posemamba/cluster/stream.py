"""Rows that stream through stages of work on a cluster, by Ray Data.

A row is a dictionary of Python objects. Ray Data places the actors of each stage on the nodes, adds and removes them,
bundles rows into batches, holds a stage back when the next one is slower, and repeats what a lost node had.
"""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from posemamba.cluster.session import load_ray
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.reading import cause

Row = dict[str, Any]

BLOCKS = 2000
"""Blocks of rows at the most: each is a task of its own, and costs the driver some milliseconds."""


class Work(Protocol):
    """Work of a stage; made once in each of its processes."""

    def __call__(self, rows: list[Row]) -> list[Row]:
        """Return the rows that the next stage gets."""
        ...


@dataclass(frozen=True)
class Stage:
    """A stage of a stream.

    Attributes:
        name: in Ray's own views.
        work: the class of the work, a `Work`, or what `attach` is given.
        arguments: for its construction.
        batch: rows at a time.
        cpus, gpus: what one of its processes needs; parts of one are fine.
    """

    name: str
    work: type[Any]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    batch: int = 1
    cpus: float = 1.0
    gpus: float = 0.0


class _Batches:
    """A stage's work on the batches of Ray Data, which hold each row pickled."""

    def __init__(self, work: type[Any], arguments: Mapping[str, Any]) -> None:
        self._work: Work = work(**arguments)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[bytes]]:
        return {"row": [pickle.dumps(row) for row in self._work([pickle.loads(row) for row in batch["row"]])]}


def stream(rows: Iterable[Row], stages: Sequence[Stage]) -> Iterator[Row]:
    """Send rows through all stages and yield them in the order in which they are done; a connection must be there.

    Args:
        rows: the first stage's; they wait in Ray's memory.
        stages: each gets the rows of the one before.

    Raises:
        PoseMambaError: the cluster has gone, or has no room for a stage.
    """
    ray = load_ray()
    waiting = [{"row": pickle.dumps(row)} for row in rows]
    if not waiting:
        return
    data = ray.data.from_items(waiting, override_num_blocks=min(len(waiting), BLOCKS))
    del waiting
    for stage in stages:
        data = attach(data, stage, _Batches, {"work": stage.work, "arguments": dict(stage.arguments)})
    try:
        for batch in data.iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=0):
            for row in batch["row"]:
                yield pickle.loads(row)
    except Exception as error:  # Ray's own: stages return theirs in rows
        raise PoseMambaError(
            f"the cluster ended the work ({cause(error)}): what is done is kept; give the same command again"
        ) from error


def attach(data: Any, stage: Stage, work: type, arguments: Mapping[str, Any]) -> Any:
    """Return a Ray dataset whose batches go through a stage: one process at first, and more while rows wait."""
    ray = load_ray()
    return data.map_batches(
        work,
        fn_constructor_kwargs=dict(arguments),
        batch_size=stage.batch,
        batch_format="numpy",
        num_cpus=stage.cpus,
        num_gpus=stage.gpus or None,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=most_processes(stage)),
    )


def most_processes(stage: Stage) -> int:
    """Return how many processes of a stage find room on the cluster."""
    total = load_ray().cluster_resources()
    if stage.gpus:
        return max(1, int(total.get("GPU", 0) / stage.gpus))
    return max(1, int(total.get("CPU", 1) / max(stage.cpus, 0.25)))


def gpus() -> int:
    """Return the GPUs of the cluster."""
    return int(load_ray().cluster_resources().get("GPU", 0))


class Attempts:
    """Count of the times that work on a row began and did not end: a row that ends its process is given up.

    One actor counts for the whole stream, beside the driver. Where it is gone, nothing is given up.
    """

    def __init__(self) -> None:
        """Start the actor; a connection must be there."""
        ray = load_ray()
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=True
        )
        self._actor = ray.remote(_Counter).options(num_cpus=0, scheduling_strategy=here).remote()

    def begin(self, index: int) -> int:
        """Note that work on a row begins; return how many times it began before without an end."""
        ray = load_ray()
        with contextlib.suppress(ray.exceptions.RayError):
            return int(ray.get(self._actor.begin.remote(index)))
        return 0

    def end(self, index: int) -> None:
        """Note that work on a row has ended."""
        with contextlib.suppress(load_ray().exceptions.RayError):
            self._actor.end.remote(index)


class _Counter:
    def __init__(self) -> None:
        self._begun: dict[int, int] = {}

    def begin(self, index: int) -> int:
        before = self._begun.get(index, 0)
        self._begun[index] = before + 1
        return before

    def end(self, index: int) -> None:
        self._begun.pop(index, None)
