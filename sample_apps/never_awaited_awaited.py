"""The coroutine is awaited, so it runs.

What you see: `save-*` tasks that are done, each awaited by `main`.

This is the fix for `never_awaited`.
"""

import asyncio
import itertools

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.never_awaited import Document
from sample_apps.vocabulary import NoFinding, NoSlowCallback, NoUnhandled, TaskEnded

SAMPLE = Sample(
    name="never_awaited_awaited",
    topic="tasks",
    sentence="Every save is awaited, in a task that is kept.",
    fix=None,
    expectations=(
        TaskEnded(task="save-*", outcome="done", at_least=0.04, times=5),
        NoUnhandled(),
        NoSlowCallback(),
        NoFinding(),
    ),
)


async def main(_: Options) -> None:
    """Edit and save repeatedly."""
    document = Document()
    for document.version in itertools.count(1):
        await asyncio.create_task(document.save(), name=f"save-{document.version}")
        await asyncio.sleep(0.2)
        print(f"version {document.version}, saved is {document.saved}")


if __name__ == "__main__":
    run(main, SAMPLE)
