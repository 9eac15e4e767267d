"""Runs on the other side of `--via`: passes bytes between probes there and looptop here, over stdin and stdout.

Sent as source and run by any Python from 3.8 on; it loads the other modules from memory. Each request is answered by a
forked child, so that one that takes long holds up nobody. It ends with its connection, and its children with it.

A frame is a kind, a channel and a length, followed by so many bytes. A channel is one request and, if that opened a
probe, the bytes of that connection. Each side sends as many bytes of a channel as the other has room for.
"""

from __future__ import annotations
import __future__

import array
import json
import os
import select
import signal
import socket
import struct
import sys
import time
import zlib
from importlib import import_module
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import ModuleType

    Answer = Callable[[dict[str, Any], Callable[..., None]], None]

HEADER = struct.Struct("!BII")
ASK, SAY, DATA, CREDIT, CLOSE, PING = range(6)
"""`ASK`: a request, deflated JSON. `SAY`: an answer, JSON. `CREDIT`: room for so many bytes more, four bytes."""

WINDOW = 256 << 10
"""Bytes of a channel that may be under way."""
PIECE = 32 << 10
MOST_SAID = 8 << 20
"""Bytes of the longest answer."""
MOST_ASKED = 32 << 20
MOST_UNSENT = 256 << 10
"""Bytes of requests that a probe does not read, after which its channel is closed."""
SILENCE = 60
"""Seconds without a frame from looptop after which the relay ends; looptop sends one every few seconds."""
_FD = array.array("i").itemsize


