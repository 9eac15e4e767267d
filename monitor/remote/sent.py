"""What is sent to the other side: the relay, and the modules that it loads from memory. Standard library only."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

RELAY = "monitor.remote.relay"
MODULES = (
    "monitor.errors",
    "monitor.parsing",
    "monitor.attach.boxes",
    "monitor.attach.find",
    "monitor.attach.memory_maps",
    "monitor.attach.outside",
    "monitor.attach.plan",
    "monitor.attach.ports",
    "monitor.attach.processes",
    "monitor.attach.programs",
    "monitor.attach.targets",
    "monitor.attach.watchability",
    "monitor.attach.worker_processes",
    "monitor.attach.inject.code",
    "monitor.attach.inject.compiled",
    "monitor.attach.inject.elf",
    "monitor.attach.inject.gdb",
    "monitor.attach.inject.helper",
    "monitor.attach.inject.interpreter",
    "monitor.attach.inject.interruptible_threads",
    "monitor.attach.inject.native",
    "monitor.attach.inject.payload",
    "monitor.attach.inject.ptrace",
    "monitor.attach.inject.remote_exec",
    "monitor.attach.inject.resource_limits",
    "monitor.attach.inject.result",
    "monitor.attach.inject.seccomp",
    "monitor.attach.inject.target",
    "monitor.attach.inject.thread_injector",
    "monitor.fleet.ends",
    "monitor.remote.there.injection",
    "monitor.remote.there.older",
    "monitor.remote.there.requests",
    "monitor.transport.address",
    "monitor.transport.dial",
    "monitor.transport.fd_passing",
    "monitor.transport.mailbox",
    "monitor.transport.memory_file",
    "probes.base.protocol",
)
INSTEAD = {"psutil": "monitor.remote.there.process"}
"""Libraries that may be missing on the other side, and the module that replaces what looptop uses of each."""

_BEGIN = """
import os,sys
if sys.path[:1]==[""]: del sys.path[0]
if sys.version_info<(3,8): sys.exit("looptop-relay: Python %d.%d.%d" % sys.version_info[:3])
import json,zlib
b=b""
while len(b)<{length}: b+=os.read(0,{length}-len(b)) or sys.exit(0)
b=json.loads(zlib.decompress(b))
g=dict(__name__="looptop-relay")
exec(compile(b["relay"],"looptop-relay","exec"),g)
g["start"](b)
"""


def path_of(module: str) -> Path:
    """The path of a module of looptop."""
    return ROOT.joinpath(*module.split(".")).with_suffix(".py")


def bundle(marker: str) -> bytes:
    """Everything that is sent, deflated. The relay writes `marker` first, after anything that a shell prints."""
    files = {**{name: name for name in MODULES}, **INSTEAD}
    sources = {name: path_of(module).read_text(encoding="utf-8") for name, module in files.items()}
    for name in MODULES:  # packages: nothing but a docstring is in them
        for depth in range(1, name.count(".") + 1):
            sources.setdefault(".".join(name.split(".")[:depth]), "")
    relay = path_of(RELAY).read_text(encoding="utf-8")
    return zlib.compress(json.dumps({"marker": marker, "relay": relay, "sources": sources}).encode("ascii"))


def options(length: int) -> list[str]:
    """Arguments for the remote interpreter, so that it reads a bundle of that many bytes from stdin and starts it.

    The last one means the same whether a shell there reads it (ssh) or not (docker exec): without a shell, the first
    and the last line are a number and a comment; a shell takes off the quotes, which leaves the same. Lines end with
    a carriage return, because csh allows no line feed in quotes.
    """
    text = _BEGIN.format(length=length).replace("\n", "\r")
    return ["-E", "-s", "-S", "-c", f"0#'{text}#'"]
