"""Runs the helper process and waits for its result. Never kills it: at the wrong moment that would kill the target."""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitor.attach.inject.result import Result, result_of
from monitor.errors import ConnectError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from monitor.attach.inject.payload import Payload

ROOT = Path(__file__).resolve().parents[3]
GRACE = 6.0
"""Seconds that the helper may take beyond its timeout."""

_START = "import sys; sys.path.insert(0, {root!r}); from monitor.attach.inject.helper import main; sys.exit(main())"


def inject(
    pid: int,
    payload: Payload,
    method: str = "auto",
    timeout: float = 5.0,
    force: bool = False,
    dry_run: bool = False,
    meanwhile: Callable[[], None] | None = None,
) -> Result:
    """Inject a probe into a running process. Raises ConnectError with a hint; the process is then unchanged.

    `meanwhile` is called while the helper works.
    """
    if pid == os.getpid():
        raise ConnectError(f"PID {pid} is looptop itself", "looptop ps lists what runs here")
    arguments = [str(pid), "--method", method, "--timeout", str(timeout)]
    arguments += ["--force"] * force + ["--dry-run"] * dry_run
    report = _run(pid, arguments, payload, timeout + GRACE, meanwhile)
    return result_of(pid, report)


def _run(
    pid: int, arguments: list[str], payload: Payload, seconds: float, meanwhile: Callable[[], None] | None
) -> dict[str, Any]:
    """Run the helper and parse its output."""
    import subprocess

    environ = {name: value for name, value in os.environ.items() if name != "PYTHON_DISABLE_REMOTE_DEBUG"}
    helper = subprocess.Popen(  # noqa: S603
        [sys.executable, "-I", "-S", "-c", _START.format(root=str(ROOT)), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environ,
        start_new_session=True,  # no SIGINT or SIGHUP from the terminal
    )
    assert helper.stdin is not None
    try:
        helper.stdin.write(payload.for_helper(pid))
        helper.stdin.flush()
        if meanwhile is not None:
            meanwhile()
        return _read(helper, seconds)
    except BrokenPipeError:
        return _read(helper, seconds)
    finally:
        with suppress(BrokenPipeError):
            helper.stdin.close()  # it stops waiting when stdin closes
        _end(helper)


def _read(helper: subprocess.Popen[bytes], seconds: float) -> dict[str, Any]:
    import select

    assert helper.stdout is not None
    data, until = b"", time.monotonic() + seconds
    while not data.endswith(b"\n"):
        ready, _, _ = select.select([helper.stdout], [], [], max(until - time.monotonic(), 0))
        if not ready:
            raise ConnectError("attaching takes too long", "is the process frozen? it was left as it is")
        piece = os.read(helper.stdout.fileno(), 65536)
        if not piece:
            assert helper.stderr is not None
            last = helper.stderr.read().decode(errors="replace").strip().splitlines()[-1:]
            raise ConnectError("the helper that attaches failed", "".join(last) or f"status {helper.wait()}")
        data += piece
    result: dict[str, Any] = json.loads(data)
    return result


def _end(helper: subprocess.Popen[bytes]) -> None:
    import subprocess

    try:
        helper.wait(GRACE)
    except subprocess.TimeoutExpired:
        return
    finally:
        for pipe in (helper.stdout, helper.stderr):
            if pipe is not None:
                pipe.close()
