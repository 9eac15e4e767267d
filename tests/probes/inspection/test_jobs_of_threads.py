"""The job of a thread that belongs to an executor."""

from __future__ import annotations

import sys
from typing import Any

from probes.base.sites import Tables
from probes.inspection import threads

WORKER = """
class WorkerThread:
    def run(self, func):
        return sys._getframe()
"""


def test_a_thread_of_anyio_has_a_job_only_while_it_works() -> None:
    space: dict[str, Any] = {"sys": sys}
    exec(compile(WORKER, "/somewhere/anyio/_backends/_asyncio.py", "exec"), space)
    run = space["WorkerThread"]().run
    job = threads._job(run("".upper), Tables())
    assert job is not None and job["function"] == "str.upper"
    assert threads._job(run(None), Tables()) is None
