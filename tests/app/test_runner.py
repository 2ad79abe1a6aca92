"""The queue and its workers: what becomes of a job, whatever its worker does; programs of a few lines stand in."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from posemamba.app.jobs import Store

LIFTS = """
out = [a.partition('=')[2] for a in given['arguments'] if a.startswith('--out=')][0]
os.makedirs(out, exist_ok=True)
tell('stage', stage='finding joints'); tell('progress', stage='finding joints', done=1, total=4)
if '--people' in given['arguments'] and 'two' in given['arguments'][1]:
    tell('people', people=[{'person': n, 'frames': 4, 'of': 4, 'sides': []} for n in (1, 2)])
    tell('choose'); os._exit(0)
open(out + '/poses.npz', 'w').write(json.dumps(given['arguments']))
open(out + '/poses.csv', 'w').write('frame')
tell('stage done', stage='finding joints', seconds=1.5)
tell('result', frames=4, seconds=0.2, people=[{'person': 1, 'word': 'good', 'sentence': 'fine'}])
"""


def put(client: Any, name: str = "walk.mp4", **options: Any) -> str:
    """Upload a file and start it; the job's id."""
    id: str = client.post(f"/api/files?name={name}", content=b"x").json()["id"]
    assert client.post("/api/start", json={"jobs": [id], "options": options}).status_code == 200
    return id


def until(client: Any, id: str, *states: str) -> dict[str, Any]:
    end = time.monotonic() + 20
    while True:
        job: dict[str, Any] = client.get(f"/api/jobs/{id}").json()
        if job["state"] in states:
            return job
        assert time.monotonic() < end, job
        time.sleep(0.02)


def test_from_upload_to_files(opened: Callable[..., Any], worker: Callable[[str], list[str]]) -> None:
    client = opened(worker(LIFTS))
    id = put(client, height="1.78")
    job = until(client, id, "done")
    assert job["result"]["frames"] == 4 and set(job["files"]) == {"poses.npz", "poses.csv"} and not job["message"]
    store = client.app.state.store
    arguments = json.loads(client.get(f"/jobs/{id}/poses.npz").content)
    assert arguments[:3] == ["lift", str(store.input(store.get(id))), f"--out={store.results(store.get(id))}"]
    assert "--height=1.78" in arguments and "--people" in arguments
    answer = client.get(f"/jobs/{id}/poses.csv?save")
    assert answer.headers["content-disposition"] == 'attachment; filename="walk_poses.csv"'
    for path in (
        f"/jobs/{id}/job.json",
        f"/jobs/{id}/..%2fjob.json",
        f"/jobs/{id}/%2e%2e",
        f"/jobs/{id}/.working",
        "/jobs/x/poses.npz",
        "/page/..%2fguard.py",
        "/page/%2e%2e/guard.py",
    ):
        assert client.get(path).status_code == 404, path
    assert [job.id for job in Store(store.folder)] == [id]
    assert client.delete(f"/api/jobs/{id}").status_code == 200 and client.get(f"/api/jobs/{id}").status_code == 404
    assert not list((store.folder / "jobs").iterdir())


def test_the_person_is_chosen_when_there_are_several(
    opened: Callable[..., Any], worker: Callable[[str], list[str]]
) -> None:
    client = opened(worker(LIFTS))
    id = put(client, "two.mp4")
    assert [one["person"] for one in until(client, id, "choose")["people"]] == [1, 2]
    for wrong in ("3", "0", "-1", "", "left", "all;", None, 2, "2 --out=/"):
        assert client.post(f"/api/jobs/{id}/choose", json={"person": wrong}).status_code in (400, 409)
    assert client.post(f"/api/jobs/{id}/choose", json={"person": "2"}).status_code == 200
    assert until(client, id, "done")["person"] == "2"
    arguments = json.loads(client.get(f"/jobs/{id}/poses.npz").content)
    assert "--person=2" in arguments and "--people" not in arguments
    # other options of lifting keep the choice; another detection asks again
    assert client.post("/api/start", json={"jobs": [id], "options": {"smooth": False}}).status_code == 200
    assert until(client, id, "done")["person"] == "2"
    assert client.post("/api/start", json={"jobs": [id], "options": {"detector": "lite"}}).status_code == 200
    job = until(client, id, "choose")
    assert job["person"] == "" and job["files"] == {}  # else its pictures would be of the earlier people


def test_an_error_is_told_in_the_words_of_the_form(
    opened: Callable[..., Any], worker: Callable[[str], list[str]]
) -> None:
    client = opened(
        worker(
            "tell('warning', text='a note')\n"
            "tell('error', text=given['arguments'][1] + ': is broken; leave --fov out')\nos._exit(2)"
        )
    )
    job = until(client, put(client), "failed")
    assert job["message"] == "walk.mp4: is broken; leave “Field of view” out" and job["notes"] == ["a note"]


@pytest.mark.parametrize(
    "program",
    [
        "os.kill(os.getpid(), 9)",
        "print('no event'); print('[' * 99999); print('{}'); os._exit(3)",
        "print('x' * 3_000_000); os._exit(3)",
    ],
)
def test_a_worker_that_ends_in_any_way_fails_its_job_alone(
    opened: Callable[..., Any], worker: Callable[[str], list[str]], program: str
) -> None:
    client = opened(worker(program))
    job = until(client, put(client), "failed")
    assert "signal 9" in job["message"] or "code 3" in job["message"]
    assert client.post(f"/api/jobs/{job['id']}/continue").status_code == 200
    until(client, job["id"], "failed")


