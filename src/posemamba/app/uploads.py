"""Uploads: files that a page sends, streamed to disk, limited, and whole or not there at all."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import anyio
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from posemamba.app.jobs import SUFFIXES, Store, clean_name
from posemamba.io.inputs import Kind
from posemamba.utils.errors import PoseMambaError

STALLED = 60.0
"""Seconds without a byte after which an upload is given up."""
RESERVE = 500_000_000
"""Bytes of the disk that uploads leave free, for the results."""
_BATCH = 1 << 20  # bytes that are written at once
_LONGEST_BODY = 65_536  # bytes of a request that is no upload


async def receive(request: Request, store: Store, largest: int, kinds: tuple[Kind, ...]) -> tuple[str, Path]:
    """Receive the body of a request as a file; its name is the query's ``name``.

    Args:
        request: its Content-Length says how large the file is; a body without is refused before anything is read.
        store: gives the place on disk.
        largest: bytes of the largest file.
        kinds: of files that are expected.

    Returns:
        The file's clean name, and where it lies for now.

    Raises:
        HTTPException: refused, interrupted, or the disk is full; nothing is left on disk.
    """
    try:
        name = clean_name(request.query_params.get("name", ""))
    except PoseMambaError as error:
        raise HTTPException(400, str(error)) from error
    if SUFFIXES.get(Path(name).suffix.lower()) not in kinds:
        words = {"video": "videos", "pictures": "pictures", "keypoints": "files of 2D keypoints"}
        raise HTTPException(415, f"{name}: expected {', '.join(words[kind] for kind in kinds)}")
    length = request.headers.get("content-length", "")
    # a body that comes in chunks can be longer than that
    if not length.isascii() or not length.isdigit() or "transfer-encoding" in request.headers:
        raise HTTPException(411, f"{name}: the upload does not say how large it is")
    size = int(length[:20])
    if size > largest:
        raise HTTPException(413, f"{name}: is larger than {largest / 1e9:g} GB (posemamba app --largest)")
    if size == 0:
        raise HTTPException(400, f"{name}: is empty")
    free = shutil.disk_usage(store.folder).free
    if size + RESERVE > free:
        raise HTTPException(507, f"{name}: the disk has {free / 1e9:.1f} GB left, which is too little; make room")
    path = store.upload_path()
    try:
        received = await _write(request, path, size)
        if received != size:
            raise HTTPException(400, f"{name}: {received} of {size} bytes arrived")
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, ClientDisconnect):
            raise HTTPException(400, f"{name}: the upload was interrupted") from error
        if isinstance(error, TimeoutError):
            raise HTTPException(408, f"{name}: the upload stopped; try again") from error
        if isinstance(error, OSError):
            full = error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
            raise HTTPException(
                507 if full else 500, f"{name}: cannot be kept ({error.strerror or error}); make room"
            ) from error
        raise
    return name, path


async def _write(request: Request, path: Path, size: int) -> int:
    """Write the body of a request to a new file, up to the first byte too many; return how much came."""
    received, batch = 0, bytearray()
    pieces = request.stream().__aiter__()
    with path.open("xb") as file:
        while True:
            with anyio.fail_after(STALLED):
                piece = await anext(pieces, None)
            batch += piece or b""
            if received + len(batch) > size:
                return received + len(batch)
            if batch and (piece is None or len(batch) >= _BATCH):
                await anyio.to_thread.run_sync(file.write, bytes(batch))
                received += len(batch)
                batch.clear()
            if piece is None:
                return received


async def read_json(request: Request) -> dict[str, Any]:
    """Return the JSON object that a request holds.

    Raises:
        HTTPException: it holds none, or is too large.
    """
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _LONGEST_BODY:
            raise HTTPException(413, "the request is too large")
    try:
        given = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise HTTPException(400, "the request is no JSON object")
    return given
