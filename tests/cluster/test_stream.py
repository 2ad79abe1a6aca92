"""A stream of very many rows: the driver's memory does not grow with what is done."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from posemamba.cli.lift.cluster import Record, collect, rows_of
from posemamba.io.inputs import Input

ROWS = 100_000


class Stub:
    """Work that lifts nothing, in the form of the real one; every thousandth input fails."""

    def __call__(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for row in rows:
            bad = row["index"] % 1000 == 0
            row |= {"status": "failed" if bad else "lifted", "error": "no" if bad else "", "digest": "0" * 24}
            row |= {"said": f"{row['number']}{row['name']}: 100 frames\n", "frames": 100}
            row["cells"] = [[row["name"], "1", "good", *["0"] * 7, "", row["name"], "", ""]]
        return rows


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_drivers_memory_is_flat(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ray.data", reason="needs the extra 'cluster'")
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # Ray's processes do not find this file by its name
    from posemamba.cluster.session import connect
    from posemamba.cluster.stream import Stage, stream

    inputs = [Input(Path(f"s3/clip_{i:06d}.npz"), Path(f"out/clip_{i:06d}"), "keypoints") for i in range(ROWS)]
    record, taken = Record(str(tmp_path), inputs), []

    def tell(line: str) -> None:
        if record.counts.lifted % 10_000 == 0:
            taken.append(_resident() / 2**20)

    with connect("local", 2):
        rows = stream(rows_of(inputs, str(tmp_path), {}), [Stage("stub", Stub, batch=50, cpus=0.5)])
        assert collect(rows, record, tell) == 1
    with capsys.disabled():
        print("\nresident MB at each 10,000 inputs:", [round(each) for each in taken])
    assert record.counts.lifted == ROWS - 100 and record.counts.failed == 100
    assert max(taken[1:]) - taken[1] < 60, taken
    assert sum(1 for _ in (tmp_path / "summary.csv").open()) == ROWS + 1
    assert sum(1 for _ in (tmp_path / "failed.csv").open()) == 101