class Frames:
    """Splits a stream into frames. Raises ValueError for one that is none."""

    def __init__(self, longest: Sequence[int]) -> None:
        self.rest = bytearray()
        self.longest = longest

    def feed(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Add bytes; yields kind, channel and content of each frame that is complete."""
        self.rest += data
        while len(self.rest) >= HEADER.size:
            kind, channel, length = HEADER.unpack_from(self.rest)
            if kind > PING or length > self.longest[kind]:
                raise ValueError("the data received is not a frame")
            end = HEADER.size + length
            if len(self.rest) < end:
                return
            content = bytes(self.rest[HEADER.size : end])
            del self.rest[:end]
            yield kind, channel, content


FROM_HERE = (MOST_ASKED, 0, PIECE, 4, 0, 0)
FROM_THERE = (0, MOST_SAID, PIECE, 4, 0, 0)
"""Longest content of each kind, in either direction."""


class Pending:
    """A request that a child answers. Writes to its stdin never come: when that closes, nobody waits any more."""

    def __init__(self, channel: int, pid: int, sock: socket.socket, alive: int) -> None:
        self.channel = channel
        self.pid = pid
        self.sock = sock
        self.alive: int | None = alive
        self.received = bytearray()
        self.opened: socket.socket | None = None
        self.adopted = False  # what it opened is a channel now


class Channel:
    """A connection to a probe."""

    def __init__(self, number: int, sock: socket.socket) -> None:
        self.number = number
        self.sock = sock
        self.credit = WINDOW
        self.unsent = bytearray()
        self.events = 0


class Relay:
    """Serves until its connection ends."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.poll = select.poll()
        self.poll.register(0, select.POLLIN)
        self.frames = Frames(FROM_HERE)
        self.pending: dict[int, Pending] = {}  # by descriptor
        self.channels: dict[int, Channel] = {}  # by number
        self.sockets: dict[int, Channel] = {}  # the same, by descriptor
        self.kept: dict[str, Any] = {}  # sent once for all requests

    def run(self) -> None:
        """Until stdin ends. Whatever else happens to the connection, SIGALRM ends the process."""
        while True:
            for handle, events in self.poll.poll():
                if handle == 0:
                    signal.alarm(SILENCE)
                    data = os.read(0, 1 << 16)
                    if not data:
                        return
                    for frame in self.frames.feed(data):
                        self.take(*frame)
                elif handle in self.pending:
                    self.read_child(self.pending[handle])
                elif handle in self.sockets:
                    self.serve(self.sockets[handle], events)

    def take(self, kind: int, number: int, content: bytes) -> None:
        """Handle one frame of looptop."""
        channel = self.channels.get(number)
        if kind == ASK:
            self.ask(number, json.loads(zlib.decompress(content)))
        elif kind == PING:
            self.write(PING, 0, b"")
        elif kind == CLOSE:
            for one in self.pending.values():
                if one.channel == number and one.alive is not None:
                    os.close(one.alive)
                    one.alive = None
            if channel is not None:
                self.close(channel, notify=False)
        elif channel is not None and kind == DATA:
            channel.unsent += content
            if len(channel.unsent) > MOST_UNSENT:
                self.close(channel)
            else:
                self.flush(channel)
        elif channel is not None and kind == CREDIT:
            channel.credit += int.from_bytes(content, "big")
            self.want(channel)

    def ask(self, number: int, request: dict[str, Any]) -> None:
        """Fork a child that answers; or keep something for others."""
        if request["op"] == "keep":
            self.kept = request["things"]
            return
        request["kept"] = self.kept
        ours, theirs = socket.socketpair()
        alive, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.close(writing)
                ours.close()
                self.become_child(alive)
                reply(theirs, self.answer, request)
            finally:
                os._exit(0)
        theirs.close()
        os.close(alive)
        os.set_inheritable(writing, False)
        self.pending[ours.fileno()] = Pending(number, pid, ours, writing)
        self.poll.register(ours, select.POLLIN)

    def become_child(self, alive: int) -> None:
        """Keep no descriptor but our own, so that a connection ends when the relay closes it."""
        os.dup2(alive, 0)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        others = [channel.sock.fileno() for channel in self.channels.values()]
        others += [one.sock.fileno() for one in self.pending.values()]
        others += [one.alive for one in self.pending.values() if one.alive is not None]
        others += [one.opened.fileno() for one in self.pending.values() if one.opened is not None]
        for handle in others:
            os.close(handle)

    def read_child(self, one: Pending) -> None:
        """Pass on the answers of a child; a connection that it opened becomes the channel of its request."""
        try:
            data, extra, _, _ = one.sock.recvmsg(1 << 16, socket.CMSG_SPACE(_FD))
        except OSError:
            data, extra = b"", []
        for level, kind, handles in extra:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS and one.opened is None:
                one.opened = socket.socket(fileno=int.from_bytes(handles[:_FD], sys.byteorder))
        one.received += data
        while b"\n" in one.received:
            line, _, rest = bytes(one.received).partition(b"\n")
            one.received = bytearray(rest)
            if one.alive is not None:
                self.adopt(one)  # first: looptop may send something as soon as it knows
                self.write(SAY, one.channel, line)
        if data:
            return
        self.poll.unregister(one.sock)
        del self.pending[one.sock.fileno()]
        one.sock.close()
        os.waitpid(one.pid, 0)
        if one.opened is not None:  # nobody waits for it any more
            one.opened.close()
        if one.alive is not None:
            os.close(one.alive)
            if not one.adopted:
                self.write(CLOSE, one.channel, b"")

    def adopt(self, one: Pending) -> None:
        """Make what a child has opened the channel of its request."""
        if one.opened is None:
            return
        one.opened.setblocking(False)
        channel = self.channels[one.channel] = Channel(one.channel, one.opened)
        self.sockets[channel.sock.fileno()] = channel
        self.want(channel)
        one.opened, one.adopted = None, True

    def serve(self, channel: Channel, events: int) -> None:
        """Read from a probe as much as there is room for, and write to it."""
        if events & select.POLLOUT:
            self.flush(channel)
        if channel.number not in self.channels or not events & ~select.POLLOUT:
            return
        try:
            data = channel.sock.recv(min(PIECE, max(channel.credit, 1)))
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.close(channel)
            return
        channel.credit -= len(data)
        self.write(DATA, channel.number, data)
        self.want(channel)

    def flush(self, channel: Channel) -> None:
        """Write to a probe what it has room for."""
        try:
            while channel.unsent:
                sent = channel.sock.send(channel.unsent)
                del channel.unsent[:sent]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self.close(channel)
            return
        self.want(channel)

    def want(self, channel: Channel) -> None:
        """Poll for what can be done; for nothing at all while there is no room, since a hangup would not rest."""
        events = (select.POLLIN if channel.credit > 0 else 0) | (select.POLLOUT if channel.unsent else 0)
        if events != channel.events:
            if events:
                self.poll.register(channel.sock, events)
            else:
                self.poll.unregister(channel.sock)
            channel.events = events

    def close(self, channel: Channel, notify: bool = True) -> None:
        """End a channel and close its socket."""
        if channel.events:
            self.poll.unregister(channel.sock)
        del self.channels[channel.number], self.sockets[channel.sock.fileno()]
        channel.sock.close()
        if notify:
            self.write(CLOSE, channel.number, b"")

    def write(self, kind: int, channel: int, content: bytes) -> None:
        """Send a frame. Waits for room; looptop always reads."""
        data = memoryview(HEADER.pack(kind, channel, len(content)) + content)
        while data:
            data = data[os.write(1, data) :]


def reply(sock: socket.socket, answer: Answer, request: dict[str, Any]) -> None:
    """Send each answer to a request as a line, with a descriptor if it opened one."""

    def say(thing: dict[str, Any], handle: int | None = None) -> None:
        data = json.dumps(thing).encode("ascii") + b"\n"
        if len(data) > MOST_SAID:
            data = b'{"error": ["ConnectError", "the answer is too long", ""]}\n'
        rest = [] if handle is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [handle]))]
        sent = sock.sendmsg([data], rest)
        sock.sendall(data[sent:])

    try:
        answer(request, say)
    except ConnectionError:  # nobody waits any more
        return
    except Exception as error:
        facts = [getattr(error, name, "") for name in ("message", "hint")]
        if not facts[0]:
            facts = ["looptop failed there", f"{type(error).__name__}: {error}"]
        say({"error": [type(error).__name__, *facts]})


