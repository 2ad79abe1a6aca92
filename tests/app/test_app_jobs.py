"""Jobs on disk: read again at the next start, also beside damaged ones; removed whole."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from posemamba.app.jobs import Job, Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "folder")


def uploaded(store: Store, name: str = "walk.mp4") -> Job:
    path = store.upload_path()
    path.write_bytes(b"a video")
    return store.add(name, path)


def test_jobs_are_there_again_and_damaged_ones_do_not_harm(store: Store) -> None:
    jobs = [uploaded(store, name) for name in ("a.mp4", "b.npz", "c.png")]
    jobs[1].options, jobs[1].state, jobs[1].result = {"height": "1.78"}, "done", {"frames": 3}
    store.save(jobs[1])
    good = json.dumps(asdict(jobs[0]))
    damaged = [
        "",
        "[]",
        "{}",
        "[" * 50_000,
        good[:-2],
        good.replace("a.mp4", "../a.mp4"),
        good.replace('"new"', '"lost"'),
        good.replace('"size": 7', '"size": "7"'),
        good.replace('"people": []', '"people": 1'),
        good.replace('"people": []', '"people": ["1"]'),
        good.replace('"size": 7', '"size": NaN'),
        good.replace('"size": 7', f'"size": 1{"0" * 400}'),
        good.replace('"frames": 0', '"frames": 1e999'),
        good.replace('"message": ""', '"message": "\\ud800"'),
        good.replace('"options": {}', '"options": {"every": ["2"]}'),
        good.replace('"seconds": {}', '"seconds": {"lifting": "1"}'),
        good.replace('"notes": []', '"notes": [{}]'),
        good.replace('"result": {}', f'"result": {{"people": {"[" * 300}{"]" * 300}}}'),
    ]
    for number, text in enumerate(damaged):
        folder = store.folder / "jobs" / f"{number:016x}"
        folder.mkdir()
        (folder / "job.json").write_text(text.replace(jobs[0].id, f"{number:016x}"))
    (store.folder / "jobs" / "0123456789abcdef").mkdir()
    other = store.folder / "jobs" / "of another name"
    other.mkdir()
    (other / "job.json").write_text(good)
    again = Store(store.folder)
    assert [asdict(job) for job in again] == [asdict(job) for job in reversed(jobs)]
    assert all(again.input(job).read_bytes() == b"a video" for job in again)
    assert (store.folder.stat().st_mode & 0o777) == 0o700
    assert len({*damaged, good}) == len(damaged) + 1, "each is damaged in its own way"
    assert len(list((store.folder / "jobs").iterdir())) == 3 + len(damaged) + 2  # kept, to be looked at


def test_a_job_is_removed_whole(store: Store) -> None:
    job, other = uploaded(store), uploaded(store)
    store.results(job).mkdir()
    (store.results(job) / "poses.npz").write_bytes(b"x")
    (store.results(job) / ".hidden").write_bytes(b"x")
    assert list(store.files(job)) == ["poses.npz"]
    store.remove(job)
    assert list(store) == [other] and [path.name for path in (store.folder / "jobs").iterdir()] == [other.id]


def test_nothing_is_left_of_a_job_that_cannot_be_made(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(job: Job) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "save", full)
    with pytest.raises(OSError, match="No space"):
        uploaded(store)
    assert not list(store) and not list((store.folder / "jobs").iterdir())


def test_results_of_a_recording_become_a_job(store: Store) -> None:
    folder = store.folder / "recording"
    folder.mkdir()
    (folder / "poses.npz").write_bytes(b"x")
    job = store.add_results("Live 12:30", folder, {"frames": 2, "seconds": 0.1, "people": []})
    (again,) = Store(store.folder)
    assert asdict(again) == asdict(job) and again.state == "done" and list(store.files(again)) == ["poses.npz"]
