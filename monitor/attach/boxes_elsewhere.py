"""Black boxes on the other side of `--via`: lists them, and copies one to here."""

from __future__ import annotations

import os
import zlib
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from monitor.attach import boxes
from monitor.attach.elsewhere import BEYOND, decoded, leading
from monitor.errors import ConnectError, Unreachable
from monitor.remote.answers import printable
from monitor.remote.links import link_to

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

PIECE = 1 << 20


class _Found(msgspec.Struct):
    path: str
    heading: boxes.Heading
    alive: bool
    size: int
    changed: float
    noted: boxes.Ended | None
    status: boxes.Status | None
    oom_kills: int | None


class _Answer(msgspec.Struct):
    boxes: list[_Found]


def found(command: str, target: str | None = None) -> list[boxes.Box]:
    """The boxes of programs that died there, newest first; with `target` only its box. Raises LooptopError."""
    link = link_to(command)
    with leading(command):
        answer = link.ask("boxes", target=target)
    return [_box(one, link.skew) for one in decoded(answer, _Answer, command).boxes[: boxes.MOST_BOXES]]


def _box(one: _Found, skew: float) -> boxes.Box:
    heading = one.heading
    texts: dict[str, Any] = {
        name: printable(getattr(heading, name)) for name in ("session", "name", "program", "python", "host")
    }
    return boxes.Box(
        Path(printable(one.path, 4096)),
        replace(heading, **texts),
        one.alive,
        one.size,
        one.changed,
        None if one.noted is None else replace(one.noted, how=printable(one.noted.how)),
        one.status,
        one.oom_kills,
        skew,
    )


@contextmanager
def copied(box: boxes.Box, command: str) -> Iterator[Path]:
    """Copy a box from there to a file that is removed afterwards. Raises LooptopError."""
    opened = link_to(command).open(str(box.path), BEYOND, "box")
    with TemporaryDirectory(prefix="looptop-") as folder:
        path = Path(folder) / "box"
        with opened.sock, path.open("wb") as file:
            opened.sock.settimeout(BEYOND)
            if not _copy(opened.sock, file):
                raise Unreachable(f"{box.path} did not arrive whole from {command}", opened.why() or "it ended early")
        os.utime(path, (box.changed, box.changed))
        yield path


def _copy(sock: socket.socket, file: BinaryIO) -> bool:
    """Write what comes, deflated, to a file. Whether all of it came."""
    inflate, length = zlib.decompressobj(), 0
    while not inflate.eof:
        try:
            data = inflate.unconsumed_tail or sock.recv(1 << 16)
            piece = inflate.decompress(data, PIECE)
        except (OSError, zlib.error):
            return False
        if not data and not piece:
            return False
        length += file.write(piece)
        if length > boxes.LARGEST:
            raise ConnectError("the data received is larger than any black box", "it cannot be read")
    return True