class Sent:
    """Imports modules from the text that was sent."""

    def __init__(self, sources: dict[str, str]) -> None:
        self.sources = sources

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:  # noqa: ARG002
        """As importlib calls it."""
        if name not in self.sources:
            return None
        inner = any(other.startswith(name + ".") for other in self.sources)
        return ModuleSpec(name, self, origin=self.place(name), is_package=inner)  # type: ignore[arg-type]

    def place(self, name: str) -> str:
        """A path for messages; there is no such file."""
        return "/<looptop>/{}.py".format(name.replace(".", "/"))

    def create_module(self, spec: ModuleSpec) -> None:
        """Return None: importlib makes the module."""

    def exec_module(self, module: ModuleType) -> None:
        """Compile and run it."""
        name = module.__name__
        module.__file__ = self.place(name)
        text = self.sources[name]
        code = compile(text, module.__file__, "exec", __future__.annotations.compiler_flag, dont_inherit=True)
        exec(code, module.__dict__)


def start(bundle: dict[str, Any]) -> None:
    """Say that the relay is here, and serve."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(SILENCE)
    sys.meta_path.insert(0, Sent(bundle["sources"]))
    here = os.uname()
    facts: dict[str, Any] = {"python": sys.version.split()[0], "host": here.nodename, "machine": here.machine}
    facts.update(uid=os.geteuid(), pid=os.getpid(), now=time.time())
    hello = json.dumps(facts).encode("ascii")
    sys.dont_write_bytecode = True

    try:
        os.write(1, bundle["marker"].encode("ascii"))
        os.write(1, HEADER.pack(SAY, 0, len(hello)) + hello)
        import_module("monitor.remote.there.older")
        Relay(import_module("monitor.remote.there.requests").answer).run()
    except (OSError, KeyboardInterrupt):  # the connection ended
        pass
    os._exit(0)
