"""The Threads screen: a busy thread beside the loop is obvious, Enter shows its stack, and names are text."""

from __future__ import annotations

from driver import running
from scene import everything

from monitor.protocol import frames
from monitor.protocol.thread_frames import AskedBy, ThreadFacts, ThreadJob, ThreadsReply

SCENE = [frame for frame in everything() if isinstance(frame, frames.Static)]
FIRST_STRING = max((f.strings.from_ + len(f.strings.items) for f in SCENE if f.strings), default=0)
FIRST_SITE = max((f.sites.from_ + len(f.sites.items) for f in SCENE if f.sites), default=0)
FACTS = frames.Static(
    strings=frames.Strings(FIRST_STRING, ["/app/shop.py", "crunch"]),
    sites=frames.Sites(FIRST_SITE, [(FIRST_STRING, 12, FIRST_STRING + 1)]),
)


def look(second: int) -> frames.Tick:
    now = second * 1_000_000
    job = ThreadJob("crunch [/x]", FIRST_SITE, AskedBy(7, "asker", "ask"))
    rows = [
        ThreadFacts(100, now, second * 210_000, "sleeping", name="MainThread", ident=1, daemon=False),
        ThreadFacts(
            101, now, second * 1_080_000, "running", name="pool[/x]", ident=2, stack=[FIRST_SITE], at=0, job=job
        ),
        ThreadFacts(102, now, 0, "sleeping", name="idle", ident=3, queued=second * 500_000),
    ]
    return frames.Tick(at=10**15 + now, threads=ThreadsReply(now, rows))


async def test_a_busy_thread_is_obvious_and_opens() -> None:
    async with running(fed=[*everything(), FACTS], no_color=True) as driver:
        assert driver.source.watched["threads"] == 0
        await driver.press("0")
        assert "No look at the threads yet" in driver.text()
        assert driver.source.watched["threads"] == 1
        await driver.tick(look(1))
        assert " CPU –  threads with a loop –  others –  3 threads" in driver.text()
        await driver.tick(look(2), seconds=2)
        rows = driver.screen()
        assert any("CPU 129%" in row and "others" in row for row in rows), driver.text()
        assert any(
            "most of it outside the loop: pool[/x] 108%  /app/shop.py:12 crunch  for #7 ask…" in row for row in rows
        ), driver.text()
        table = [row for row in rows if row.lstrip("▌ ").startswith(("pool", "Main", "idle"))]
        assert [row.lstrip("▌ ").split()[:2] for row in table[:3]] == [
            ["pool[/x]", "108%"],
            ["MainThread", "21%"],
            ["idle", "0%"],
        ]
        assert "crunch [/x]" in table[0]
        await driver.press("enter")
        text = driver.text()
        assert "asked for by #7 asker" in text
        assert "crunch [/x]" in text
        await driver.press("escape")
        await driver.filter_by("idle")
        assert "MainThread" not in driver.text()
        await driver.press("escape", "escape")
        await driver.tick()
        assert driver.source.watched["threads"] == 0
