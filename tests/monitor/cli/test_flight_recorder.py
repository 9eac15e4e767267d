"""`looptop record --ring` on real programs: bounded, a file for what happens with what follows, and on it goes."""

import re
import signal
import subprocess
import sys

import pytest
from waiting import wait_until
from watched import Program

from monitor.recording.metadata import about
from monitor.recording.reader import Recording

PROGRAM = """
    import asyncio, sys, time
    kept = []
    async def fails():
        raise ValueError("told to")
    async def blocks():
        time.sleep(0.3)
    async def main():
        loop, lines = asyncio.get_running_loop(), asyncio.Queue()
        loop.add_reader(0, lambda: lines.put_nowait(sys.stdin.readline().strip()))
        print("ready", flush=True)
        n = 0
        while True:
            try:
                word = await asyncio.wait_for(lines.get(), 0.02)
            except TimeoutError:
                n += 1
                asyncio.create_task(asyncio.sleep(0.1), name=f"short-{n}")
                continue
            if word == "grow":
                kept.append(bytearray(b"x" * (40 << 20)))
            else:
                await asyncio.gather(asyncio.create_task({"fail": fails, "block": blocks}[word](), name=word), return_exceptions=True)
    asyncio.run(main())
"""
LOOPTOP = [sys.executable, "-m", "monitor"]


@pytest.fixture
def program(tmp_path):
    with Program(PROGRAM, folder=tmp_path) as program:
        program.expect("ready")
        yield program


class Flight:
    """A flight recorder that runs."""

    def __init__(self, program, tmp_path, *args):
        self.path = tmp_path / "flight.looptop"
        line = [*LOOPTOP, "record", str(program.pid), "-o", str(self.path), "--rate", "10", *args]
        self.process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True)
        wait_until(lambda: about(self.folder), "the first block")

    @property
    def folder(self):
        return self.path.with_name(self.path.name + ".d")

    def files(self, reason):
        """Those that were finished for a reason: on a crowded machine other callbacks are slow, too."""
        found = []
        for path in sorted(self.path.parent.glob("flight-*.looptop")):
            if (known := about(path)) and known.whole:
                with Recording(path) as recording:
                    found += [path] if re.fullmatch(reason, recording.reason) else []
        return found

    def end(self):
        self.process.send_signal(signal.SIGINT)
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said


@pytest.mark.parametrize(
    ("on", "word", "reason", "kind"),
    [
        ("slow:200ms", "block", r"#\d+ block blocked for ([3-9]\d\dms|\d+\.\d+s)", "slow"),
        ("failed", "fail", r"#\d+ fail failed", "failed"),
        ("growth:30MB", "grow", r"memory grew by (3[89]|4\d)(\.\d)?MiB", None),
    ],
)
def test_each_trigger_finishes_a_file_with_what_follows_and_goes_on(program, tmp_path, on, word, reason, kind):
    flight = Flight(program, tmp_path, "--ring", "1m", "--on", on, "--after", "1s")
    if word == "grow":  # growth is over the least of the time: two ticks at least
        wait_until(lambda: about(flight.folder).duration > 2, "some time before")
    program.say(word)
    wait_until(lambda: len(flight.files(reason)) == 1, f"the first file of {on}")
    program.say(word)
    wait_until(lambda: len(flight.files(reason)) == 2, f"the second file of {on}")
    status, said = flight.end()
    assert status == 0, said
    lines = re.findall(rf"looptop: (\S+\.looptop): {reason}\n", said)
    assert len(lines) == 2, said
    for path in flight.files(reason):
        with Recording(path) as recording:
            happened = [marker.at for marker in recording.markers() if marker.kind == kind]
            if kind is not None:
                after = [tick.at for tick in recording.light_ticks() if tick.at >= happened[-1] + 1_000_000]
                assert len(after) == 1, "it ends with the first tick after the second"
            assert not recording.problems
    assert about(flight.path).whole
    assert not flight.folder.exists()


def test_killed_it_leaves_what_was_in_the_ring(program, tmp_path):
    flight = Flight(program, tmp_path, "--ring", "1m")
    wait_until(lambda: (about(flight.folder).duration or 0) > 2, "two blocks")
    flight.process.kill()
    flight.process.communicate()
    with Recording(flight.folder) as recording:
        assert recording.duration > 2
    with pytest.raises(Exception, match=r"its flight recorder was not ended: try .*flight\.looptop\.d"):
        Recording(flight.path)
    again = Flight(program, tmp_path, "--ring", "1m")  # keeps what the killed one left
    kept = flight.path.with_name("flight.looptop.d.old")
    assert wait_until(lambda: about(kept), "the folder of the one before").duration > 2
    wait_until(lambda: about(flight.folder), "the first block")
    assert again.end()[0] == 0
