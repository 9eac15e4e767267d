"""The address at which a probe listens."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Address:
    """A Unix socket, a host and port, or a process whose probe accepts passed descriptors (see `fd_passing`)."""

    path: str = ""
    host: str = ""
    port: int = 0
    token_file: str | None = None  # from the local announcement
    pid: int | None = None  # of the process that is known to listen there
    listen_fd: int | None = None
    cafile: str | None = None  # certificates to trust, if it is to be TLS

    def __str__(self) -> str:
        if self.listen_fd is not None:
            return f"process {self.pid}"
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
