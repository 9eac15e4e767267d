"""A program whose memory is looked at: tracing, looks, objects and profiles as frames, hostile names among them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scene import HOSTILE, MAIN, SECOND, START, hello, static, tick

from monitor.protocol import frames, memory_frames
from monitor.protocol.memory_frames import CallMemoryRow, CallRow, MemoryRow, ObjectsRow

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from driver import Driver

AT = START + 66 * SECOND
ABLE = ["cancel", "memory", "objects", "profile"]


def able() -> list[frames.Frame]:
    """A program that can be asked."""
    return [hello(capabilities=ABLE), static(), *(tick(step) for step in range(1, 25))]


def tracing(**changes: Any) -> memory_frames.Tracing:
    facts: dict[str, Any] = {
        "since": AT - 42 * SECOND,
        "left": 18 * SECOND,
        "frames": 1,
        "limit": 1 << 30,
        "traced": 12_900_000,
        "peak": 14_000_000,
        "overhead": 2_100_000,
        "mine": True,
        "before": memory_frames.StepCost(1032.5, 9.7),
        "during": memory_frames.StepCost(893.0, 36.9),
        "pause": 45_000,
        "looks": 7,
        "baseline": AT - 40 * SECOND,
    }
    return memory_frames.Tracing(**{**facts, **changes})


def usage_tick(step: int, **changes: Any) -> frames.Tick:
    facts: dict[str, Any] = {
        "usage": memory_frames.Usage(
            48_300_000, 40_100_000, {"socket": 12, "file": 8, "pipe": 3, "epoll": 1, "[/x]": 17}, 6, (120_345, 412)
        ),
        "collector": memory_frames.Collector(True, (812, 74, 6), 34_000, 120_100, 1234, 2),
    }
    return tick(step, memory=memory_frames.MemoryTick(**{**facts, **changes}))


def look(number: int, place: int, group: str = "lineno", **changes: Any) -> frames.Reply:
    """The look that came as the answer to a request; a leak at one line, more of it at each look."""
    leak = 100_000 * place
    rows: list[Any] = [
        ([6], 2_000_000 + leak, leak, 4_000 + 10 * place, 10 * place),
        ([13], 812, 812, 3, 3),
        ([11], 48_000, -2_300, 40, -4),
        ([7], 400, 0, 1, 0),
    ]
    if group == "traceback":
        rows = [([3, 4, number], *row) for (number,), *row in rows]
    facts: dict[str, Any] = {
        "at": AT - (8 - place) * 2 * SECOND,
        "blocks": 123_456,
        "groups": 812,
        "pause": 45_000,
        "took": 90_000,
        "traced": 12_900_000,
        "peak": 14_000_000,
        "overhead": 2_100_000,
        "rss": 48_300_000,
        "rows": [MemoryRow(*row) for row in rows],
        "against": "baseline",
        "against_at": AT - 40 * SECOND,
        "group": group,
        "frames": 3 if group == "traceback" else 1,
        "found": 812,
        "total": (13_000_000, leak - 1_488, 123_456, 9 + 10 * place),
        "hidden": (583_000, 2_000, 400, 3),
        "others": (0, 0, 0, 0),
    }
    return frames.Reply(id=number, ok=True, memory=memory_frames.MemoryReply(**{**facts, **changes}))


def objects(number: int, more: int = 0) -> frames.Reply:
    found = [("ClientResponse", 3_540 + more, more), ("dict", 41_200, -31), ("tuple", 22_212, 0), (HOSTILE[1], 4, 0)]
    return frames.Reply(
        id=number,
        ok=True,
        objects=memory_frames.ObjectsReply(
            at=AT, against_at=AT - 5 * SECOND if more else None, objects=66_956 + more, types=222,
            pause=1_700, took=20_000, rows=[ObjectsRow(*row) for row in found],
        ),
    )  # fmt: skip


def profiles(number: int, calls: int = 0) -> frames.Reply:
    def profile(function: str, kind: str, busy: int, **changes: Any) -> memory_frames.Profile:
        recent: list[Any] = [
            CallRow(AT - (calls - n) * 300_000, 4_000 + 90 * n * n, 700 + n, 3 + n % 4, 2_048 * n if kind == "memory" else None,
             "failed" if n % 11 == 5 else "done",
             [CallMemoryRow(6, 900, 900, 3, 3), CallMemoryRow(13, 40, -40, 1, -1)] if kind == "memory" and n % 9 == 8 else [])
            for n in range(calls)
        ]  # fmt: skip
        facts: dict[str, Any] = {
            "function": function, "module": "shop.app", "site": 5, "shape": "coroutine function", "kind": kind,
            "key_type": "lineno" if kind == "memory" else None, "cumulative": False, "running": 2, "calls": 812,
            "failed": 12, "cancelled": 1, "steps": 4_100, "elapsed": 31_000_000, "longest": 260_000, "busy": busy,
            "size_diff": 1_400_000 if kind == "memory" else None, "kept": 100, "recent": recent,
        }  # fmt: skip
        return memory_frames.Profile(**{**facts, **changes})

    found = [
        profile("worker", "memory", 9_000_000),
        profile("handle", "time", 3_100_000),
        profile(HOSTILE[6], "time", 12, module="[/y]", site=13, failed=0, calls=1),
        profile("", "time", 1, calls=0, elapsed=0, longest=0, failed=0, site=0),
    ]
    return frames.Reply(id=number, ok=True, profiles=found)


TASKS_OF_A_LINE = frames.Reply(
    id=1, ok=True, details=[frames.Detail(id=5, await_stack=[6, 7]), frames.Detail(id=MAIN, await_stack=[3])]
)


# What a person does, for the golden screens


async def answer(driver: Driver, *, step: int = 30, **changes: Any) -> None:
    """Answers the newest request as a probe would."""
    number, op, asked = driver.source.requests[-1]
    match op:
        case "memory_start":
            reply = frames.Reply(id=number, ok=True, tracing=tracing(baseline=None))
        case "memory_baseline":
            reply = look(number, 0, rows=None)
        case "memory_look":
            reply = look(number, changes.pop("place", 1), asked["group"], **changes)
        case "objects_look":
            reply = objects(number, **changes)
        case "profile":
            reply = profiles(number, asked["calls"] and 40)
        case _:
            reply = TASKS_OF_A_LINE
    await driver.tick(reply, usage_tick(step, tracing=tracing()) if op.startswith("memory") else tick(step))


async def traced(driver: Driver, looks: int = 6) -> None:
    """Tracing is on, some looks were taken."""
    await driver.press("5", "s")
    await driver.press("enter")
    await answer(driver)
    await answer(driver)
    for place in range(1, looks + 1):
        await answer(driver, place=place, step=30 + place)
        await driver.tick(seconds=2.1)
    await driver.tick(usage_tick(40, tracing=tracing()), seconds=1.1)


def then(*keys: str, answered: bool = False, **changes: Any) -> Callable[[Driver], Awaitable[None]]:
    async def act(driver: Driver) -> None:
        await traced(driver)
        await answer(driver, place=7, step=41)
        await driver.press(*keys)
        if answered:
            await answer(driver, step=42, **changes)
            await answer(driver, step=42, **changes)
            await driver.tick(usage_tick(43, tracing=tracing()), seconds=1.1)

    return act


async def ended(driver: Driver) -> None:
    await traced(driver)
    end = memory_frames.TracingEnd(AT - 3 * SECOND, "duration reached [/x]")
    await driver.tick(usage_tick(44, tracing=None, ended=end), seconds=1.1)


async def of_another(driver: Driver) -> None:
    """Another viewer traces, deeper; no baseline of ours."""
    await driver.press("5")
    other = tracing(mine=False, frames=10, left=5 * SECOND, baseline=None, before=memory_frames.StepCost(), pause=None)
    await driver.tick(usage_tick(30, tracing=other), seconds=1.1)


async def ask(driver: Driver) -> None:
    await driver.press("5", "s")


async def ask_badly(driver: Driver) -> None:
    await ask(driver)
    await driver.pilot.press("2", "6", "enter")
    await driver.pilot.pause()


async def objects_twice(driver: Driver) -> None:
    await driver.press("5", "t")
    await answer(driver)
    await driver.press("n")
    await answer(driver, more=1_200)
    await driver.tick(usage_tick(31), seconds=1.1)


async def functions(driver: Driver) -> None:
    await driver.press("6")
    await answer(driver)
    await driver.tick(seconds=1.1)


async def no_functions(driver: Driver) -> None:
    await driver.press("6")
    await driver.tick(frames.Reply(id=driver.source.requests[-1][0], ok=True, profiles=[]))
    await driver.tick(seconds=1.1)


async def function(driver: Driver) -> None:
    await functions(driver)
    await driver.press("enter")
    await driver.tick(seconds=2.1)
    await answer(driver)


async def function_end(driver: Driver) -> None:
    await function(driver)
    await driver.press("d", "G")


async def hostile_function(driver: Driver) -> None:
    await functions(driver)
    await driver.press("down", "down", "enter")
    await driver.tick(seconds=2.1)
    await answer(driver)


async def line(driver: Driver) -> None:
    """The page of the leaking line, with the tasks whose await stacks were asked for."""
    await then("enter")(driver)
    await driver.tick(TASKS_OF_A_LINE, tick(43))


async def line_with_ways(driver: Driver) -> None:
    await traced(driver)
    await driver.tick(usage_tick(41, tracing=tracing(frames=3)))
    await answer(driver, place=7, step=42)
    await driver.tick(usage_tick(43, tracing=tracing(frames=3)))
    await driver.press("enter")
    await answer(driver, place=7)
    await driver.tick(usage_tick(44, tracing=tracing(frames=3)))
    await driver.press("pagedown")


ABLE_SCENE: dict[str, object] = {"fed": able()}
SCREENS: dict[str, tuple[Callable[[Driver], Awaitable[None]], dict[str, object]]] = {
    "memory_off": (lambda driver: driver.press("5"), ABLE_SCENE),
    "memory_ask": (ask, ABLE_SCENE),
    "memory_ask_badly": (ask_badly, ABLE_SCENE),
    "memory_traced": (traced, ABLE_SCENE),
    "memory_tracebacks": (then("d", "d", answered=True, place=8), ABLE_SCENE),
    "memory_of_another": (of_another, ABLE_SCENE),
    "memory_ended": (ended, ABLE_SCENE),
    "memory_objects": (objects_twice, ABLE_SCENE),
    "memory_line": (line, ABLE_SCENE),
    "memory_line_ways": (line_with_ways, ABLE_SCENE),
    "memory_line_hostile": (then("down", "down", "enter"), ABLE_SCENE),
    "profile": (functions, ABLE_SCENE),
    "profile_none": (no_functions, ABLE_SCENE),
    "profile_function": (function, ABLE_SCENE),
    "profile_function_end": (function_end, ABLE_SCENE),
    "profile_hostile": (hostile_function, ABLE_SCENE),
    "profile_unable": (lambda driver: driver.press("6"), {}),
}
NARROW_ONLY = {"memory_ask_badly", "memory_of_another", "memory_ended", "profile_hostile", "profile_unable", "profile_none",
               "profile_function_end", "memory_line_hostile"}  # fmt: skip
