"""A zip of files that is made while it is sent, so that it takes no room on the disk nor in memory."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

_PIECE = 1 << 18  # bytes that are read at once
_PACKED = (".csv", ".trc", ".bvh", ".json", ".html")


class _Pipe(io.RawIOBase):
    """A stream that keeps what is written to it until it is taken."""

    def __init__(self) -> None:
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(data)  # type: ignore[call-overload]  # any buffer
        self._held += piece
        return len(piece)

    def take(self) -> bytes:
        held, self._held = bytes(self._held), bytearray()
        return held


def zip_pieces(files: Mapping[str, Path]) -> Iterator[bytes]:
    """Yield the pieces of a zip.

    Args:
        files: names in the zip, and the files; tables and pages are packed, what is compressed already is not.
    """
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", allowZip64=True) as archive:
        for name, path in files.items():
            info = zipfile.ZipInfo.from_file(path, name, strict_timestamps=False)
            info.compress_type = zipfile.ZIP_DEFLATED if path.suffix in _PACKED else zipfile.ZIP_STORED
            with path.open("rb") as source, archive.open(info, "w", force_zip64=info.file_size > 1 << 31) as target:
                while piece := source.read(_PIECE):
                    target.write(piece)
                    if held := pipe.take():
                        yield held
    yield pipe.take()
