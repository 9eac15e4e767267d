"""Answers the requests of looptop on the other side of `--via`, each in a process of its own."""

from __future__ import annotations

import os
import select
import socket
import zlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from monitor.attach import boxes, find, targets  # noqa: F401 - once, not in each child
from monitor.transport.address import Address
from monitor.transport.dial import dial

if TYPE_CHECKING:
    from collections.abc import Callable

    Say = Callable[..., None]

LOOK = 0.5
"""Seconds between two searches for processes that have come or gone."""
DIAL = 10.0


def answer(request: dict[str, Any], say: Say) -> None:
    """Answer one request; `say` takes an object and the descriptor of an opened connection. Raises LooptopError."""
    WORK[request["op"]](request, say)


def _open(request: dict[str, Any], say: Say) -> None:
    """Connect to the probe of a TARGET; inject one if there is none and the request allows it."""
    news: list[str] = []

    def inject(pid: int) -> Address:
        from monitor.remote.there.injection import inject as work

        result = work(pid, request["inject"], request["kept"])
        news.extend(result.notes)
        return Address(path=result.socket, pid=pid, listen_fd=result.listen_fd)

    address = targets.resolve(request["target"], inject=inject if request.get("inject") else None)
    sock = dial(address, DIAL)
    say({"open": True, "pid": address.pid, "news": news}, sock.fileno())


def _read(request: dict[str, Any], say: Say) -> None:
    """Read the tasks of a process from outside."""
    from monitor.attach import outside

    pid = outside.pid_of(request["target"])
    reader = outside.start(pid, request["why"], request["text"])
    reader.sock.settimeout(DIAL)
    if not reader.sock.recv(1, socket.MSG_PEEK):
        raise outside.failed(pid, reader)
    say({"open": True, "pid": pid}, reader.sock.fileno())


def _plan(request: dict[str, Any], say: Say) -> None:
    """Tell what attaching to a process would do."""
    from monitor.attach.plan import plan
    from monitor.remote.there import injection

    options = request["options"]

    def entering(pid: int) -> str:
        return injection.plan(pid, options, request["kept"])

    say({"plan": plan(int(request["target"]), entering, options["method"], request["read_only"])})


def _boxes(request: dict[str, Any], say: Say) -> None:
    """List the black boxes of programs that died, or describe one."""
    target = request["target"]
    found = boxes.dead() if target is None else [boxes.find(target)]
    say({"boxes": [{**asdict(box), "path": str(box.path)} for box in found]})


def _box(request: dict[str, Any], say: Say) -> None:
    """Send a black box, deflated."""
    box = boxes.find(request["target"])
    ours, theirs = socket.socketpair()
    with box.path.open("rb") as file, ours:
        say({"open": True}, theirs.fileno())
        theirs.close()
        deflate, left = zlib.compressobj(1), boxes.LARGEST
        while left > 0:
            data = file.read(min(1 << 20, left))
            if not data:
                break
            left -= len(data)
            ours.sendall(deflate.compress(data))
        ours.sendall(deflate.flush())


def _programs(request: dict[str, Any], say: Say) -> None:
    """List the Python programs."""
    from monitor.attach.programs import programs

    say({"programs": [asdict(program) for program in programs(bool(request["all"]))]})


def _members(request: dict[str, Any], say: Say) -> None:
    """Report the processes of a TARGET, now and at every change, with the exit status of those that ended."""
    from monitor.attach.processes import Processes
    from monitor.fleet.ends import End

    processes, known = Processes(), None
    ends: dict[str, End] = {}
    while True:
        found = processes.of(request["target"])
        statuses: dict[str, int] = {}
        for gone in [one for one in ends if one not in found]:
            end = ends.pop(gone)
            status = end.status()
            if status is not None:
                statuses[gone] = status
            end.close()
        if found != known:
            say({"members": found, "statuses": statuses})
            known = found
        ends.update({one: End(int(one)) for one in found if one.isdigit() and one not in ends})
        if select.select([0], [], [], LOOK)[0]:  # looptop has closed the request
            return


WORK = {
    "open": _open,
    "read": _read,
    "plan": _plan,
    "programs": _programs,
    "members": _members,
    "boxes": _boxes,
    "box": _box,
}
os.umask(0o077)
