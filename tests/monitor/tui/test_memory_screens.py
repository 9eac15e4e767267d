"""What the Memory and Profile screens ask of a program, and when."""

from __future__ import annotations

from driver import Driver, running
from memory_scene import able, answer, ask, traced, tracing, usage_tick
from scene import hello, tick

from monitor.protocol import frames
from monitor.tui.screens.allocation import AllocationScreen
from monitor.tui.screens.memory import MemoryScreen


def asked(driver: Driver) -> list[str]:
    return [op for _, op, _ in driver.source.requests]


async def test_nothing_is_traced_without_an_answer() -> None:
    async with running(fed=able()) as driver:
        await ask(driver)
        await driver.press("escape")
        assert isinstance(driver.app.screen, MemoryScreen)
        await driver.tick(seconds=10)
        assert asked(driver) == []


async def test_a_start_takes_a_baseline_and_looks_every_two_seconds_one_at_a_time() -> None:
    async with running(fed=able()) as driver:
        await ask(driver)
        await driver.pilot.press("5", "down", "2", "m", "enter")
        await driver.tick()
        assert driver.source.requests[-1][1:] == (
            "memory_start",
            {"frames": 5, "duration": 120_000_000, "limit": 1 << 30},
        )
        await answer(driver)
        assert asked(driver)[-1] == "memory_baseline"
        await answer(driver)
        assert asked(driver).count("memory_look") == 1
        await driver.tick(usage_tick(30, tracing=tracing()), seconds=9)
        assert asked(driver).count("memory_look") == 1, "the one before was not answered"
        await answer(driver)
        await driver.tick(seconds=0.5)
        assert asked(driver).count("memory_look") == 2
        await answer(driver)
        await driver.tick(seconds=0.5)
        assert asked(driver).count("memory_look") == 2
        await driver.tick(seconds=2)
        assert asked(driver).count("memory_look") == 3


async def test_live_looks_stop_where_nobody_sees_them() -> None:
    async with running(fed=able()) as driver:
        await traced(driver, 2)
        await answer(driver)
        before = len(driver.source.requests)
        await driver.press("1")
        await driver.tick(seconds=9)
        assert len(driver.source.requests) == before
        assert driver.source.watched["memory"] is False
        await driver.press("5")
        await driver.tick(seconds=2.1)
        assert len(driver.source.requests) == before + 1
        assert driver.source.watched["memory"] is True
        await driver.press("v")
        await answer(driver)
        await driver.tick(seconds=9)
        assert len(driver.source.requests) == before + 1, "by hand only"
        await driver.press("n")
        assert len(driver.source.requests) == before + 2
        await answer(driver)
        await driver.press("v", "space")
        await driver.tick(seconds=9)
        assert len(driver.source.requests) == before + 2, "paused"


async def test_what_is_wanted_of_a_look_is_asked_for() -> None:
    async with running(fed=able()) as driver:
        await traced(driver, 1)
        await answer(driver)
        for key, name, value in (
            ("d", "group", "filename"),
            ("d", "group", "traceback"),
            ("d", "group", "lineno"),
            ("a", "against", "last"),
            ("x", "hide", ["probe", "stdlib"]),
            ("p", "hide", ["packages", "probe", "stdlib"]),
            ("o", "hide", ["packages", "stdlib"]),
        ):
            await driver.press(key)
            assert driver.source.requests[-1][2][name] == value
            await answer(driver)


async def test_stopping_and_what_can_not_be_stopped() -> None:
    async with running(fed=able()) as driver:
        await traced(driver, 1)
        await answer(driver)
        await driver.press("s")
        assert asked(driver)[-1] == "memory_stop"
        await driver.tick(usage_tick(40, tracing=tracing(mine=False)), seconds=40)
        before = len(driver.source.requests)
        await driver.press("s")
        assert "memory_stop" not in asked(driver)[before:]
        assert "another viewer" in driver.text()


async def test_a_refusal_is_told_and_looks_go_on() -> None:
    async with running(fed=able()) as driver:
        await traced(driver, 1)
        number = driver.source.requests[-1][0]
        await driver.tick(frames.Reply(id=number, ok=False, error="another snapshot is in progress [/x]"))
        assert "another snapshot is in progress [/x]" in driver.text()
        await driver.tick(seconds=2.1)
        assert driver.source.requests[-1][0] == number + 1


async def test_a_connection_that_breaks_leaves_no_question_open() -> None:
    async with running(fed=able()) as driver:
        await traced(driver, 1)
        screen = driver.app.live_screen
        assert isinstance(screen, MemoryScreen)
        assert screen.tracer.asking
        await driver.tick(hello(capabilities=["memory"]))
        assert not screen.tracer.asking


async def test_an_older_probe_and_a_deaf_one_say_so() -> None:
    async with running() as driver:
        await driver.press("5", "s")
        assert "cannot trace its memory" in driver.text()
    async with running(fed=able()) as driver:
        driver.source.deaf = True
        await driver.press("5", "t")
        assert "not connected to the program" in driver.text()


async def test_the_page_of_a_line_asks_who_runs_there_and_opens_a_task() -> None:
    async with running((140, 40), fed=able()) as driver:
        await traced(driver, 2)
        await answer(driver)
        await driver.press("enter")
        assert isinstance(driver.app.screen, AllocationScreen)
        assert driver.source.requests[-1][1] == "tasks"
        number = driver.source.requests[-1][0]
        detail = frames.Detail(id=30, await_stack=[4])
        await driver.tick(frames.Reply(id=number, ok=True, details=[detail]), tick(33))
        assert "waits through line 17" in driver.text()
        await driver.press("down", "enter")
        assert "#30 handle()" in driver.screen()[4]


async def test_profiles_are_asked_for_while_they_are_in_sight() -> None:
    async with running(fed=able()) as driver:
        await driver.press("6")
        assert driver.source.requests[-1][1:] == ("profile", {"calls": 0})
        await driver.tick(seconds=5)
        assert len(driver.source.requests) == 1, "one question at a time"
        await answer(driver)
        await driver.press("enter")
        await driver.tick(seconds=2.1)
        assert driver.source.requests[-1][1:] == ("profile", {"calls": 1000})
        await answer(driver)
        await driver.press("1")
        before = len(driver.source.requests)
        await driver.tick(seconds=9)
        assert len(driver.source.requests) == before


async def test_what_is_asked_for_in_a_pause_is_shown() -> None:
    async with running(fed=able()) as driver:
        await driver.press("space", "6")
        await answer(driver)
        assert "Asking" not in driver.text()
        await driver.tick(seconds=9)
        assert "worker" in driver.text()
        assert asked(driver).count("profile") == 1
        await driver.press("enter")
        assert asked(driver).count("profile") == 2
        assert driver.source.requests[-1][2] == {"calls": 1000}
