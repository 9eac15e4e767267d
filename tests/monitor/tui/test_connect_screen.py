"""The connect screen, driven by hand: as text at 80x24 and 140x40, and what Enter does."""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from driver import Driver
from scene import FakeSource
from textual.widgets import Input

from monitor.errors import ConnectError
from monitor.tui.base.choices import Choice, Opened
from monitor.tui.connect import Connect

GOLDEN = Path(__file__).parent / "golden"
SIZES = ((80, 24), (140, 40))
ATTACH = "puts a probe in and opens the dashboard; the probe leaves with you"
DISABLED = "remote debugging is disabled (PYTHON_DISABLE_REMOTE_DEBUG)"


def program(pid: int, what: str, watch: str = "attach", **more: str) -> Choice:
    cells = {
        "pid": str(pid), "owner": "shop", "name": "", "python": "3.12.1", "loop": "asyncio", "ports": "",
        "watch": watch, "program": what, **more,
    }  # fmt: skip
    return Choice(pid, cells, (f"/srv/venv/bin/python {what.lstrip('└ ')}", "shop  started 4m12s ago"), ATTACH)


PROGRAMS = [
    Choice(
        310, {**program(310, "gunicorn: master [shop:app]", "no", loop="none").cells, "ports": ":8000"},
        ("gunicorn: master [shop:app]", "shop  started 3h12m ago  listens on *:8000"), why_not="no asyncio loaded",
    ),
    program(311, "└ gunicorn: worker [shop:app]", "probe", loop="uvloop", ports=":8000", name="@shop"),
    program(312, "└ gunicorn: worker [shop:app]", loop="uvloop", ports=":8000"),
    program(4711, "jobs/worker.py --queue [/x][@click=app.quit]b[/] \x1b[31m任务 🚀 " + "long " * 60),
    Choice(
        5000, program(5000, "-m report", "read-only", python="3.14.8").cells, ("python -m report",),
        f"reads its tasks from outside, without times: {DISABLED}",
    ),
    Choice(
        6000, program(6000, "python3", "no", owner="www-data", python="–", loop="–", ports="–").cells, ("python3",),
        why_not="kernel.yama.ptrace_scope=1 lets only root attach to processes that are not your children: "
        "use sudo, or setcap/docker --cap-add SYS_PTRACE",
    ),
]  # fmt: skip
RECORDINGS = [
    Choice("b", {"file": "b.looptop", "name": "@api", "program": "app.py --port 80", "when": "2026-11-21 09:00", "length": "12m05s",
                 "size": "1.2MiB"}, ("/srv/b.looptop", "pid 12  on box"), "replays it"),
    Choice("a", {"file": "[/a]\x07.looptop", "size": "12B"}, ("/srv/a",), why_not="it was cut before its first block"),
]  # fmt: skip
SAMPLES = [
    Choice(
        f"sample_{number}", {"name": f"sample_{number}", "topic": "tasks", "shows": "It shows something."},
        ("It shows something.", "tasks"), "starts it and opens the dashboard; it ends when you leave",
    )
    for number in range(30)
]  # fmt: skip


class FakeHome:
    """Lists what it is given; opening waits until it is let go, and fails where it is told to."""

    def __init__(self) -> None:
        self.listed: dict[str, list[Choice]] = {"programs": PROGRAMS, "recordings": RECORDINGS, "samples": SAMPLES}
        self.let_go = threading.Event()
        self.let_go.set()
        self.opened: list[tuple[str, Hashable]] = []
        self.closed: list[Hashable] = []

    def programs(self) -> list[Choice]:
        return self.listed["programs"]

    def recordings(self) -> list[Choice]:
        return self.listed["recordings"]

    def samples(self) -> list[Choice]:
        return self.listed["samples"]

    def open(self, section: str, key: Hashable) -> Opened:
        assert self.let_go.wait(60)
        if key == 4711:
            raise ConnectError("PID 4711 is already traced by gdb[/x] (PID 456)", "detach it first")
        self.opened.append((section, key))
        return Opened(FakeSource(), None, lambda: self.closed.append(key))


class Screen(Driver):
    """The app and its home."""

    app: Any
    home: FakeHome

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def look(self) -> None:
        await self.app.list_all()
        await self.pilot.pause()

    async def settled(self, condition: Callable[[], bool]) -> None:
        for _ in range(500):
            if condition():
                return
            await self.pilot.pause(0.01)
        raise AssertionError("it never came to be")


@asynccontextmanager
async def connecting(size: tuple[int, int] = (80, 24), look: bool = True, **how: Any) -> AsyncIterator[Screen]:
    home = FakeHome()
    app = Connect(home, where="shop@box  ~/srv", every=0, **how)
    async with app.run_test(size=size) as pilot:
        screen = Screen(app, pilot, FakeSource(), None)  # type: ignore[arg-type]
        screen.home = home
        await pilot.pause()
        if look:
            await screen.look()
        yield screen


async def nothing(screen: Screen) -> None:
    """As it comes."""
    await screen.settled(lambda: "Quit" in screen.text())


def keys(*pressed: str) -> Callable[[Screen], Awaitable[None]]:
    async def act(screen: Screen) -> None:
        await screen.press(*pressed)

    return act


async def filtered(screen: Screen) -> None:
    await screen.press("slash")
    screen.app.screen.query_one(Input).value = "uvloop gunicorn"
    await screen.pilot.pause()


