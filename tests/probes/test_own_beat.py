"""What the probe does in a loop of the program is never told as the program's, however long it took."""

import asyncio

import pytest

from probes import slow
from probes.records import LoopRecord


@pytest.fixture
def record():
    loop = asyncio.new_event_loop()
    yield LoopRecord(loop, 1, "asyncio", True), loop
    loop.close()


def test_a_beat_that_had_to_wait_for_the_processor_is_no_slow_callback(record):
    record, loop = record
    beats = []
    watchdog = slow.Watchdog()
    loop.call_soon_threadsafe = beats.append
    watchdog._beat(loop, record, 1.0)
    watchdog.book(record, beats[0], None, 1.0, 0.3)
    assert not watchdog.caught


def test_a_callback_of_the_program_is_one(record):
    record, _ = record
    watchdog = slow.Watchdog()
    watchdog.book(record, print, None, 1.0, 0.3)
    watchdog.book(record, lambda: None, None, 2.0, 0.3)
    assert [caught.duration for caught in watchdog.caught] == [0.3, 0.3]
