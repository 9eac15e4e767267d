"""The endpoint of an injected probe: what is found in /proc, and what is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from monitor.errors import ConnectError
from monitor.transport import fd_passing

STARTED: dict[str, object] = {
    "how": "started",
    "listen_fd": 7,
    "session": "1f",
    "name": "api",
    "program": "app.py",
    "python": "3.13.0",
}


@contextmanager
def held(content: bytes, name: str = "looptop-0123456789abcdef") -> Iterator[None]:
    handle = os.memfd_create(name)
    try:
        os.write(handle, content)
        yield
    finally:
        os.close(handle)


def test_a_probe_is_found_by_the_file_that_it_holds() -> None:
    with held(json.dumps(STARTED).encode() + b"\n"):
        assert fd_passing.find(os.getpid()) == fd_passing.Endpoint(os.getpid(), 7, "1f", "api", "app.py", "3.13.0")
    assert fd_passing.find(os.getpid()) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nonsense",
        b"\xff\xfe",
        b"(" * 100_000,
        b"[" * 60_000,
        b'{"how": "started", "listen_fd": "7"}\n',
        b'{"how": "started", "listen_fd": null}\n',
        b'{"how": "started", "listen_fd": true}\n',
        b'{"how": "started", "listen_fd": -7}\n',
        b'{"how": "started", "listen_fd": 1' + b"0" * 6000 + b"}\n",
        b'{"how": "found", "listen_fd": 7}\n',
        b'["started", 7]\n',
    ],
)
def test_what_is_no_door(content: bytes) -> None:
    with held(content):
        assert fd_passing.find(os.getpid()) is None


def test_a_file_of_another_name_is_not_read() -> None:
    with held(json.dumps(STARTED).encode() + b"\n", "looptop"):
        assert fd_passing.find(os.getpid()) is None


def test_nobody_is_behind_it() -> None:
    if not fd_passing.possible():
        pytest.skip("this kernel lets nobody take descriptors of another process (Linux 5.6 does)")
    null = os.open(os.devnull, os.O_RDONLY)
    try:
        for number in (null, 999_999):
            with pytest.raises(ConnectError) as caught:
                fd_passing.enter(os.getpid(), number, 1.0)
            assert caught.value.status == 3
            assert str(os.getpid()) in caught.value.message
    finally:
        os.close(null)
    with pytest.raises(ConnectError, match="has ended"):
        fd_passing.enter(2**22 - 1, 3, 1.0)
