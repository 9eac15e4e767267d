"""Which samples a test runs: of each topic the quickest pair, and all of them with LOOPTOP_LONG=1 (minutes)."""

from __future__ import annotations

import os

from sample_apps import catalogue
from sample_apps.catalogue import Sample

ALWAYS = ("aiohttp_server", "demo", "never_retrieved", "streams_echo", "task_leak")
"""What single tests name."""


def chosen() -> dict[str, Sample]:
    """The samples by name."""
    everything = {sample.name: sample for sample in catalogue.samples()}
    if os.environ.get("LOOPTOP_LONG"):
        return everything
    names = set(ALWAYS)
    for topic in {sample.topic for sample in everything.values()}:
        samples = [sample for sample in everything.values() if sample.topic == topic]
        wrong = min((sample for sample in samples if sample.fix is not None), key=lambda sample: sample.watch)
        names |= {wrong.name, str(wrong.fix)}
    return {name: sample for name, sample in everything.items() if name in names}
