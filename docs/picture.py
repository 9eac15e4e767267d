"""Makes the pictures of the docs: the dashboard on the demo and on samples, drawn by the program itself.

`make picture` makes all of them; `python docs/picture.py NAME…` those whose file is called so.
"""

from __future__ import annotations

import asyncio
import html
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from monitor.attach.launch import Launch, Settings
from monitor.attach.program import PtyProgram
from monitor.attach.targets import resolve
from monitor.sources.live import LiveSource
from monitor.transport.connection import connect
from monitor.tui.app import Looptop

DOCS = Path(__file__).parent
SYMPTOMS = "symptoms"
"""The folder of the pictures of docs/symptoms.md."""

LONGEST = 120
"""Seconds that a sample may run."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture: which sample, what is pressed, after how many seconds each."""

    sample: str
    keys: tuple[tuple[float, str], ...] = ()
    seconds: float = 6.0
    """After the last key."""
    name: str = ""
    size: tuple[int, int] = (104, 24)

    @property
    def path(self) -> Path:
        """The file to which the picture is written."""
        return DOCS / f"{self.name}.svg" if self.name else DOCS / SYMPTOMS / f"{self.sample}.svg"


FINDINGS = ((4.0, "7"), (5.0, "enter"))
ALL_FINDINGS = ((4.0, "7"),)

PICTURES = (
    Picture("demo", seconds=12.0, name="dashboard", size=(120, 30)),
    Picture("demo", ((5.0, "9"), (8.0, "down"), (0.3, "down"), (0.3, "down")), seconds=1.5, name="flame"),
    Picture("blocking_call", ((5.0, "2"),)),
    Picture("late_pool", ((4.0, "3"), (0.5, "w")), 3.0, name="why", size=(110, 22)),
    Picture(
        "late_pool",
        ((4.0, "8"), (0.5, "slash"), (0.2, "r"), (0.2, "e"), (0.2, "q"), (0.5, "enter"), (0.5, "w")),
        5.0,
        name="why_group",
        size=(110, 26),
    ),
    Picture("busy_loop"),
    Picture("cpu_bound", FINDINGS),
    Picture("task_leak", ((5.0, "t"), (0.3, "t"))),
    Picture("deadlock", FINDINGS),
    Picture("lock_convoy", FINDINGS),
    Picture("queue_growing", FINDINGS),
    Picture("executor_small", ALL_FINDINGS),
    Picture("never_retrieved", ((4.0, "3"), (0.5, "enter")), seconds=0.5),
    Picture("never_awaited", FINDINGS),
    Picture("collected_pending", FINDINGS),
    Picture("swallowed_cancel", FINDINGS),
    Picture("timers_piling_up", FINDINGS),
    Picture("semaphore_released_too_often", FINDINGS),
    Picture("timeout_missing"),
    Picture("sequential", ((3.0, "t"),)),
    Picture("cache_unbounded", ((2.0, "5"), (0.5, "s"), (0.5, "enter"), (3.0, "b")), seconds=5.0),
)


async def draw(picture: Picture) -> str:
    """The dashboard on a sample, as SVG."""
    argv = (sys.executable, "-P", "-m", f"sample_apps.{picture.sample}", "--seconds", str(LONGEST))
    settings = Settings(name=picture.sample, expect=10.0, announce=False)
    program = PtyProgram(Launch(argv, settings), 24, 80)
    source = LiveSource(lambda: connect(resolve(str(program.pid))), ended=program.how_it_ended, eager=True)
    app = Looptop(source, program=program)
    try:
        async with app.run_test(size=picture.size) as pilot:
            for seconds, key in picture.keys:
                await asyncio.sleep(seconds)
                await pilot.press(key)
            await asyncio.sleep(picture.seconds)
            await pilot.pause()
            return app.export_screenshot(title=f"looptop {picture.sample}")
    finally:
        source.close()
        program.stop()
        program.close()


def portable(svg: str) -> str:
    """Without fonts from elsewhere, and with indents as positions: some viewers drop spaces at the edges of a text."""
    svg = re.sub(r"@font-face\s*\{[^}]*\}", "", svg)
    return re.sub(r'x="([\d.]+)" y="([\d.]+)" textLength="([\d.]+)"([^>]*)>((?:&#160;)+)([^<]+)</text>', _indent, svg)


def _indent(text: re.Match[str]) -> str:
    x, y, length, rest, indent, words = text.groups()
    cells = indent.count(";")
    cell = float(length) / (cells + len(html.unescape(words)))
    return f'x="{float(x) + cells * cell:g}" y="{y}" textLength="{float(length) - cells * cell:g}"{rest}>{words}</text>'


def main(names: list[str]) -> None:
    """Draws the pictures whose name is given, or all."""
    for picture in PICTURES:
        if not names or picture.path.stem in names:
            picture.path.parent.mkdir(exist_ok=True)
            picture.path.write_text(portable(asyncio.run(draw(picture))), encoding="utf-8")
            sys.stdout.write(f"{picture.path.relative_to(DOCS.parent)}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
