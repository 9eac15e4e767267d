"""Writes what a recording is exported to: a whole file, or none."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from monitor.errors import LooptopError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def write(path: Path, pieces: Iterable[bytes], *, overwrite: bool = False) -> int:
    """Writes a file; returns its size. Raises UsageError for one that exists, unless it is to be replaced."""
    if os.path.lexists(path) and not (overwrite and path.is_file()):
        raise UsageError(f"{path} exists", "name another file, or say --force")
    part = path.with_name(path.name + ".part")
    size = 0
    try:
        with part.open("wb") as file:
            for piece in pieces:
                size += file.write(piece)
        part.replace(path)
    except OSError as error:
        raise LooptopError(f"{path} can not be written", error.strerror or str(error)) from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    return size
