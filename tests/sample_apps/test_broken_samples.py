"""Each check can fail: a sample whose fault is removed, or that gets a fault, misses what is expected of it."""

import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from monitor.samples.check import cannot_run
from monitor.samples.judge import Verdict, judge
from monitor.samples.observe import observe
from sample_apps import catalogue


class Broken(NamedTuple):
    """One change of a sample's source, and the words of the vocabulary that it must miss then."""

    name: str
    old: str
    new: str
    missed: set[str]


BROKEN = [
    # the fix applied
    Broken("busy_loop", "await asyncio.sleep(0)", "await asyncio.sleep(0.01)", {"StepRate"}),
    Broken("regex_explodes", r'r"(\w+\s?)*"', r'r"\w+(\s\w+)*"', {"SlowCallback"}),
    Broken("slow_log", "ServerHandler(log_server())", "logging.NullHandler()", {"SlowCallback"}),
    Broken("subprocess_unread", "await process.wait()", "await process.communicate()", {"TasksGrowing"}),
    Broken("traceback_keeps_frames", "failed.append(task)", "str(task.exception())", {"MemoryGrowth"}),
    Broken("closure_keeps_request", "lambda: remind(request.name)", "remind, request.name", {"MemoryGrowth"}),
    Broken("deadlock", "transfer(bob, ann, 20)", "transfer(ann, bob, -20)", {"Waiting", "NoTaskEnded"}),
    Broken("lock_convoy", "await asyncio.sleep(0.7)", "await asyncio.sleep(0)", {"Waiting"}),
    Broken("swallowed_cancel", "continue  # wrong", "raise  #", {"TasksGrowing"}),
    Broken(
        "task_leak",
        'for a confirmation."""\n    await confirmed.wait()',
        '"""\n    await asyncio.sleep(0.1)',
        {"TasksGrowing"},
    ),
    Broken("executor_small", "ThreadPoolExecutor(2,", "ThreadPoolExecutor(16,", {"Waiting", "TasksGrowing"}),
    Broken(
        "subprocess_blocking",
        "subprocess.run(",
        "await asyncio.to_thread(subprocess.run, ",
        {"SlowCallback", "LoopLag"},
    ),
    Broken("periodic_drifting", "sleep(PERIOD)", "sleep(start + ticks * PERIOD - loop.time())", {"StepRate"}),
    Broken("timeout_missing", "answer(rng), name", "asyncio.wait_for(answer(rng), 0.2), name", {"TasksGrowing"}),
    Broken("gather_one_fails", "in dishes))", "in dishes), return_exceptions=True)", {"TaskEnded"}),
    Broken(
        "collected_pending",
        "await confirmed  # nothing else",
        "await asyncio.sleep(0.1)  # ",
        {"Unhandled", "NoTaskEnded"},
    ),
    Broken("generator_abandoned", "break  # wrong", "pass  #", {"TaskEnded"}),
    Broken("condition_polled", "sleep(0.001)", "sleep(0.1)", {"StepRate"}),
    # the fault put in
    Broken(
        "shutdown", "asyncio.gather(*workers, return_exceptions=True)", "asyncio.sleep(0)", {"NoTaskEnded", "TaskEnded"}
    ),
    Broken("lost_update_locked", "async with lock:", "async with asyncio.Lock():", {"Waiting", "TaskEnded"}),
    Broken("semaphore_bounded", "BoundedSemaphore(3)", "BoundedSemaphore(30)", {"Waiting"}),
    Broken("cancel_shielded", "asyncio.shield(payment)", "payment", {"NoTaskEnded", "TaskEnded"}),
    Broken("queue_bounded", "maxsize=10", "maxsize=0", {"Waiting", "StepRate"}),
    Broken("slow_log_queue", "logging.handlers.QueueHandler(lines)", "listener.handlers[0]", {"NoSlowCallback"}),
    Broken("websocket_chat", "await asyncio.gather(*leaving)", "[leave.close() for leave in leaving]", {"TaskEnded"}),
    Broken("context_callbacks", "elsewhere.run(current.set, 0)", "", {"NoUnhandled"}),
    Broken("restaurant_calm", "asyncio.to_thread(restaurant.burn_off)", "restaurant.on_the_spot()", {"NoSlowCallback"}),
    Broken("aiohttp_timeouts", "ClientTimeout(total=0.3)", "ClientTimeout(total=3)", {"TaskEnded"}),
    Broken("tls_echo", "stranger(port, doubt)", "stranger(port, trust)", {"TaskEnded"}),
]


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory) -> dict[str, Future[list[Verdict]]]:
    with ThreadPoolExecutor(max_workers=8) as pool:
        folder = tmp_path_factory.mktemp("broken")
        return {
            broken.name: pool.submit(run, broken, folder)
            for broken in BROKEN
            if not cannot_run(catalogue.find(broken.name))
        }


def run(broken: Broken, folder: Path) -> list[Verdict]:
    sample = catalogue.find(broken.name)
    source = sample.path.read_text()
    assert source.count(broken.old) == 1, broken
    path = folder / sample.path.name
    path.write_text(source.replace(broken.old, broken.new))
    seen = observe(sample, (sys.executable, "-P", str(path), "--seconds", "60"))
    assert not seen.trouble
    return judge(sample, seen, path)


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name)
def test_a_broken_sample_misses_what_is_expected_of_it(verdicts, broken):
    why = cannot_run(catalogue.find(broken.name))
    if why:
        pytest.skip(why)
    judged = verdicts[broken.name].result()
    missed = {type(verdict.expectation).__name__ for verdict in judged if verdict.outcome == "missed"}
    assert broken.missed <= missed
