"""A state machine with `asend`: an async generator that receives events, and yields its new state.

What you see: `crossing` waits through `asend` in the generator, at the line of its current state.
"""

import asyncio
from collections.abc import AsyncGenerator

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import AwaitStack, NoFinding, NoSlowCallback, Tasks

SAMPLE = Sample(
    name="state_machine",
    topic="generators",
    sentence="A traffic light is an async generator: asend passes it an event, and it yields its colour.",
    fix=None,
    expectations=(
        AwaitStack(task="crossing", through=("tells", "clears")),
        AwaitStack(task="crossing", through=("tells", "flows")),
        Tasks(at_most=2),
        NoSlowCallback(),
        NoFinding(),
    ),
)


async def traffic_light() -> AsyncGenerator[str, str]:
    """Its colour for who is sent in; red and green take their time."""
    came = yield "red"
    while True:
        if came == "pedestrian":
            await asyncio.sleep(0.3)  # expect: clears
            came = yield "red"
        else:
            await asyncio.sleep(0.4)  # expect: flows
            came = yield "green"


async def crossing() -> None:
    """Cars and pedestrians by turns."""
    light = traffic_light()
    print(await anext(light))
    try:
        while True:
            for who in ("car", "pedestrian"):
                print(who, "sees", await light.asend(who))  # expect: tells
    finally:
        await light.aclose()


async def main(_: Options) -> None:
    """Let cars cross at the traffic light."""
    await asyncio.create_task(crossing(), name="crossing")


if __name__ == "__main__":
    run(main, SAMPLE)
