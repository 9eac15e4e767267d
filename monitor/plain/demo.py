"""`looptop demo` without a terminal: runs the sample in the background, prints its tasks once, and stops it."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

from monitor.attach.launch import Launch, describe_status
from monitor.attach.targets import resolve
from monitor.errors import ConnectError, LooptopError
from monitor.plain.snapshot import TaskList, receive_tasks
from monitor.plain.task_options import TaskOptions, ask
from monitor.transport.connection import Connection, connect

if TYPE_CHECKING:
    from collections.abc import Callable

START = 30.0
"""Seconds for the program to start, on a busy machine."""

LIFE = 2.5
"""Seconds to let the sample run before printing its tasks."""


def one_look(launch: Launch, show: Callable[[TaskList], None]) -> int:
    """Start the program, show its tasks once, and stop it."""
    process = subprocess.Popen(  # noqa: S603 - looptop's own sample
        launch.argv,
        env=launch.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        connection = _wait(process)
        time.sleep(max(LIFE - (connection.hello.now - connection.hello.opened) * 1e-6, 0.0))
        ask(connection, TaskOptions())
        show(receive_tasks(connection, TaskOptions()))
    finally:
        _end(process)
    return 0


def _wait(process: subprocess.Popen[bytes]) -> Connection:
    until = time.monotonic() + START
    while True:
        if process.poll() is not None:
            raise LooptopError(describe_status(process.returncode), "python -m sample_apps.demo shows why")
        try:
            return connect(resolve(str(process.pid)))
        except ConnectError:
            if time.monotonic() > until:
                raise
        time.sleep(0.05)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(5.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
