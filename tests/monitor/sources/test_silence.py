"""Why a program says nothing: read from its process, where that is certainly the one that is watched."""

import os
import signal
import socket
import subprocess
import sys

import msgspec
import psutil
import pytest
from fake_probe import eventually, hello

from monitor.errors import ConnectError
from monitor.protocol import frames
from monitor.transport import silence
from monitor.transport.address import Address
from monitor.transport.connection import connect
from monitor.transport.silence import why


@pytest.fixture
def process():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        yield child
        child.kill()


def told(**facts):
    return why(frames.decode(msgspec.json.encode(hello(**facts))))


def test_a_stopped_program(process):
    started = round(psutil.Process(process.pid).create_time() * 1e6)
    same = {"pid": process.pid, "host": socket.gethostname(), "started": started}
    assert told(**same).startswith("one call of it keeps")
    os.kill(process.pid, signal.SIGSTOP)
    assert eventually(lambda: told(**same).startswith("it is stopped") and told(**same)) == (
        f"it is stopped by a signal: kill -CONT {process.pid} lets it go on"
    )
    assert told(**{**same, "started": started - 60_000_000}).startswith("one call")  # the pid is another's by now
    assert told(**{**same, "host": "elsewhere"}).startswith("one call")


def test_a_stopped_program_is_said_to_be_stopped_and_not_waited_for(tmp_path):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        try:
            os.kill(child.pid, signal.SIGSTOP)
            told = eventually(lambda: silence.halted(child.pid))
            assert told == f"it is stopped by a signal: kill -CONT {child.pid} lets it go on"
            assert silence.halted(os.getpid()) is None
            path = tmp_path / "a.sock"
            with socket.socket(socket.AF_UNIX) as listening:
                listening.bind(str(path))
                listening.listen()
                with pytest.raises(ConnectError, match=f"kill -CONT {child.pid}"):
                    connect(Address(path=str(path), pid=child.pid), timeout=60)
        finally:
            child.kill()