def test_a_command_that_is_not_there_fails_the_job(opened: Callable[..., Any]) -> None:
    client = opened(["/no/such/program"])
    assert "cannot be started" in until(client, put(client), "failed")["message"]


WAITS = (
    "tell('stage', stage='finding joints'); tell('progress', stage='finding joints', done=2, total=9)\ntime.sleep(30)"
)


def test_jobs_wait_for_their_turn_and_are_cancelled(
    opened: Callable[..., Any], worker: Callable[[str], list[str]]
) -> None:
    client = opened(worker(WAITS), at_once=2)
    first, second, third = (put(client, f"{name}.mp4") for name in "abc")
    for id in (first, second):
        until(client, id, "running")
    assert until(client, third, "waiting")["before"] == 2
    for what in ("continue", "choose"):
        assert client.post(f"/api/jobs/{first}/{what}", json={"person": "1"}).status_code == 409
    assert client.post("/api/start", json={"jobs": [first]}).status_code == 409
    assert client.post(f"/api/jobs/{first}/cancel").json()["state"] == "cancelled"
    until(client, third, "running")
    assert client.post(f"/api/jobs/{first}/continue").json()["state"] == "waiting"
    assert client.post(f"/api/jobs/{first}/cancel").json()["state"] == "cancelled"
    assert client.delete(f"/api/jobs/{second}").status_code == 200
    until(client, third, "running")
    assert [one["id"] for one in client.get("/api/jobs").json()["jobs"]] == [third, first]


def test_what_runs_when_the_server_ends_goes_on_at_the_next_start(
    opened: Callable[..., Any], worker: Callable[[str], list[str]]
) -> None:
    client = opened(worker(WAITS))
    running, waiting = put(client, "a.mp4"), put(client, "b.mp4")
    until(client, running, "running")
    client.__exit__(None, None, None)
    told = {job.id: job.state for job in Store(client.app.state.store.folder)}
    assert told == {running: "running", waiting: "waiting"}
    again = opened(worker(LIFTS))
    until(again, running, "done")
    until(again, waiting, "done")
    client.__enter__()  # which the fixture leaves


def test_a_keypoint_file_is_given_its_video(opened: Callable[..., Any], worker: Callable[[str], list[str]]) -> None:
    client = opened(worker(LIFTS))
    id = client.post("/api/files?name=k.npz", content=b"x").json()["id"]
    for name in ("one.mp4", "two.mp4"):  # the second in place of the first
        assert client.post(f"/api/jobs/{id}/video?name={name}", content=b"video").status_code == 201
    assert client.post(f"/api/jobs/{id}/video?name=k.npz", content=b"x").status_code == 415
    assert (
        client.post("/api/start", json={"jobs": [id], "options": {"detector": "lite", "fps": "25"}}).status_code == 200
    )
    until(client, id, "done")
    store = client.app.state.store
    arguments = json.loads(client.get(f"/jobs/{id}/poses.npz").content)
    assert arguments[-1] == f"--video={store.path(store.get(id)) / 'video' / 'two.mp4'}"
    assert "--fps=25" in arguments and not [one for one in arguments if "detector" in one]
    assert [path.name for path in (store.path(store.get(id)) / "video").iterdir()] == ["two.mp4"]
    other = client.post("/api/files?name=a.mp4", content=b"x").json()["id"]
    assert client.post(f"/api/jobs/{other}/video?name=one.mp4", content=b"x").status_code == 409


def test_a_full_disk_stops_no_other_job(
    opened: Callable[..., Any], worker: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = opened(worker(LIFTS))
    ids = [client.post(f"/api/files?name={name}.mp4", content=b"x").json()["id"] for name in "ab"]

    def full(job: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(client.app.state.store, "save", full)
    answer = client.post("/api/files?name=c.mp4", content=b"x")
    assert answer.status_code == 507 and "No space left" in answer.json()["error"]
    assert client.post("/api/start", json={"jobs": ids, "options": {}}).status_code == 200
    for id in ids:
        until(client, id, "done")


def test_the_result_page_cannot_reach_the_application(
    opened: Callable[..., Any], worker: Callable[[str], list[str]]
) -> None:
    client = opened(
        worker(
            LIFTS + "\nfor n in ('viewer.html', 'overlay.mp4', 'people.jpg'): open(f'{out}/{n}', 'w').write('x' * 100)"
        )
    )
    id = put(client)
    until(client, id, "done")
    answer = client.get(f"/jobs/{id}/viewer.html")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox ") and "allow-same-origin" not in policy and "default-src 'none'" in policy
    assert client.get(f"/jobs/{id}/overlay.mp4", headers={"range": "bytes=10-19"}).status_code == 206


def test_the_zip_holds_all_files_and_is_made_while_it_is_sent(
    opened: Callable[..., Any], worker: Callable[[str], list[str]]
) -> None:
    import io
    import zipfile

    client = opened(worker(LIFTS))
    id = put(client, "Läufer.mp4")
    until(client, id, "done")
    answer = client.get(f"/jobs/{id}/all.zip")
    assert "filename*=UTF-8''L%C3%A4ufer.zip" in answer.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None and sorted(archive.namelist()) == ["Läufer/poses.csv", "Läufer/poses.npz"]
        assert archive.read("Läufer/poses.npz") == client.get(f"/jobs/{id}/poses.npz").content
