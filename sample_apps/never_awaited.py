"""A coroutine that is never awaited: the call creates a coroutine object but runs nothing.

What you see: no `save` ever runs and there is no task for it; Python warns "coroutine 'save' was never awaited" on
stderr, once for each line, and the finding shows the line that created it.

The fix: await it (`never_awaited_awaited`).
"""

import asyncio
import itertools

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import Finding, NoSlowCallback, NoTaskEnded, Tasks

SAMPLE = Sample(
    name="never_awaited",
    topic="tasks",
    sentence="A coroutine function is called without await, so nothing is ever saved.",
    fix="never_awaited_awaited",
    expectations=(
        Finding("never_awaited", line="forgets"),
        Tasks(task="save*", at_most=0),
        NoTaskEnded(task="save*"),
        NoSlowCallback(),
    ),
)


class Document:
    """A document whose versions are sometimes saved."""

    def __init__(self) -> None:
        self.version = 0
        self.saved = 0

    async def save(self) -> None:
        """Save the newest version."""
        await asyncio.sleep(0.05)
        self.saved = self.version


async def main(_: Options) -> None:
    """Edit, and forget to await the save."""
    document = Document()
    for document.version in itertools.count(1):
        document.save()  # type: ignore[unused-coroutine]  # expect: forgets
        await asyncio.sleep(0.25)
        print(f"version {document.version}, saved is {document.saved}")


if __name__ == "__main__":
    run(main, SAMPLE)
