"""What the probe does in a loop of the program is never told as the program's, however long it took."""

import asyncio

import pytest

from probes.base import process, task_facts
from probes.hooks.records import LoopRecord, TaskRecord
from probes.sampling import watchdog as module
from probes.sampling.callback_stack import stack_of


@pytest.fixture
def record():
    loop = asyncio.new_event_loop()
    yield LoopRecord(loop, 1, "asyncio", True), loop
    loop.close()


def test_a_beat_that_had_to_wait_for_the_processor_is_no_slow_callback(record):
    record, loop = record
    beats = []
    watchdog = module.Watchdog()
    loop.call_soon_threadsafe = beats.append
    watchdog._beat(loop, record, 1.0)
    watchdog.record_slow(record, beats[0], None, 1.0, 0.3)
    assert not watchdog.caught


def test_a_loop_that_has_stopped_is_not_waited_for(record, monkeypatch):
    record, loop = record
    asked = []
    loop.call_soon_threadsafe = asked.append
    monkeypatch.setattr(module.install, "loops", {loop: record})
    module.Watchdog()._beat(loop, record, 1.0)
    assert (len(asked), record.beat_sent) == (1, 1.0)
    module.install.loops.clear()  # between the look and the beat
    module.Watchdog()._beat(loop, record, 2.0)
    assert record.beat_sent == 0.0


def test_the_probe_at_work_in_the_thread_of_a_loop_is_no_stack_of_the_program():
    """On a loop whose callbacks pass no hook it would be sampled as one: while it reports a slow step, for example."""
    own = [(process.thread_schedule.__code__, 140), (module.Watchdog.record_slow.__code__, 390)]
    users = (test_a_callback_of_the_program_is_one.__code__, 50)
    assert stack_of(own, 0) == ()
    assert stack_of([*own, users], 0) == (users, *reversed(own))
    assert stack_of([users, *own], 0) == (*reversed(own), users)


def test_a_callback_of_the_program_is_one(record):
    record, _ = record
    watchdog = module.Watchdog()
    watchdog.record_slow(record, print, None, 1.0, 0.3)
    watchdog.record_slow(record, lambda: None, None, 2.0, 0.3)
    assert [caught.duration for caught in watchdog.caught] == [0.3, 0.3]


def test_a_slow_step_that_was_the_last_of_its_task_is_named_by_its_coroutine(record, monkeypatch):
    record, loop = record

    async def work():
        pass

    monkeypatch.setattr(task_facts, "_GET_CORO_CRASHES", True)  # as in Python 3.12.1, but for eager tasks only
    task = loop.create_task(work(), name="Task-7")
    loop.run_until_complete(task)
    step = TaskRecord(task)
    step.id, step.eager, step.label = 7, False, None
    watchdog = module.Watchdog()
    watchdog.record_slow(record, print, step, 1.0, 0.3)
    (slow,) = watchdog.caught
    assert (slow.task, slow.name, slow.callback) == (7, "Task-7", work.__qualname__)


@pytest.mark.parametrize(("each", "beats"), [(0.0, 5), (5e-6, 5), (1e-3, 40)])
def test_a_loop_that_rests_is_left_alone(record, monkeypatch, each, beats):
    record, loop = record
    watchdog = module.Watchdog()
    now, asked = 100.0, []

    def answer(beat):
        asked.append(now)
        beat()
        record.busy += 5e-6  # what the hooks book of it

    loop.call_soon_threadsafe = answer
    monkeypatch.setattr(module, "monotonic", lambda: now)
    monkeypatch.setattr(module.install, "loops", {loop: record})
    for _ in range(40):  # a second of looks
        now += watchdog.interval
        record.busy += each
        watchdog.check()
    assert abs(len(asked) - beats) <= 1


def test_a_loop_that_begins_to_do_something_is_asked_at_once(record, monkeypatch):
    record, loop = record
    watchdog = module.Watchdog()
    asked = []
    loop.call_soon_threadsafe = asked.append
    monkeypatch.setattr(module, "monotonic", lambda: 100.0)
    monkeypatch.setattr(module.install, "loops", {loop: record})
    record.answered = 99.99
    watchdog.check()
    assert not asked
    record.started = 99.999  # a callback runs
    watchdog.check()
    assert len(asked) == 1
