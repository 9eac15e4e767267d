"""Facts about this process, read from /proc (proc(5)) and the interpreter. None, or 0.0, where they are not available.

The only module that reads them. Each read gives up the GIL.
"""

from __future__ import annotations

import gc
import os
import sys

MOST_DESCRIPTORS = 2000
"""Descriptors whose kind is read; those beyond are `unread`."""

_ANONYMOUS = {"eventpoll": "epoll", "pidfd": "process"}


def python() -> str:
    """The version of this Python: three numbers with dots between them."""
    return ".".join(str(part) for part in sys.version_info[:3])


def working_directory() -> str:
    """The working directory; empty if it was removed."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def started() -> float:
    """Unix time of the start of this process, as psutil computes it; 0.0 where /proc is not available."""
    try:
        with open("/proc/self/stat", "rb") as file:
            ticks = int(file.read().rpartition(b")")[2].split()[19])
        with open("/proc/stat", "rb") as file:
            boot = next(int(line.split()[1]) for line in file if line.startswith(b"btime"))
        return boot + ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, StopIteration):
        return 0.0


def oom_counter() -> tuple[str, int] | None:
    """The file in which the kernel counts processes of this cgroup that the OOM killer ended, and how many so far."""
    try:
        with open("/proc/self/cgroup", encoding="utf-8", errors="replace") as file:
            lines = [line.rstrip("\n").split(":", 2) for line in file.read(20_000).splitlines()]
    except OSError:
        return None
    places = []
    for controllers, group in ((line[1].split(","), line[2]) for line in lines if len(line) == 3):
        if "memory" in controllers:
            places += [f"/sys/fs/cgroup/memory{part}/memory.oom_control" for part in (group.rstrip("/"), "")]
        elif controllers == [""]:
            places += [f"/sys/fs/cgroup{part}/memory.events" for part in (group.rstrip("/"), "")]
    for place in places:
        try:
            with open(place, "rb", buffering=0) as counts:
                words = counts.read(4096).split()
            return place, int(words[words.index(b"oom_kill") + 1])
        except (OSError, ValueError, IndexError):
            continue
    return None


def resident() -> int | None:
    """The resident set size (bytes)."""
    try:
        with open("/proc/self/statm", "rb", buffering=0) as file:
            return int(file.read(200).split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def unshared() -> int | None:
    """Bytes that would be free if the process ended: its private pages. The kernel sums them up mapping by mapping."""
    try:
        with open("/proc/self/smaps_rollup", "rb", buffering=0) as file:
            text = file.read(4096)
    except OSError:
        return None
    pages = [line.split() for line in text.splitlines() if line.startswith(b"Private_")]
    try:
        return sum(int(words[1]) * 1024 for words in pages) if pages else None
    except (ValueError, IndexError):
        return None


def cpu_time() -> float:
    """CPU seconds of all threads so far, in user and kernel mode."""
    times = os.times()
    return times.user + times.system


def context_switches() -> list[int] | None:
    """Context switches of all threads so far: voluntary, involuntary."""
    try:
        import resource
    except ImportError:
        return None
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return [usage.ru_nvcsw, usage.ru_nivcsw]


def collections() -> list[list[int]]:
    """For each generation of the garbage collector, youngest first: runs, objects collected, objects uncollectable."""
    return [[one["collections"], one["collected"], one["uncollectable"]] for one in gc.get_stats()]


def block_signals() -> None:
    """Blocks signals in the calling thread, one of the probe's, and in those it starts.

    Otherwise a signal that the program has blocked to take it with `sigwait` would be delivered to this thread, and end
    the program (pthread_sigmask(3)). Those that a fault raises stay unblocked.
    """
    try:
        import _signal  # type: ignore[import-not-found]  # typeshed has `signal` only

        faults = {_signal.SIGSEGV, _signal.SIGBUS, _signal.SIGFPE, _signal.SIGILL, _signal.SIGABRT, _signal.SIGTRAP}
        _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals() - faults)
    except (ImportError, AttributeError, OSError):  # not on this system
        pass


def thread_ids() -> list[int]:
    """The native ids of all threads. Raises OSError where /proc is not available."""
    return [int(name) for name in os.listdir("/proc/self/task")]


def threads() -> int | None:
    """The number of threads."""
    return _count("/proc/self/task")


def thread_schedule(native: int) -> tuple[float, float, int]:
    """Seconds that a thread of this process, by its native id, has run, and was ready but waited for a processor; and
    how often it was given one. Zeros if unknown.
    """
    try:
        file = os.open(f"/proc/self/task/{native}/schedstat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0.0, 0.0, 0
    try:
        ran, waited, turns = os.read(file, 100).split()
        return int(ran) * 1e-9, int(waited) * 1e-9, int(turns)
    except (OSError, ValueError):
        return 0.0, 0.0, 0
    finally:
        os.close(file)


def thread_faults(native: int) -> tuple[int, int]:
    """Page faults of a thread of this process so far: those that memory answered, and those that waited for a disk."""
    try:
        file = os.open(f"/proc/self/task/{native}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0, 0
    try:
        words = os.read(file, 1000).rpartition(b")")[2].split()
        return int(words[7]), int(words[9])
    except (OSError, ValueError, IndexError):
        return 0, 0
    finally:
        os.close(file)


def descriptors() -> int | None:
    """The number of open file descriptors, including the one that lists them."""
    return _count("/proc/self/fd")


def descriptors_quickly() -> int | None:
    """The number of open file descriptors from one system call (Linux 6.2 and newer); None if that is not known."""
    try:
        return os.stat("/proc/self/fd").st_size or None
    except OSError:
        return None


def most_descriptors() -> int | None:
    """The limit of open file descriptors; None if there is none, or it is not known."""
    try:
        import resource
    except ImportError:  # not on this system
        return None
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return most if most > 0 else None


def descriptors_by_kind() -> dict[str, int] | None:
    """The number of open file descriptors of each kind: file, socket, pipe, epoll, …"""
    try:
        numbers = os.listdir("/proc/self/fd")
    except OSError:
        return None
    kinds: dict[str, int] = {}
    for number in numbers[:MOST_DESCRIPTORS]:
        try:
            kind = _kind(os.readlink(f"/proc/self/fd/{number}"))
        except OSError:
            continue  # closed in the meantime; one is that of the listing itself
        kinds[kind] = kinds.get(kind, 0) + 1
    if len(numbers) > MOST_DESCRIPTORS:
        kinds["unread"] = len(numbers) - MOST_DESCRIPTORS
    return kinds


def _kind(link: str) -> str:
    if link.startswith("/"):
        return "device" if link.startswith("/dev/") else "file"
    kind, _, rest = link.partition(":")
    if kind == "anon_inode":
        name = rest.strip("[]").removeprefix("/")
        return _ANONYMOUS.get(name, name[:40])
    return kind[:40]


def _count(directory: str) -> int | None:
    try:
        return len(os.listdir(directory))
    except OSError:
        return None


def has_sub_interpreters() -> bool:
    """Whether the program has made interpreters with memory of their own.

    `sys._current_frames` makes the frames of their threads in the memory of this interpreter, and they free them in
    theirs: the program crashes (seen on CPython 3.13).
    """
    made = sys.modules.get("_interpreters") or sys.modules.get("_xxsubinterpreters")
    return made is not None and len(made.list_all()) > 1
