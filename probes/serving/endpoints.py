"""Where viewers connect: a descriptor that they take from this process, a socket file, a TCP port."""

from __future__ import annotations

import os
import socket
import stat
import sys
from typing import TYPE_CHECKING

from ..base import process
from ..base.settings import Settings, warn
from . import discovery

if TYPE_CHECKING:
    from ssl import SSLContext

    from .server import Server


LEAST_TOKEN = 16
"""Fewest characters of a token."""


class Endpoints:
    """The endpoints of one probe. One that cannot be opened is reported in a warning; nothing raises."""

    def __init__(self, settings: Settings, pass_fds: bool, session: str) -> None:
        """`pass_fds`: viewers connect through a descriptor that they take from this process, and no file is created."""
        self.pid = os.getpid()  # differs in a forked child
        self.name, self.program = discovery.program()
        if settings.name:
            self.name = settings.name
        self.socket_path = ""
        self.listen_fd: int | None = None
        self.listening: str | None = None
        self.token_file: str | None = None
        self._settings = settings
        self._pass_fds = pass_fds
        self._session = session
        self._files: list[str] = []

    def open(self, server: Server) -> None:
        """Makes the server listen on every endpoint of the settings, and writes the files by which it is found."""
        if self._pass_fds:
            try:
                self.listen_fd = server.open_fd_listener()
            except OSError:  # use a socket file instead
                self.listen_fd = None
        directory = self._open_path(server) if self.listen_fd is None else ""
        if self._settings.listen.startswith("unix:"):
            self._open_shared(server, self._settings.listen.removeprefix("unix:"))
        elif self._settings.listen:
            self._open_tcp(server, directory)
        if directory:
            self._describe(f"{directory}/{self.pid}.json")

    def announce(self) -> None:
        """Writes where to connect to stderr, in one line."""
        where = f"looptop attach {self.pid}"
        if self.listening:
            token = f" (token in {self.token_file})" if self.token_file else ""
            secure = " with TLS" if self._settings.cert else ""
            where += f", or {self.listening}{secure}{token}"
        line = f"looptop: watching {self.name}, pid {self.pid}: {where}\n"
        try:
            sys.stderr.write(line)
            sys.stderr.flush()
        except Exception:
            return

    def close(self) -> None:
        """Removes the files, unless this is a child of the process that made them."""
        if os.getpid() == self.pid:
            discovery.remove(*self._files)

    def _open_path(self, server: Server) -> str:
        """Creates the socket in the runtime directory; returns the directory, or an empty string."""
        try:
            directory = discovery.runtime_dir()
            path = f"{directory}/{self.pid}.sock"
            server.listen_unix(path)
            self.socket_path = path
            self._files.append(path)
        except OSError as error:
            warn(f"cannot make a socket to be found by ({error}); set LOOPTOP_DIR to a directory of yours")
            return ""
        return directory

    def _open_shared(self, server: Server, path: str) -> None:
        """Listens on a Unix socket where somebody wants it, as on a volume that containers share."""
        try:
            _make_way(path)
            server.listen_unix(path)
        except (OSError, ValueError) as error:
            warn(f"cannot listen on unix:{path}: {error}")
            return
        self.listening = f"unix:{path}"
        self._files.append(path)

    def _open_tcp(self, server: Server, directory: str) -> None:
        try:
            host, port = _address(self._settings.listen)
            tls = self._tls()
            if tls is None and not self._settings.insecure and not _is_loopback(host):
                raise ValueError("plain TCP beyond loopback can be read on the way: set cert and key, or insecure")
            token = self._find_token(directory)
            self.listening = server.listen_tcp(host, port, token, tls)
        except (OSError, ValueError) as error:
            warn(f"cannot listen on {self._settings.listen}: {error}")

    def _tls(self) -> SSLContext | None:
        if not self._settings.cert and not self._settings.key:
            return None
        from . import tls

        return tls.context(self._settings.cert, self._settings.key)

    def _find_token(self, directory: str) -> str:
        if self._settings.token:
            return _long_enough(self._settings.token, "the token")
        if self._settings.token_file:
            token = discovery.read_private(self._settings.token_file).strip()
            _long_enough(token, f"the token in {self._settings.token_file}")
            self.token_file = self._settings.token_file
            return token
        if not directory:
            raise ValueError("no token: set LOOPTOP_TOKEN or LOOPTOP_TOKEN_FILE")
        token = os.urandom(16).hex()
        self.token_file = f"{directory}/{self.pid}.token"
        discovery.write_private(self.token_file, token + "\n")
        self._files.append(self.token_file)
        return token

    def _describe(self, path: str) -> None:
        facts = {
            "pid": self.pid,
            "started": process.started(),
            "name": self.name,
            "session": self._session,
            "program": self.program,
            "python": process.python(),
            "socket": self.socket_path,
            "listen": self.listening,
            "token_file": self.token_file,
        }
        try:
            discovery.describe(path, facts)
            self._files.append(path)
        except OSError as error:
            warn(f"cannot write {path}: {error}")


def _long_enough(token: str, what: str) -> str:
    """Returns the token. Raises ValueError if it is so short that it could be guessed from one observed proof."""
    if len(token) < LEAST_TOKEN:
        raise ValueError(f"{what} has {len(token)} characters; at least {LEAST_TOKEN} are needed")
    return token


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def _make_way(path: str) -> None:
    """Removes a socket that nobody serves any more. Raises OSError and ValueError for anything else."""
    if not path or len(os.fsencode(path)) > discovery.MOST_PATH:
        raise ValueError(f"a path of 1 to {discovery.MOST_PATH} bytes is needed")
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise ValueError("there is something else")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.setblocking(False)
        try:
            other.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except BlockingIOError:
            pass
    raise ValueError("another program listens there")


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    if not port.isdigit() or not 0 <= int(port) < 65536:
        raise ValueError("HOST:PORT is expected")
    return host, int(port)