async def refused(screen: Screen) -> None:
    await screen.press("down", "down", "enter")
    await screen.settled(lambda: not screen.app._busy)


async def opening(screen: Screen) -> None:
    screen.home.let_go.clear()
    await screen.press("enter")


async def emptied(screen: Screen) -> None:
    for section in screen.home.listed:
        screen.home.listed[section] = []
    await screen.look()


async def emptied_recordings(screen: Screen) -> None:
    await emptied(screen)
    await screen.press("2")


SCREENS: dict[str, tuple[Callable[[Screen], Awaitable[None]], dict[str, Any]]] = {
    "connect": (nothing, {}),
    "connect_looking": (nothing, {"look": False}),
    "connect_hostile": (keys("down", "down"), {}),
    "connect_why_not": (keys("G", "enter"), {}),
    "connect_refused": (refused, {}),
    "connect_opening": (opening, {}),
    "connect_filtered": (filtered, {}),
    "connect_empty": (emptied, {}),
    "connect_recordings": (keys("2", "down"), {}),
    "connect_recordings_empty": (emptied_recordings, {}),
    "connect_samples": (keys("3", "G"), {}),
    "connect_help": (keys("question_mark"), {}),
    "connect_palette": (keys("ctrl+p"), {}),
    "connect_no_color": (nothing, {"no_color": True}),
}
WIDE_TOO = ("connect", "connect_hostile", "connect_recordings", "connect_samples", "connect_refused")
CASES = [(name, size) for name in SCREENS for size in SIZES if size == SIZES[0] or name in WIDE_TOO]


@pytest.mark.parametrize(("name", "size"), CASES, ids=[f"{name}-{size[0]}x{size[1]}" for name, size in CASES])
async def test_screen(name: str, size: tuple[int, int]) -> None:
    act, how = SCREENS[name]
    async with connecting(size, **how) as screen:
        await act(screen)
        text = screen.text()
        for strip in screen.app.screen._compositor.render_strips():
            for segment in strip:
                assert segment.text.isprintable(), segment.text
                values = () if segment.style is None else segment.style.meta.values()
                assert not any("quit" in str(value) for value in values), "what a program is called became an action"
        screen.home.let_go.set()
    path = GOLDEN / f"{name}-{size[0]}x{size[1]}.txt"
    if os.environ.get("LOOPTOP_GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert path.exists(), "no golden file: LOOPTOP_GOLDEN=write pytest makes it, then read it"
    assert text == path.read_text(encoding="utf-8")


async def test_enter_ends_with_what_was_opened() -> None:
    async with connecting() as screen:
        await screen.press("down", "enter")
        await screen.settled(lambda: not screen.app.is_running)
        assert screen.home.opened == [("programs", 312)]
        assert screen.app.return_value.source is not None
        assert screen.home.closed == []


async def test_what_was_given_up_is_closed_when_it_comes() -> None:
    async with connecting() as screen:
        await opening(screen)
        await screen.press("escape")
        assert "cancelled" in screen.text()
        screen.home.let_go.set()
        await screen.settled(lambda: screen.home.closed == [311])
        assert screen.app.is_running


async def test_the_cursor_stays_on_its_program_while_others_come_and_go() -> None:
    async with connecting() as screen:
        await screen.press("down")
        screen.home.listed["programs"] = [program(7, "new.py"), *PROGRAMS[1:]]
        await screen.look()
        assert screen.app.lists.current().key == 312
        screen.home.listed["programs"] = [*PROGRAMS[:2], *PROGRAMS[3:]]
        await screen.look()
        assert screen.app.lists.current().key == 4711


async def test_the_cursor_returns_to_what_was_opened() -> None:
    async with connecting(section="samples", key="sample_7") as screen:
        assert screen.app.lists.current().key == "sample_7"


async def test_a_list_that_can_not_be_had_is_told_and_the_others_are_shown() -> None:
    async with connecting(look=False) as screen:

        def broken() -> list[Choice]:
            raise ConnectError("the folder is gone", "go elsewhere")

        screen.home.recordings = broken  # type: ignore[method-assign]
        await screen.look()
        assert "recordings: the folder is gone: go elsewhere" in screen.text()
        assert "3 Samples 30" in screen.text()


async def test_tabs_and_rows_can_be_clicked() -> None:
    async with connecting() as screen:
        await screen.pilot.click("#tabs", offset=(40, 0))
        await screen.pilot.pause()
        assert screen.app.lists.chosen == "samples"
        await screen.press("tab", "right")
        assert screen.app.lists.chosen == "recordings"
        await screen.press("left")
        assert screen.app.lists.chosen == "programs"


async def test_too_small_a_window_says_so_and_nothing_else() -> None:
    async with connecting(size=(50, 10)) as screen:
        lines = [line.strip() for line in screen.screen() if line.strip()]
        assert lines == ["Too small: 50×10.", "looptop needs 56×12."]
        await screen.pilot.resize_terminal(80, 24)
        await screen.pilot.pause()
        assert "gunicorn: master" in screen.text()


async def test_q_leaves_with_nothing() -> None:
    async with connecting() as screen:
        await screen.pilot.press("q")
        await screen.settled(lambda: not screen.app.is_running)
        assert screen.app.return_value is None
