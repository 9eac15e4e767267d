"""Writes an exported file: completely or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from typing import TYPE_CHECKING

from monitor.errors import LooptopError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)


def write(path: Path, pieces: Iterable[bytes], *, overwrite: bool = False) -> int:
    """Write a file with mode 0600 and return its size. Raises UsageError if it exists and `overwrite` is false.

    Safe in a folder that others can write to: follows, opens and replaces nothing of theirs.
    """
    if os.path.lexists(path) and not (overwrite and path.is_file()):
        raise _exists(path)
    part = path.with_name(f".{path.name[:200]}.{secrets.token_hex(8)}")
    size = 0
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            for piece in pieces:
                size += file.write(piece)
        _put(part, path, overwrite)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise LooptopError(f"{path} cannot be written", error.strerror or str(error)) from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    return size


def _put(part: Path, path: Path, overwrite: bool) -> None:
    """Rename a file to its final name. Without `overwrite`, raises FileExistsError if one has appeared meanwhile."""
    if not overwrite:
        try:
            os.link(part, path, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_LINKS:  # a file system without hard links
                raise
        else:
            return
    part.replace(path)


def _exists(path: Path) -> UsageError:
    return UsageError(f"{path} exists", "name another file, or say --force")
