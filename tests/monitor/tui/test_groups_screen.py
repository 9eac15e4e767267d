"""The Groups screen, the page of a group, and labels on the other screens."""

from __future__ import annotations

from typing import Any

from driver import running
from scene import SECOND, START, everything, static, tick

from monitor.plain.groups import group_lines, groups_object
from monitor.protocol import frames
from monitor.protocol.rows import GroupRow, SlowestRow
from monitor.tui.base.theme import label_style

ITEMS, ORDERS = "GET /items/{id}", "POST /orders"


def groups(step: int, ages: list[int], ended: int) -> frames.Tick:
    known = len(static().strings.items)  # type: ignore[union-attr]
    slowest = [SlowestRow(17, 200_000, START + 61 * SECOND, 5, 10)]
    row = GroupRow(1, 5, known, 2, 2, ended, 1, 0, 0, [10, 5, 1, 4], ages, ages, [], [], slowest, None, ended, 2)
    return tick(step, groups=frames.GroupsTick(since=START, rows=[row]))


def labels() -> list[frames.Frame]:
    """The strings of the labels, an ended task and a slow callback with one."""
    known = len(static().strings.items)  # type: ignore[union-attr]
    facts: dict[str, Any] = {"loop": 1, "task": 17, "name": "Task-17"}
    return [
        frames.Static(strings=frames.Strings(from_=known, items=[ITEMS])),
        frames.Event(
            seq=900, at=START + 60 * SECOND, kind="task_ended", coro="handle", outcome="done", label=ITEMS, **facts
        ),
        frames.Event(
            seq=901, at=START + 60 * SECOND, kind="task_ended", coro="handle", outcome="done", label=ORDERS, **facts
        ),
        frames.Event(
            seq=902, at=START + 60 * SECOND, kind="slow_callback", duration=130_000, callback="handle()", stack=[9],
            blame=0, samples=1, label=ITEMS, **facts,
        ),
    ]  # fmt: skip


async def test_a_group_its_ages_over_time_and_labels_elsewhere() -> None:
    async with running((100, 30), fed=everything()) as driver:
        await driver.tick(*labels())
        await driver.press("8")
        await driver.tick(groups(30, [100, 4], 4), seconds=1)
        assert driver.source.watched["groups"] is True
        row = next(line for line in driver.text().splitlines() if ITEMS in line)
        assert row.split()[2:5] == ["2", "–", "1"], row  # live, no rate yet, failed
        assert "over the last" not in driver.text()
        await driver.press("enter")
        await driver.tick(groups(34, [100, 4, 164, 6], 10), seconds=1)
        text = driver.text()
        assert f"{ITEMS}  handle" in text
        assert "5xx 2" in text
        assert "live 2   6.0/s over 1s   in 1m08s ended 10" in text, text
        assert "Ages of the ended ones  in all, and in each of the last 54 s" in text
        ages = [line for line in text.splitlines() if line.startswith("   from ")]
        assert [line.rstrip()[-1] for line in (ages[0], ages[-1])] == ["4", "█"], ages  # all of the first look is older
        assert "failed  #17" in text

        await driver.press("3")
        await driver.filter_by("group:handle label:/items/")
        await driver.look()
        text = driver.text()
        assert ITEMS in text
        assert ORDERS not in text
        await driver.press("escape", "2")
        await driver.filter_by("label:/items/")
        await driver.look()
        rows = [line for line in driver.text().splitlines() if ".py:" in line]
        assert len(rows) == 1, rows


def test_a_label_has_one_colour_everywhere() -> None:
    assert label_style(ITEMS) == label_style(str(ITEMS)) != label_style(None) == "text"
    assert len({label_style(f"GET /{number}") for number in range(50)}) == 5


async def test_the_times_that_the_figures_cover_are_said() -> None:
    """Ends are counted since the program's tasks are, and the rate only of what a viewer has watched."""
    async with running((100, 30), fed=everything()) as driver:
        await driver.press("8")
        await driver.tick(*labels(), groups(30, [100, 4], 4), seconds=1)
        store = driver.app.view
        assert any("1 group, counted for 1m08s; █" in line for line in group_lines(store, "total", False, 100, False))
        await driver.tick(groups(34, [100, 4, 164, 6], 10), seconds=1)
        periods = "counted for 1m08s, /s over the last 1s"
        assert "in 1m08s  /s over 1s" in driver.text()
        assert any(f"1 group, {periods}; █" in line for line in group_lines(store, "total", False, 100, False))
        (group,) = groups_object(store, "total")["groups"]
        assert (group["rate"], group["rate_over"]) == (6.0, 1.0)
