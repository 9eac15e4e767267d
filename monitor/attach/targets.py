"""Resolves what the user types for a running program: a pid, `@NAME`, `unix:PATH` or `HOST:PORT`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.errors import ConnectError, NoProbe, ProcessGone, UsageError
from monitor.parsing import host_port
from monitor.transport.address import Address

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FORMS = "a TARGET is a pid, unix:PATH, HOST:PORT, @NAME or a recording"
RUNNING = "name one that runs: a pid, unix:PATH, HOST:PORT or @NAME"
_LOCAL = ("localhost", "127.0.0.1", "::1", "0.0.0.0", "::", "")  # noqa: S104 - compared with, not bound


def resolve(
    text: str, environ: Mapping[str, str] | None = None, inject: Callable[[int], Address] | None = None
) -> Address:
    """The address of a target. `inject` injects a probe into a process without one; if None, that is an error.

    Raises ConnectError, or UsageError if the text is not a target.
    """
    environ = os.environ if environ is None else environ
    if text.startswith("unix:"):
        return _of_path(text[len("unix:") :])
    if text.startswith("@"):
        return _of_name(text[1:], environ)
    if text.isascii() and text.isdigit():
        return _of_pid(int(text), environ, inject)
    check_running(text)
    host, port = host_port(text) or ("", 0)
    return _of_port(host or "localhost", port, environ)


def check_running(text: str) -> None:
    """Raise UsageError for a text that cannot mean a running program: a recording, or no target at all."""
    if text.startswith(("unix:", "@")) or (text.isascii() and text.isdigit()) or host_port(text) is not None:
        return
    if recording(text) is not None:
        raise UsageError(f"{text} is a file, not a program", RUNNING)
    raise UsageError(f"{text!r} is not a target", FORMS)


def recording(text: str) -> Path | None:
    """The file or flight-recorder directory that a target names; None for a running program.

    A file whose name looks like a pid is written `./4242`.
    """
    if not text or text.startswith(("unix:", "@")) or (text.isascii() and text.isdigit()):
        return None
    path = Path(text)
    try:
        there = any(path.glob("*.segment")) if path.is_dir() else path.exists()
    except (OSError, ValueError):
        return None
    return path if there or (text.endswith(".looptop") and host_port(text) is None) else None


def _of_path(path: str) -> Address:
    if not path:
        raise UsageError("unix: without a path", "write unix:/run/user/1000/looptop/4242.sock")
    return Address(path=str(Path(path).expanduser()))


def _of_port(host: str, port: int, environ: Mapping[str, str]) -> Address:
    from monitor.attach.find import probes

    if not 0 < port < 65536:
        raise UsageError(f"{port} is not a port", "a port is 1 to 65535")
    token_file = None
    if host in _LOCAL and not environ.get("LOOPTOP_TOKEN"):
        for probe in probes(environ).probes:
            if probe.listen is not None and probe.listen.rpartition(":")[2] == str(port):
                token_file = probe.token_file
    return Address(host=host, port=port, token_file=token_file, cafile=environ.get("LOOPTOP_CAFILE") or None)


def _of_name(name: str, environ: Mapping[str, str]) -> Address:
    from monitor.attach.find import probes
    from monitor.transport import fd_passing

    found = probes(environ)
    matches = [Address(path=probe.socket, pid=probe.pid) for probe in found.of_name(name)]
    behind = fd_passing.everywhere() if fd_passing.possible() else []
    matches += [Address(pid=one.pid, listen_fd=one.number) for one in behind if one.name == name]
    if len(matches) > 1:
        pids = ", ".join(str(probe.pid) for probe in matches)
        raise ConnectError(f"{len(matches)} programs are called @{name}", f"use one of their pids: {pids}")
    if not matches:
        known = {probe.name for probe in found.probes} | {one.name for one in behind}
        names = sorted(f"@{one}" for one in known if one)
        hint = f"there is {', '.join(names)}" if names else "looptop ps lists what runs here"
        hint = _first(found.problems, _black_box(f"@{name}", environ) or hint)
        raise ConnectError(f"no program is called @{name}", hint)
    return matches[0]


def _black_box(target: str, environ: Mapping[str, str]) -> str | None:
    """Where to look for a program that died."""
    from monitor.attach import boxes

    try:
        box = boxes.find(target, environ)
    except UsageError:
        return None
    if box.alive:
        return None
    # A name may be that of a program that runs without a probe, too.
    ended = "the last of that name ended" if target.startswith("@") else "it has ended"
    return f"{ended}: looptop postmortem {target}"


def _of_pid(pid: int, environ: Mapping[str, str], inject: Callable[[int], Address] | None) -> Address:
    from monitor.attach.find import probe_of

    announced = probe_of(pid, environ)
    if announced is not None:
        return Address(path=announced.socket, pid=pid)
    from monitor.transport import fd_passing

    behind = fd_passing.find(pid)
    if behind is not None:
        return Address(pid=pid, listen_fd=behind.number)
    return _without_probe(pid, environ, inject)


def _without_probe(pid: int, environ: Mapping[str, str], inject: Callable[[int], Address] | None) -> Address:
    """Find the probe of another user's process or inject one; raises with the reason if neither is possible."""
    import psutil  # type: ignore[import-untyped]

    from monitor.attach import find, programs, watchability

    try:
        process = psutil.Process(pid)
        owner = process.uids().effective
        name = process.name()
        if process.status() == psutil.STATUS_ZOMBIE:
            raise psutil.NoSuchProcess(pid)
    except (psutil.Error, OverflowError):
        hint = _black_box(str(pid), environ) or "looptop ps lists what runs here"
        raise ProcessGone(f"no process has the pid {pid}", hint) from None
    if not watchability.is_own(owner):
        user = find.user_name(owner)
        raise ConnectError(f"process {pid} ({name}) belongs to {user}", watchability.as_whom(owner))
    if owner != os.geteuid():
        announced = find.probe_of(pid, uid=owner)
        if announced is not None:
            return Address(path=announced.socket, pid=pid)
    mapped = programs.mapped_by(pid)
    if mapped is None or mapped.asyncio is False:
        from monitor.attach.worker_processes import WorkerProcesses

        below = WorkerProcesses()
        if not below.of(pid) and below.unrelated:
            raise ConnectError(
                f"process {pid} ({name}) has no workers: the {below.unrelated} processes with loops below it run "
                "different programs",
                "looptop ps lists them",
            )
    if mapped is None:
        raise ConnectError(f"process {pid} ({name}) is not a Python program", "looptop ps lists those that are")
    if mapped.asyncio is False:
        raise ConnectError(
            f"process {pid} ({name}) is Python but has not loaded asyncio", "there is no event loop to watch"
        )
    if inject is not None:
        return inject(pid)
    problems = find.probes(environ).problems
    raise NoProbe(f"process {pid} ({name}) has no probe", _first(problems, "looptop attach puts one in"))


def _first(problems: list[str], otherwise: str) -> str:
    return problems[0] if problems else otherwise
