"""Labels jobs of arq by function. `Worker.run_job` knows it after its first steps."""

from __future__ import annotations

from gc import get_referents
from typing import Any

from .held import LATER, of_function

NAME = "arq"


def matches(coro: Any) -> bool:
    """Whether tasks of its code are jobs."""
    return of_function(coro, "Worker.run_job", "arq")


def source(coro: Any) -> Any:
    """The function or cron job, once it is known."""
    for one in get_referents(coro):
        if type(one).__name__ in ("Function", "CronJob") and type(one).__module__.startswith("arq."):
            return one
    return LATER


def read(job: Any) -> str | None:
    """The name of the function or cron job."""
    return None if job is LATER else str(job.name)
