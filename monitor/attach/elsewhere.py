"""Connects to programs on the other side of `--via`, and lists them."""

from __future__ import annotations

import os
import shlex
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from monitor.attach.programs import Program
from monitor.errors import ConnectError, NoProbe
from monitor.parsing import host_port
from monitor.remote.link import printable
from monitor.remote.links import link_to
from monitor.transport.connection import GREETING, Connection, find_token, greeted
from monitor.transport.tls import TlsSocket, secured

MOST_PROGRAMS = 10_000

if TYPE_CHECKING:
    import socket

    from monitor.attach.injector import Injector
    from monitor.remote.link import Opened


BEYOND = 20.0
"""Seconds that an injection may take beyond its timeout."""


def connect(target: str, command: str, token_file: str | None, injector: Injector | None = None) -> Connection:
    """Connect to a TARGET on the other side of a command; `injector` puts a probe into a pid that has none.

    Raises LooptopError.
    """
    opened = _opened(target, command, injector)
    where = f"{target} via {command}"
    place, cafile = host_port(target), os.environ.get("LOOPTOP_CAFILE")
    sock: socket.socket | TlsSocket = opened.sock
    if place is not None and cafile:
        sock = secured(opened.sock, place[0] or "localhost", where, cafile, GREETING)
    connection = Connection(sock, where, opened.why)
    return greeted(
        connection,
        time.monotonic() + GREETING,
        lambda: find_token(where, None, token_file, os.environ),
        opened.said.pid,
    )


def _opened(target: str, command: str, injector: Injector | None) -> Opened:
    link = link_to(command)
    try:
        return link.open(target)
    except NoProbe:
        if injector is None:
            raise
    from monitor.attach.inject.payload import texts

    link.keep(texts)
    options = {name: getattr(injector, name) for name in ("method", "timeout", "force", "stay")}
    opened = link.open(target, injector.timeout + BEYOND, options)
    for text in opened.said.news:
        if injector.notify is not None:
            injector.notify(printable(text))
    return opened


class _Programs(msgspec.Struct):
    programs: list[Program]


def programs(command: str, everything: bool = False) -> list[Program]:
    """The Python programs on the other side of a command. Raises LooptopError."""
    answer = link_to(command).ask("programs", all=everything)
    try:
        found = msgspec.json.decode(answer, type=_Programs).programs[:MOST_PROGRAMS]
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ConnectError(f"what comes through {command} is not looptop's", "its programs have another form") from None
    return [_cleaned(program, command) for program in found]


def _cleaned(program: Program, command: str) -> Program:
    """The texts without control characters; what to do next leads there, too."""
    reason = None if program.reason is None else printable(program.reason)
    todo = printable(program.todo)
    if todo.startswith("looptop attach"):
        todo += f" --via {shlex.quote(command)}"
    return replace(
        program, owner=printable(program.owner), command=printable(program.command), reason=reason, todo=todo
    )
