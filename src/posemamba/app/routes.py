"""The routes of jobs: upload, start, choose, cancel, go on, remove, and the files of results."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from posemamba.app import options
from posemamba.app.archive import zip_pieces
from posemamba.app.estimate import seconds_left
from posemamba.app.jobs import ID, SUFFIXES, Job, Store
from posemamba.app.runner import Runner
from posemamba.app.uploads import RESERVE, read_json, receive
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.installation import __version__

LARGEST = 20_000_000_000
"""Bytes of the largest file that can be uploaded, where nothing else is said."""
VIEWER_POLICY = (
    "sandbox allow-scripts allow-downloads allow-modals; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data: blob:; media-src blob:; frame-ancestors 'self'"
)
"""The policy of the page of a result, which holds what a file said: it cannot reach the application, nor anything."""
_SHOWN = {".mp4": "video/mp4", ".png": "image/png", ".jpg": "image/jpeg", ".html": "text/html"}
_PERSON = re.compile(r"[1-9][0-9]{0,3}|all")
Check = Callable[[list[str]], None]


class Api:
    """The routes of jobs.

    Args:
        store: the jobs.
        runner: their workers.
        check: raises a `PoseMambaError` where arguments of ``posemamba lift`` do not fit together.
        largest: bytes of the largest file that can be uploaded.
    """

    def __init__(self, store: Store, runner: Runner, check: Check, largest: int = LARGEST) -> None:
        self.store, self._runner, self._check, self._largest = store, runner, check, largest
        self.has_live = False
        job = "/api/jobs/{id}"
        self.routes: list[BaseRoute] = [
            Route("/api/state", self._state),
            Route("/api/jobs", self._jobs),
            Route("/api/files", self._upload, methods=["POST"]),
            Route("/api/start", self._start, methods=["POST"]),
            Route(job, self._job),
            Route(job, self._remove, methods=["DELETE"]),
            Route(f"{job}/video", self._upload_video, methods=["POST"]),
            Route(f"{job}/choose", self._choose, methods=["POST"]),
            Route(f"{job}/cancel", self._cancel, methods=["POST"]),
            Route(f"{job}/continue", self._continue, methods=["POST"]),
            Route("/jobs/{id}/all.zip", self._zip),
            Route("/jobs/{id}/{name}", self._file),
        ]

    async def start(self) -> None:
        """Begin to work."""
        self._runner.start()

    async def stop(self) -> None:
        """Stop the workers; what they do goes on at the next start."""
        await self._runner.stop()

    async def _state(self, request: Request) -> Response:
        return JSONResponse(
            {
                "version": __version__,
                "form": options.form(),
                "suffixes": SUFFIXES,
                "largest": self._largest,
                "free": max(0, shutil.disk_usage(self.store.folder).free - RESERVE),
                "folder": str(self.store.folder),
                "live": self.has_live,
            }
        )

    async def _jobs(self, request: Request) -> Response:
        return JSONResponse({"jobs": [self._told(job) for job in self.store]})

    async def _job(self, request: Request) -> Response:
        job = self._find(request)
        files = {name: path.stat().st_size for name, path in self.store.files(job).items()}
        return JSONResponse({**self._told(job), "options": job.options, "people": job.people, "files": files})

    async def _upload(self, request: Request) -> Response:
        name, path = await receive(request, self.store, self._largest, ("video", "keypoints", "pictures"))
        return JSONResponse(self._told(self._kept(path, lambda: self.store.add(name, path))), 201)

    async def _upload_video(self, request: Request) -> Response:
        job = self._find(request)
        if job.kind != "keypoints" or job.is_at_work:
            raise HTTPException(409, f"{job.name}: is no keypoint file that waits for a video")
        name, path = await receive(request, self.store, self._largest, ("video",))
        self._kept(path, lambda: self.store.add_video(job, name, path))
        return JSONResponse(self._told(job), 201)

    def _kept(self, path: Path, keep: Callable[[], Any]) -> Any:
        """Return what `keep` makes of an uploaded file; where it fails the file is removed."""
        try:
            return keep()
        except OSError as error:
            path.unlink(missing_ok=True)
            raise HTTPException(507, f"the file cannot be kept ({error.strerror or error}); make room") from error

    async def _start(self, request: Request) -> Response:
        given = await read_json(request)
        ids = given.get("jobs")
        if not isinstance(ids, list) or not ids or not all(isinstance(id, str) for id in ids):
            raise HTTPException(400, "no jobs are named")
        jobs = [self._known(id) for id in dict.fromkeys(ids)]
        chosen = options.checked(given.get("options", {}))
        for job in jobs:
            if job.is_at_work:
                raise HTTPException(409, f"{job.name}: is at work")
            try:
                self._check(self._arguments(job, chosen))
            except PoseMambaError as error:
                raise HTTPException(400, options.in_words(self.store.without_places(job, str(error)))) from error
        for job in jobs:
            if job.options and not options.same_people(job.options, chosen):
                job.person, job.people = "", []
                await anyio.to_thread.run_sync(self.store.clear, job)
            if chosen["person"] != job.options.get("person", chosen["person"]):
                job.person = ""
            job.options = chosen
            self._runner.submit(job)
        return JSONResponse({"jobs": [self._told(job) for job in jobs]})

    def _arguments(self, job: Job, chosen: dict[str, Any]) -> list[str]:
        given = [str(self.store.input(job)), f"--out={self.store.results(job)}"]
        return [*given, *options.arguments(chosen, job.kind, job.person)]

    async def _choose(self, request: Request) -> Response:
        job = self._find(request)
        person = (await read_json(request)).get("person")
        if not isinstance(person, str) or not _PERSON.fullmatch(person):
            raise HTTPException(400, "no person is named")
        known = {str(one.get("person")) for one in job.people}
        if not known or (person != "all" and person not in known):
            raise HTTPException(409, f"{job.name}: there is no person {person} to choose")
        if job.is_at_work:
            raise HTTPException(409, f"{job.name}: is at work")
        job.person = person
        self._runner.submit(job)
        return JSONResponse(self._told(job))

    async def _cancel(self, request: Request) -> Response:
        job = self._find(request)
        await self._runner.cancel(job)
        return JSONResponse(self._told(job))

    async def _continue(self, request: Request) -> Response:
        job = self._find(request)
        if job.state not in ("cancelled", "failed"):
            raise HTTPException(409, f"{job.name}: is not stopped")
        self._runner.submit(job)
        return JSONResponse(self._told(job))

    async def _remove(self, request: Request) -> Response:
        job = self._find(request)
        await self._runner.cancel(job)
        await anyio.to_thread.run_sync(self.store.remove, job)
        return JSONResponse({})

    async def _file(self, request: Request) -> Response:
        job = self._find(request)
        path = self.store.files(job).get(request.path_params["name"])
        if path is None:
            raise HTTPException(404, "there is no such file")
        shown = _SHOWN.get(path.suffix)
        if shown is None or "save" in request.query_params:
            return FileResponse(path, filename=f"{Path(job.name).stem}_{path.name}", media_type=shown)
        headers = {"content-security-policy": VIEWER_POLICY} if path.suffix == ".html" else None
        return FileResponse(path, media_type=shown, headers=headers)

    async def _zip(self, request: Request) -> Response:
        job = self._find(request)
        files = self.store.files(job)
        if not files:
            raise HTTPException(404, "there are no results")
        folder = Path(job.name).stem
        response = StreamingResponse(
            zip_pieces({f"{folder}/{name}": path for name, path in files.items()}), media_type="application/zip"
        )
        response.headers["content-disposition"] = _attachment(f"{folder}.zip")
        return response

    def _find(self, request: Request) -> Job:
        return self._known(request.path_params["id"])

    def _known(self, id: str) -> Job:
        job = self.store.get(id) if ID.fullmatch(id) else None
        if job is None:
            raise HTTPException(404, "there is no such job")
        return job

    def _told(self, job: Job) -> dict[str, Any]:
        """Return what the page's list shows of a job."""
        names = ("id", "name", "kind", "size", "created", "begun", "ended", "state", "person", "video", "message")
        told = {name: getattr(job, name) for name in (*names, "stage", "done", "total", "notes", "result")}
        if job.state == "running" and (clock := self._runner.clocks.get(job.id)) is not None:
            told["left"] = seconds_left(job, clock.frame_seconds, time.monotonic() - clock.since)
        if job.state == "waiting":
            told["before"] = sum(
                other.state == "running" or (other.state == "waiting" and other.queued < job.queued)
                for other in self.store
            )
        return told


def _attachment(name: str) -> str:
    plain = re.sub(r'[^\x20-\x7e]|["\\%]', "_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
