"""Finds black boxes of dead programs and reads their headings. Every file is checked. Standard library only."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import time
from contextlib import suppress
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from monitor.errors import UsageError
from probes.base import protocol

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

LARGEST = (256 << 20) + protocol.BOX_HEADING
"""Size in bytes of the largest box that is read."""
NO_WORD = "ended without a word: killed, crashed or left by os._exit"
JUST_ENDED = 600.0
"""Limit of seconds between the last entry and the end: about a second for a killed program, more if it was stopped."""
MOST_BOXES = 1000
"""Limit of boxes examined in a folder."""
OF_USERS = ("/run/user/*/looptop", "/tmp/looptop-*")  # noqa: S108 - see `_owners`
"""The usual folders of all users."""
LONGEST = 7 * 86_400
"""Seconds for which a dead program is listed; after that the next probe of the same user removes its box."""

_Line = TypeVar("_Line")


@dataclass(frozen=True)
class Heading:
    """The heading of a box. Times are Unix time."""

    session: str
    segments: int
    segment: int  # bytes per segment
    events: int = 0  # of the step ring that there is room for
    pid: int = 0
    started: float = 0.0  # start of the process
    opened: float = 0.0  # start of its probe
    name: str = ""
    program: str = ""
    python: str = ""
    host: str = ""
    oom_file: str = ""  # where the kernel counts OOM kills in the cgroup
    oom_kills: int = 0  # count when the box was opened


@dataclass(frozen=True)
class Ended:
    """The note that a program leaves in its box at its end, if it can."""

    at: float
    how: str


@dataclass(frozen=True)
class Status:
    """The exit status, noted by a witness of the end: the parent, or a viewer."""

    at: float
    status: int  # negative for a signal, as in subprocess
    oom_kills: int | None = None  # OOM kills since the box was opened


@dataclass(frozen=True, slots=True)
class Box:
    """A black box on disk."""

    path: Path
    heading: Heading
    alive: bool  # its program is still running
    size: int  # bytes in use
    changed: float  # time of the last write
    noted: Ended | None
    status: Status | None
    oom_kills: int | None  # in its cgroup since the box was opened; None if unknown
    skew: float = 0.0  # seconds by which the clock of its machine is ahead of ours

    @property
    def ended(self) -> float | None:
        """When the program ended: the noted time, else that of the last write. None while it runs."""
        if self.alive:
            return None
        note = self.noted or self.status
        return note.at if note is not None else self.changed

    @property
    def ago(self) -> float | None:
        """Seconds since the program ended. None while it runs."""
        return None if self.ended is None else max(time.time() + self.skew - self.ended, 0.0)

    @property
    def how(self) -> str:
        """How it ended, as far as known."""
        if self.alive:
            return "still running"
        if self.noted is not None:
            return self.noted.how
        killed = self.status is None or self.status.status == -signal.SIGKILL
        text = NO_WORD if self.status is None else end_text(self.status.status)
        kills = (self.oom_kills or 0) if killed else 0
        if kills:
            text += f"; the OOM killer ended {kills} process{'es' if kills > 1 else ''} of its cgroup meanwhile"
        return text


def is_box(path: Path) -> bool:
    """Whether a file is a black box, by its first bytes. Never raises."""
    try:
        with path.open("rb") as file:
            return file.read(len(protocol.BOX_MAGIC)) == protocol.BOX_MAGIC
    except OSError:
        return False


def dead(environ: Mapping[str, str] | None = None) -> list[Box]:
    """Return the boxes of this user's dead programs, newest first; for root those of all users."""
    environ = os.environ if environ is None else environ
    found = []
    for folder in [*_folders(environ), *_folders_of_others(environ)]:
        try:  # other files do not count: each running program has two, and they may stand before all boxes
            paths = sorted(path for path in folder.iterdir() if protocol.name_of_box(path.name) is not None)
            owners = _owners(folder)
        except OSError:
            continue
        for path in paths[:MOST_BOXES]:
            with suppress(OSError, UsageError):
                found.append(inspect(path, owners))
    dead = {box.heading.session: box for box in found if not box.alive}
    return sorted(dead.values(), key=lambda box: -(box.ended or 0.0))


def _folders(environ: Mapping[str, str]) -> list[Path]:
    folders = [Path(path) for path in protocol.runtime_dirs(environ, os.geteuid())]
    folders += [Path(part.strip()) for part in environ.get("LOOPTOP_BOX", "").split(",") if "/" in part]
    return list(dict.fromkeys(folders))


def _folders_of_others(environ: Mapping[str, str]) -> list[Path]:
    """The folders of all users, for root."""
    if os.geteuid() or environ.get("LOOPTOP_DIR"):
        return []
    return sorted(path for pattern in OF_USERS for path in Path("/").glob(pattern.lstrip("/")))


def _owners(folder: Path) -> Container[int]:
    """The users whose files in a folder are read. Root trusts no file that a user placed among those of another."""
    if os.geteuid():
        return (os.geteuid(),)
    owner = folder.stat().st_uid
    return (owner,) if owner else range(1 << 32)


def searched(environ: Mapping[str, str] | None = None) -> str:
    """The folders in which boxes are looked for, and what decides that, for messages."""
    environ = os.environ if environ is None else environ
    decides = "set by LOOPTOP_DIR" if environ.get("LOOPTOP_DIR") else "LOOPTOP_DIR names another folder"
    others = " and those of other users" if _folders_of_others(environ) else ""
    return f"{', '.join(map(str, _folders(environ)))}{others} ({decides})"


