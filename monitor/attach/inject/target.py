"""Facts about a process before it is touched, and the reasons not to attach. Only reads /proc."""

from __future__ import annotations

import errno
import os
import platform
import re
import time
from dataclasses import dataclass, field
from pathlib import Path

from monitor.attach.inject import code, elf, resource_limits
from monitor.attach.inject.ptrace import Memory
from monitor.errors import ConnectError

OLDEST = (3, 11)
OURS = 1.0
"""Seconds to wait for another looptop that is just attaching, which takes a tenth of a second."""

YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")
_CAP_SYS_PTRACE = 1 << 19
_LIST = "looptop ps lists what runs here"
_INSTRUMENT = "start it with: looptop run SCRIPT"
_MINOR = re.compile(r"python(\d\.\d+)")


@dataclass(slots=True)
class Target:
    """A process that may be attached to."""

    pid: int
    memory: Memory
    version: tuple[int, ...]
    names: dict[str, int] = field(default_factory=dict)
    machine: int = elf.X86_64
    same_files: bool = True  # whether its paths are valid for us
    remote_off: str = ""  # how remote debugging was disabled
    foreign: bool = False  # whether it belongs to another user

    @property
    def python(self) -> str:
        """The version as people write it."""
        return ".".join(str(part) for part in self.version)


def look(pid: int) -> Target:
    """Inspect a process. Raises ConnectError with the reason not to attach, and a hint."""
    until = time.monotonic() + OURS
    status = _status(pid)
    while _is_ours(int(status.get("TracerPid", "0") or 0)) and time.monotonic() < until:
        time.sleep(0.005)
        status = _status(pid)
    _check_state(pid, status)
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        where = f"{platform.system()} on {platform.machine()}"
        raise ConnectError(f"attaching by pid is not supported on {where} yet", _INSTRUMENT)
    try:
        memory = Memory(pid)
        mapped = elf.mappings(pid)
    except FileNotFoundError:
        raise ConnectError(f"no process has the pid {pid}", _LIST) from None
    except OSError as error:
        raise denied(pid, status, error) from None
    try:
        try:
            target = _python(pid, memory, mapped)
        except OSError:  # its mappings point to unmapped memory
            raise ConnectError(f"PID {pid} is not a CPython process", _LIST) from None
        target.foreign = {int(uid) for uid in status.get("Uid", "").split()} != {os.geteuid()}
        resource_limits.check(pid, status)
        return target
    except BaseException:
        memory.close()
        raise


def _status(pid: int) -> dict[str, str]:
    try:
        text = Path(f"/proc/{pid}/status").read_text(errors="replace")
    except (OSError, ValueError):
        raise ConnectError(f"no process has the pid {pid}", _LIST) from None
    facts = {key: value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}
    if facts.get("Tgid") != str(pid):
        raise ConnectError(f"{pid} is a thread of process {facts.get('Tgid')}", "attach to the process")
    return facts


def _check_state(pid: int, status: dict[str, str]) -> None:
    state = status.get("State", "?")[0]
    tracer = int(status.get("TracerPid", "0") or 0)
    if state in "ZX":
        parent = status.get("PPid", "?")
        raise ConnectError(f"process {pid} has ended", f"it is a zombie that its parent ({parent}) has not waited for")
    if tracer:
        raise ConnectError(f"PID {pid} is already traced by {_name(tracer)} (PID {tracer})", "detach it first")
    if state in "Tt":
        raise ConnectError(f"PID {pid} is stopped", f"resume it (fg or kill -CONT {pid})")
    if "VmSize" not in status:
        raise ConnectError(f"PID {pid} is not a CPython process", f"it is the kernel's; {_LIST}")


def _is_ours(tracer: int) -> bool:
    """Whether the tracer of a process is the helper of another looptop."""
    try:
        return bool(tracer) and b"monitor.attach.inject.helper" in Path(f"/proc/{tracer}/cmdline").read_bytes()
    except OSError:
        return False


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return "another process"


