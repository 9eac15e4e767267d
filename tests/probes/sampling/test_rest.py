"""A program that rests is hardly woken by a probe that nobody is connected to, and what blocks it then is still seen."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from test_counting import source
from waiting import wait_until
from watched import Program

from probes.hooks import install

BODY = """
    async def main():
        probe = sys._looptop_probe
        await told("ready")
        await asyncio.sleep(2)
        while not probe.watchdog.ids:
            await asyncio.sleep(0.1)
        ids = [probe.watchdog.ids[-1]]
        await told(f"{ids[0]}")
        time.sleep(0.3)
        await told("blocked")

    run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_the_watchdog_rests_with_the_loop(tmp_path: Path) -> None:
    with Program(source(BODY), folder=tmp_path, env={"LOOPTOP_PURE": "0"}) as program:
        program.expect("ready")
        program.say()
        thread = int(program.line())

        def switches() -> int:
            text = Path(f"/proc/{program.pid}/task/{thread}/status").read_text()
            return int(text.partition("\nvoluntary_ctxt_switches:")[2].split()[0])

        def a_second() -> float:
            before, began = switches(), time.monotonic()
            time.sleep(1)
            return (switches() - before) / (time.monotonic() - began)

        # Waits for the GIL on a crowded machine are switches, too: one undisturbed second is enough.
        wait_until(lambda: a_second() <= 7, "a second of rest; it slept for 0.1 s at a time before")
        program.say()
        program.expect("blocked")
        with program.viewer() as viewer:
            slow = viewer.until(lambda: viewer.of_kind("slow_callback"), "what blocked")[0]
            assert viewer.site(slow["stack"][slow["blame"]])[2] == "main" and slow["duration"] >= 300_000


@pytest.mark.timeout(60)
def test_a_rest_that_is_over_before_it_begins_does_not_begin() -> None:
    """A loop may start between the watchdog's look at the loops and its rest, which must not begin without it."""
    state = install.native_state
    if state is None:
        pytest.skip("needs the hooks in C")
    ends = state.rest_ends
    state.end_rest()
    assert state.rest_ends == ends + 1
    assert state.rest((), 3600.0, 3600.0, ends) > 0
