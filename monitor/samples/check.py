"""`looptop samples check`: runs several samples at a time under the probe and judges each."""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
from collections import Counter
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitor.samples.judge import Verdict, differs, judge
from monitor.samples.observe import observe
from sample_apps import catalogue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from monitor.samples.observation import Observation
    from sample_apps.catalogue import Sample

JOBS = max(4 * (os.cpu_count() or 1), 2)
"""Samples at a time; most are idle most of the time."""


@dataclass(slots=True)
class Result:
    """The verdicts on one sample."""

    sample: Sample
    verdicts: list[Verdict] = field(default_factory=list)
    trouble: str = ""  # it did not run as it should have
    skipped: str = ""  # it cannot run here
    unlike: bool | None = None  # whether its fix behaves differently; None: the fix was not run, or there is none
    attempts: int = 1

    @property
    def counts(self) -> Counter[str]:
        """The number of verdicts by outcome."""
        return Counter(verdict.outcome for verdict in self.verdicts)

    @property
    def good(self) -> bool:
        """Whether it ran, missed no expectation, and its fix behaves differently."""
        return not self.trouble and self.unlike is not False and not self.counts["missed"]


def check(
    samples: Sequence[Sample],
    jobs: int = JOBS,
    again: int = 1,
    run: Callable[[Sample], Observation] = observe,
    stop: threading.Event | None = None,
) -> Iterator[Result]:
    """Yield the results as they become available.

    A sample that misses something is run up to `again` more times, alone, because others may have used the CPU.
    `stop` is set when the caller wants no more results.
    """
    seen: dict[str, Observation] = {}
    late: list[Result] = []
    stop = stop or threading.Event()

    def one(sample: Sample) -> Result:
        if stop.is_set():
            raise CancelledError
        return _one(sample, seen, run)

    wrong = {sample.name: sample for sample in samples if sample.fix in {other.name for other in samples}}
    held: dict[str, Result] = {}
    pool = ThreadPoolExecutor(jobs, "looptop-check")
    try:
        futures: list[Future[Result]] = [pool.submit(one, sample) for sample in samples]
        for future in as_completed(futures):
            result = future.result()
            if not result.good:
                late.append(result)
                continue
            held[result.sample.name] = result
            yield from _ready(held, wrong, seen)
        for result in late:
            best = result
            for attempt in range(again):
                if best.good:
                    break
                best = one(result.sample)
                best.attempts = attempt + 2
            held[best.sample.name] = best
            yield from _ready(held, wrong, seen)
        yield from held.values()
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _ready(held: dict[str, Result], wrong: dict[str, Sample], seen: dict[str, Observation]) -> Iterator[Result]:
    """The results that can be reported: a sample with a fix waits for the observation of the fix."""
    for name, result in list(held.items()):
        sample = wrong.get(name)
        if sample is not None and not result.skipped:
            assert sample.fix is not None
            fix = seen.get(sample.fix)
            if fix is None:
                continue
            result.unlike = differs(sample, fix)
        del held[name]
        yield result


def _one(sample: Sample, seen: dict[str, Observation], run: Callable[[Sample], Observation]) -> Result:
    why = cannot_run(sample)
    if why:
        return Result(sample, skipped=why)
    found = seen[sample.name] = run(sample)
    return Result(sample, judge(sample, found), trouble=found.trouble)


def cannot_run(sample: Sample) -> str:
    """Why a sample cannot run here; empty if it can."""
    if sys.version_info[:2] < sample.python:
        return f"needs Python {sample.python[0]}.{sample.python[1]}"
    if sample.cgroup and catalogue.cpu_groups() is None:
        return f"needs root, and a {catalogue.CGROUPS} that can be written to"
    needed = dict.fromkeys(module.partition(".")[0] for module in sample.needs)
    missing = [package for package in needed if importlib.util.find_spec(package) is None]
    return f"needs {', '.join(missing)}: pip install 'looptop[samples]'" if missing else ""