def denied(pid: int, status: dict[str, str], error: OSError) -> ConnectError:
    """The error for a process that the kernel does not let us trace."""
    if error.errno not in (errno.EACCES, errno.EPERM):
        return ConnectError(f"process {pid} cannot be read", error.strerror or str(error))
    uids = {int(uid) for uid in status.get("Uid", "").split()[:3]}
    if uids - {os.geteuid()}:
        owner, me = _user(max(uids - {os.geteuid()})), _user(os.geteuid())
        return ConnectError(
            f"no permission to attach to PID {pid} (owner {owner}, you are {me})", f"run with sudo, or as {owner}"
        )
    scope = ptrace_scope()
    if scope == 3:
        text = "kernel.yama.ptrace_scope=3 forbids attaching to any process"
        return ConnectError(text, f"it stays so until the next boot; {_INSTRUMENT}")
    if scope and not capable(Path("/proc/self/status").read_text()):
        what = "to processes that are not your children" if scope == 1 else "at all"
        return ConnectError(
            f"kernel.yama.ptrace_scope={scope} lets only root attach {what}",
            "use sudo, or setcap/docker --cap-add SYS_PTRACE",
        )
    return ConnectError(
        f"no permission to attach to PID {pid}",
        "it is protected (not dumpable): run with sudo; in a container, give that SYS_PTRACE",
    )


def capable(status: str) -> bool:
    """Whether /proc/self/status shows CAP_SYS_PTRACE."""
    found = re.search(r"^CapEff:\s*([0-9a-f]+)", status, re.MULTILINE)
    return found is not None and bool(int(found[1], 16) & _CAP_SYS_PTRACE)


def ptrace_scope() -> int:
    """Yama's ptrace_scope; 0 without yama."""
    try:
        return int(YAMA.read_text())
    except (OSError, ValueError):
        return 0


def _user(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _python(pid: int, memory: Memory, mapped: list[elf.Mapping]) -> Target:
    files = elf.loaded(memory, mapped, elf.PYTHON)
    if any(file.word != 2 or file.machine != elf.X86_64 for file in files):
        raise ConnectError(f"PID {pid} is not a 64-bit x86 program", f"looptop cannot attach to it yet; {_INSTRUMENT}")
    names = elf.find(files, *code.PYTHON_NAMES, "Py_Version")
    if "PyRun_SimpleString" not in names:
        pypy = any("/pypy" in mapping.path or "/libpypy" in mapping.path for mapping in mapped)
        raise ConnectError(f"PID {pid} is not a CPython process", f"it runs PyPy; {_INSTRUMENT}" if pypy else _LIST)
    version = _version(memory, names, mapped)
    if version < OLDEST:
        shown = ".".join(str(part) for part in version[:2])
        raise ConnectError(f"PID {pid} runs Python {shown}", f"{OLDEST[0]}.{OLDEST[1]}+ needed")
    names.update(elf.find(elf.loaded(memory, mapped, elf.LIBC), *code.LIBC_NAMES))
    missing = sorted({*code.PYTHON_NAMES, *code.LIBC_NAMES} - names.keys())
    if missing:
        text = f"PID {pid} runs a Python whose {', '.join(missing)} cannot be found"
        raise ConnectError(text, f"it may be linked statically; {_INSTRUMENT}")
    same = _same_namespace(pid, "mnt")
    return Target(pid, memory, version, names, elf.X86_64, same, _remote_off(pid, version))


def _version(memory: Memory, names: dict[str, int], mapped: list[elf.Mapping]) -> tuple[int, ...]:
    """The version from the constant that Python has had since 3.11, else from file names."""
    if "Py_Version" in names:
        number = int.from_bytes(memory.read(names["Py_Version"], 8), "little")
        return (number >> 24 & 0xFF, number >> 16 & 0xFF, number >> 8 & 0xFF)
    for mapping in mapped:
        found = _MINOR.search(mapping.path)
        if found is not None:
            return tuple(int(part) for part in found[1].split("."))
    return (3, 0)


def _remote_off(pid: int, version: tuple[int, ...]) -> str:
    """How remote debugging was disabled, as far as visible from outside; empty if it was not."""
    if version < (3, 14):
        return ""
    try:
        environ = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    if any(entry.startswith(b"PYTHON_DISABLE_REMOTE_DEBUG=") and entry[28:] for entry in environ):
        return "PYTHON_DISABLE_REMOTE_DEBUG"
    if any(word.replace(b"-X", b"", 1) in (b"disable-remote-debug", b"disable_remote_debug") for word in arguments[1:]):
        return "-X disable-remote-debug"
    return ""


def _same_namespace(pid: int, kind: str) -> bool:
    try:
        return Path(f"/proc/{pid}/ns/{kind}").readlink() == Path(f"/proc/self/ns/{kind}").readlink()
    except OSError:
        return True