def find(target: str, environ: Mapping[str, str] | None = None) -> Box:
    """Return the box of `@NAME` (the newest), of a pid, or a file. Raises UsageError."""
    path = Path(target)
    if not target.startswith("@") and not re.fullmatch(r"[0-9]+", target):
        try:
            return inspect(path)
        except OSError as error:
            hint = "a pid, @NAME or a file is expected: looptop postmortem lists them"
            if isinstance(error, PermissionError):
                hint = "it belongs to another user; root reads it: sudo looptop postmortem FILE"
            raise UsageError(f"{target} cannot be read: {error.strerror or error}", hint) from None
    boxes = dead(environ)
    for box in boxes:
        if target in (f"@{box.heading.name}", str(box.heading.pid)):
            return box
    names = ", ".join(dict.fromkeys(f"@{box.heading.name}" for box in boxes))
    what = f"there is {names}" if names else "no program left one"
    raise UsageError(f"no black box of {target}", f"{what} in {searched(environ)}")


def inspect(path: Path, owners: Container[int] | None = None) -> Box:
    """Read the facts of a box. Raises UsageError if it is not a box or belongs to none of `owners`, and OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (os.O_NOFOLLOW if owners is not None else 0))
    with os.fdopen(handle, "rb") as file:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode) or (owners is not None and facts.st_uid not in owners):
            raise UsageError(f"{path} is not a black box", "looptop postmortem lists them")
        heading, noted, status = read_heading(file, path, facts.st_size)
        kills = _oom_kills_since(heading) if status is None else status.oom_kills
        return Box(path, heading, _locked(handle), facts.st_blocks * 512, facts.st_mtime, noted, status, kills)


def of_process(pid: int, environ: Mapping[str, str] | None = None) -> Box | None:
    """Return the box of a process that has just ended; None if there is none, or it is still open."""
    environ = os.environ if environ is None else environ
    for folder in _folders(environ):
        with suppress(OSError):
            for path in folder.glob(f"*-{pid}-*{protocol.BOX_SUFFIX}"):
                with suppress(OSError, UsageError):
                    box = inspect(path, (os.geteuid(),))
                    if box.heading.pid == pid and not box.alive and time.time() - box.changed < JUST_ENDED:
                        return box
    return None


def note_status(box: Box, status: int) -> None:
    """Note the exit status in the box of an ended program. Never raises."""
    note = Status(time.time(), status, _oom_kills_since(box.heading))
    room = protocol.BOX_HEADING - protocol.BOX_STATUS
    with suppress(OSError):
        handle = os.open(box.path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            line = json.dumps(asdict(note)).encode("ascii") + b"\n"
            os.pwrite(handle, line.ljust(room, b"\0"), protocol.BOX_STATUS)
        finally:
            os.close(handle)


def end_text(status: int) -> str:
    """Describe the end of a process by its exit status, negative for a signal."""
    if status >= 0:
        return f"exited with status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


def _oom_kills_since(heading: Heading) -> int | None:
    if (
        not re.fullmatch(r"/sys/fs/cgroup/[^\0]*memory\.(events|oom_control)", heading.oom_file)
        or ".." in heading.oom_file
        or heading.host not in ("", os.uname().nodename)  # it was copied to here
    ):
        return None
    try:
        words = Path(heading.oom_file).read_text("utf-8").split()
        kills = int(words[words.index("oom_kill") + 1])
    except (OSError, ValueError, IndexError):
        return None
    # A smaller count is that of another cgroup with the same name.
    return kills - heading.oom_kills if kills >= heading.oom_kills else None


def read_heading(file: BinaryIO, path: Path, size: int) -> tuple[Heading, Ended | None, Status | None]:
    """Read heading, end and status. Raises UsageError if it is not a readable box."""
    data = file.read(protocol.BOX_HEADING)
    if not data.startswith(protocol.BOX_MAGIC):
        raise UsageError(f"{path} is not a black box", "looptop postmortem lists them")
    if size > LARGEST:
        raise UsageError(f"{path} is larger than any black box", "it cannot be read")
    text = data[len(protocol.BOX_MAGIC) : protocol.BOX_END].partition(b"\n")[0]
    heading = _decoded(Heading, text)
    if (
        heading is None
        or not 0 < heading.segments <= 1000
        or not 0 < heading.segment <= LARGEST
        or not 0 <= heading.events * protocol.STEP_EVENT <= LARGEST
    ):
        raise UsageError(f"the heading of {path} is damaged", "nothing of it can be read")
    noted = _decoded(Ended, data[protocol.BOX_END : protocol.BOX_STATUS].partition(b"\n")[0])
    status = _decoded(Status, data[protocol.BOX_STATUS :].partition(b"\n")[0])
    return heading, noted, status


_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "int | None": (int, type(None)),
}


def _decoded(kind: type[_Line], text: bytes) -> _Line | None:
    """A line of JSON as a dataclass of plain fields; None if it has another form."""
    try:
        loaded = json.loads(text.decode("utf-8"), parse_constant=_refuse)
        json.dumps(loaded, ensure_ascii=False).encode("utf-8")  # no lone surrogates
    except (ValueError, RecursionError):
        return None
    if not isinstance(loaded, dict):
        return None
    values: dict[str, Any] = {}
    for field in fields(kind):  # type: ignore[arg-type]
        if field.name in loaded:
            value = loaded[field.name]
            if type(value) not in _TYPES[str(field.type)] or (isinstance(value, int) and abs(value) >= 1 << 63):
                return None
            values[field.name] = float(value) if field.type == "float" else value
        elif field.default is MISSING:
            return None
    return kind(**values)


def _refuse(name: str) -> float:
    raise ValueError(name)


def _locked(handle: int) -> bool:
    """Whether the program still has the file open (flock(2)), which works across containers."""
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    fcntl.flock(handle, fcntl.LOCK_UN)
    return False
