"""What looptop uses of psutil, read from /proc: it stands in for that library on the other side of `--via`."""

# mypy: ignore-errors

import os
import pwd
from collections import namedtuple
from contextlib import contextmanager

STATUS_ZOMBIE, CONN_LISTEN = "zombie", "LISTEN"
_Uids = namedtuple("_Uids", "real effective saved")
_Times = namedtuple("_Times", "user system")
_Memory = namedtuple("_Memory", "rss")
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Error(Exception):
    """Base of NoSuchProcess and AccessDenied."""


class NoSuchProcess(Error):
    """The process has ended."""


class AccessDenied(Error):
    """This user may not read it."""


@contextmanager
def _errors(pid):
    try:
        yield
    except (FileNotFoundError, ProcessLookupError, IndexError):
        raise NoSuchProcess(pid) from None
    except PermissionError:
        raise AccessDenied(pid) from None


def _read(pid, name):
    with _errors(pid), open("/proc/%d/%s" % (pid, name), "rb") as file:
        return file.read()


def _boot_time():
    try:
        with open("/proc/stat", "rb") as file:
            return next(float(line.split()[1]) for line in file if line.startswith(b"btime"))
    except (OSError, StopIteration):
        return 0.0


_BOOT = _boot_time()


class Process:
    """A process, by its pid. Raises NoSuchProcess."""

    def __init__(self, pid):
        self.pid = pid
        if not os.path.isdir("/proc/self"):  # nothing can be known of it
            raise AccessDenied(pid)
        if pid <= 0 or not os.path.isdir("/proc/%d" % pid):
            raise NoSuchProcess(pid)

    @contextmanager
    def oneshot(self):
        """Like psutil's, but without a cache."""
        yield

    def _stat(self):
        return _read(self.pid, "stat").rpartition(b")")[2].split()

    def status(self):
        """`zombie` or `running`; looptop needs no others."""
        return STATUS_ZOMBIE if self._stat()[0] in (b"Z", b"X") else "running"

    def ppid(self):
        """The pid of the parent process."""
        return int(self._stat()[1])

    def cpu_times(self):
        """User and system CPU time in seconds."""
        fields = self._stat()
        return _Times(int(fields[11]) / _TICKS, int(fields[12]) / _TICKS)

    def create_time(self):
        """Unix time at which the process started."""
        return _BOOT + int(self._stat()[19]) / _TICKS

    def memory_info(self):
        """Resident memory, in bytes."""
        return _Memory(int(self._stat()[21]) * _PAGE)

    def name(self):
        """The command name, at most 15 characters."""
        return _read(self.pid, "comm").decode("utf-8", "replace").rstrip("\n")

    def cmdline(self):
        """The arguments of the process."""
        text = _read(self.pid, "cmdline").decode("utf-8", "surrogateescape")
        words = text.rstrip("\0").split("\0")
        return words if words != [""] else []

    def exe(self):
        """The path of its executable."""
        with _errors(self.pid):
            return os.readlink("/proc/%d/exe" % self.pid)

    def cwd(self):
        """The working directory of the process."""
        with _errors(self.pid):
            return os.readlink("/proc/%d/cwd" % self.pid)

    def uids(self):
        """Real, effective and saved user id."""
        for line in _read(self.pid, "status").splitlines():
            if line.startswith(b"Uid:"):
                return _Uids(*map(int, line.split()[1:4]))
        raise NoSuchProcess(self.pid)

    def username(self):
        """The name of its user, or the number."""
        uid = self.uids().real
        try:
            return pwd.getpwuid(uid).pw_name
        except KeyError:
            return str(uid)

    def net_connections(self, kind=""):  # noqa: ARG002 - psutil's signature
        """Always raises AccessDenied; the callers then read /proc themselves."""
        raise AccessDenied(self.pid)

    memory_maps = net_connections

    def children(self, recursive=False):
        """The child processes; with `recursive` all descendants."""
        parents = {}
        for process in process_iter():
            try:
                parents.setdefault(process.ppid(), []).append(process)
            except Error:
                continue
        found, pending = [], [self.pid]
        while pending:
            below = parents.pop(pending.pop(), [])
            found += below
            if recursive:
                pending += [one.pid for one in below]
        return found


def pid_exists(pid):
    """Whether there is a process with this pid."""
    return os.path.isdir("/proc/%d" % pid)


def process_iter():
    """Yield all processes, by pid."""
    try:
        pids = sorted(int(entry) for entry in os.listdir("/proc") if entry.isdigit())
    except OSError:
        return
    for pid in pids:
        try:
            yield Process(pid)
        except Error:
            continue
