"""Connects to programs on the other side of `--via`, and lists them."""

from __future__ import annotations

import os
import re
import shlex
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from monitor.attach.outside import unwinder
from monitor.attach.programs import Program
from monitor.errors import ConnectError, LooptopError, NoProbe
from monitor.parsing import host_port
from monitor.remote.answers import printable
from monitor.remote.links import link_to
from monitor.remote.place import join
from monitor.transport.connection import GREETING, Connection, find_token, greeted
from monitor.transport.tls import TlsSocket, secured

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from monitor.attach.injector import Injector
    from monitor.remote.link import Opened

MOST_PROGRAMS = 10_000
BEYOND = 20.0
"""Seconds that an injection may take beyond its timeout."""
_TEXTS = ("owner", "command", "python", "loop", "name", "how", "reason", "todo")
_SUGGESTED = re.compile(r"\blooptop (?:attach|postmortem) \S+(?: --\S+)*$")

_Kind = TypeVar("_Kind")


def connect(target: str, command: str, token_file: str | None, injector: Injector | None = None) -> Connection:
    """Connect to a TARGET on the other side of a command; `injector` puts a probe into a pid that has none.

    Raises LooptopError.
    """
    with leading(command):
        opened = _opened(target, command, injector)
    where = join(target, command)
    address, cafile = host_port(target), os.environ.get("LOOPTOP_CAFILE")
    sock: socket.socket | TlsSocket = opened.sock
    if address is not None and cafile:
        sock = secured(opened.sock, address[0] or "localhost", where, cafile, GREETING)
    connection = Connection(sock, where, opened.why)
    return greeted(
        connection,
        time.monotonic() + GREETING,
        lambda: find_token(where, None, token_file, os.environ),
        opened.answer.pid,
    )


def _opened(target: str, command: str, injector: Injector | None) -> Opened:
    link = link_to(command)
    try:
        return link.open(target)
    except NoProbe:
        if injector is None:
            raise
    link.keep(lambda: _needed(link.hello.machine))
    opened = link.open(target, injector.timeout + BEYOND, inject=_options(injector))
    for text in opened.answer.news:
        if injector.notify is not None:
            injector.notify(printable(text))
    return opened


def read(target: str, command: str, why: str) -> Connection:
    """Read the tasks of a process there from outside; `why` is shown on the screen. Raises LooptopError."""
    text = unwinder().read_text(encoding="utf-8")
    with leading(command):
        opened = link_to(command).open(target, BEYOND, "read", why=why, text=text)
    connection = Connection(opened.sock, join(target, command), opened.why)
    return greeted(connection, time.monotonic() + GREETING, str, opened.answer.pid)


def plan(target: str, command: str, injector: Injector, read_only: bool) -> str:
    """What attaching to a process there would do, as lines of text. Raises LooptopError."""
    link = link_to(command)
    link.keep(lambda: _needed(link.hello.machine))
    seconds, options = injector.timeout + BEYOND, _options(injector)
    with leading(command):
        answer = link.ask("plan", seconds, target=target, read_only=read_only, options=options)
    return "\n".join(printable(line) for line in decoded(answer, _Plan, command).plan.splitlines())


def _options(injector: Injector) -> dict[str, Any]:
    return {name: getattr(injector, name) for name in ("method", "timeout", "force", "stay")}


def _needed(machine: str) -> dict[str, Any]:
    """What an injection on a machine of that kind needs."""
    from monitor.attach.inject import native
    from monitor.attach.inject.payload import texts

    return {"texts": texts(), "native": native.copy_for(printable(machine, 30))}


@contextmanager
def leading(command: str) -> Iterator[None]:
    """Make the commands that errors suggest lead to the other side, too."""
    try:
        yield
    except LooptopError as error:
        error.hint = _leads(error.hint, command)
        raise


def _leads(text: str, command: str) -> str:
    return f"{text} --via {shlex.quote(command)}" if _SUGGESTED.search(text) else text


class _Plan(msgspec.Struct):
    plan: str


class _Programs(msgspec.Struct):
    programs: list[Program]


def decoded(answer: bytes, kind: type[_Kind], command: str) -> _Kind:
    """An answer of the other side. Raises ConnectError if it is malformed."""
    try:
        return msgspec.json.decode(answer, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ConnectError(f"{command} returns data that is not looptop's", "an answer is malformed") from None


def programs(command: str, everything: bool = False) -> list[Program]:
    """The Python programs on the other side of a command. Raises LooptopError."""
    answer = link_to(command).ask("programs", all=everything)
    return [_cleaned(program, command) for program in decoded(answer, _Programs, command).programs[:MOST_PROGRAMS]]


def _cleaned(program: Program, command: str) -> Program:
    """The texts without control characters; what to do next leads there, too."""
    texts: dict[str, Any] = {
        name: printable(value) for name in _TEXTS if isinstance(value := getattr(program, name), str)
    }
    if program.ports is not None:
        texts["ports"] = tuple(printable(port) for port in program.ports)
    return replace(program, **{**texts, "todo": _leads(texts["todo"], command)})
