"""Makes the picture of the README: the dashboard on `sample_apps.demo`, drawn by the program itself. `make picture`."""

from __future__ import annotations

import asyncio
import html
import re
import sys
from pathlib import Path

from monitor.attach.launch import Launch, Settings
from monitor.attach.program import PtyProgram
from monitor.sources.connection import connect
from monitor.sources.live import LiveSource
from monitor.targets import resolve
from monitor.tui.app import Looptop

SIZE = (120, 30)
SECONDS = 12.0
PICTURE = Path(__file__).parent / "dashboard.svg"


async def picture() -> str:
    """The dashboard after some seconds of the demo, as SVG."""
    argv = (sys.executable, "-P", "-m", "sample_apps.demo", "--seconds", "60")
    program = PtyProgram(Launch(argv, Settings(name="demo", expect=10.0, announce=False)), 24, 80)
    source = LiveSource(lambda: connect(resolve(str(program.pid))), ended=program.how_it_ended, eager=True)
    app = Looptop(source, program=program)
    try:
        async with app.run_test(size=SIZE) as pilot:
            await asyncio.sleep(SECONDS)
            await pilot.pause()
            return app.export_screenshot(title="looptop demo")
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


if __name__ == "__main__":
    PICTURE.write_text(portable(asyncio.run(picture())), encoding="utf-8")
