"""Trace files: which there are, and their lines in chunks, gzip or not."""

from __future__ import annotations

import difflib
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from simulator.errors import DataError

CHUNK_BYTES = 1 << 20
"""Bytes read at once: enough rows for columnar parsing, little memory."""

_GZIP_MAGIC = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Chunk(NamedTuple):
    """Some whole lines of a file, each ended by a line feed.

    Attributes
    ----------
    first_line
        Number of the first, from 1.
    data
        The lines.
    """

    first_line: int
    data: bytes


def existing_file(path: str, *, folders: bool = False) -> Path:
    """Return the path of a readable regular file, or of a folder where one will do.

    Raises
    ------
    DataError
        If there is none; the message names the nearest file of the folder.
    """
    file = Path(path).expanduser()
    try:
        folder = file.is_dir()
        if file.is_file() or (folder and folders):
            return file
        neighbours = [p.name for p in file.parent.iterdir()] if file.parent.is_dir() else None
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(f"trace {path!r} cannot be opened: {error}.") from error
    if folder:
        raise DataError(f"trace {path!r} is a folder; name a file in it.")
    if neighbours is None:
        raise DataError(f"trace {path!r} not found: there is no folder {str(file.parent)!r}.")
    if file.name in neighbours:
        raise DataError(f"trace {path!r} is not a regular file; copy it to one first.")
    close = difflib.get_close_matches(file.name, neighbours, n=1)
    hint = f" Did you mean {str(file.with_name(close[0]))!r}?" if close else ""
    raise DataError(f"trace {path!r} not found.{hint}")


def line_chunks(path: Path, longest_bytes: int) -> Iterator[Chunk]:
    r"""Yield the lines of a file, a chunk at a time.

    Byte order marks are dropped, and ``\r\n`` and ``\r`` become line feeds. A file that is
    compressed, or is named so, is read through gzip.

    Parameters
    ----------
    path
        The file.
    longest_bytes
        Longest line held in memory.

    Raises
    ------
    DataError
        If the file cannot be read, or a line is longer.
    """
    line, rest, ended_in_return = 1, b"", False
    for number, data in enumerate(_pieces(path)):
        piece = data.removeprefix(_BYTE_ORDER_MARK) if number == 0 else data
        if ended_in_return:
            piece = piece.removeprefix(b"\n")
        ended_in_return = piece.endswith(b"\r") if piece else ended_in_return
        if b"\r" in piece:
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines, newline, begun = piece.rpartition(b"\n")
        if newline:
            whole = rest + lines + newline
            yield Chunk(line, whole)
            line += whole.count(b"\n")
            rest = begun
        else:
            rest += begun
        if len(rest) > longest_bytes:
            raise DataError(f"{path}, line {line}: {too_long(longest_bytes)}")
    if rest:
        yield Chunk(line, rest + b"\n")


def is_compressed(path: Path) -> bool:
    """Tell whether a file is compressed with gzip, or is named so."""
    with path.open("rb") as file:
        return file.read(2) == _GZIP_MAGIC or path.suffix == ".gz"


def too_long(longest_bytes: int) -> str:
    """Say that a line is longer than any of a trace."""
    return f"longer than {longest_bytes} bytes; this is not a trace of one request per line."


def _pieces(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a file, uncompressed."""
    read = 0
    try:
        with _open(path) as file:
            while data := file.read(CHUNK_BYTES):
                yield data
                read += len(data)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path}: cannot be read beyond its first {read:,} bytes or a little more: {error}."
        ) from error


def _open(path: Path) -> BinaryIO:
    if is_compressed(path):
        return cast("BinaryIO", gzip.open(path))
    return path.open("rb")
