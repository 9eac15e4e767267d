"""`looptop threads` as text: shares from two looks, and who asked for a job."""

import msgspec
import pytest
from fake_probe import hello, static

from monitor.plain.thread_objects import threads_object
from monitor.plain.threads import lines_of_all, thread_lines
from monitor.protocol import frames
from monitor.store.store import Store


def thread(native, cpu, read, **more):
    return {"native": native, "ident": native * 10, "name": f"t{native}", "cpu": cpu, "read": read, **more}


def look(at, *rows, more=0, **rest):
    told = {"type": "reply", "id": 1, "ok": True, "threads": {"at": at, "rows": rows, "more": more, **rest}}
    return frames.decode(msgspec.json.encode(told)).threads


@pytest.fixture
def found():
    store = Store()
    strings = ["", "/app/shop.py", "crunch", "run"]
    told = static(strings={"from": 0, "items": strings}, sites={"from": 0, "items": [[0, 0, 0], [1, 7, 2], [1, 3, 3]]})
    for frame in (hello(), told):
        store.apply(frames.decode(msgspec.json.encode(frame)))
    job = {"function": "crunch", "site": 1, "task": {"id": 9, "name": "asker", "coro": "ask"}}
    before = look(
        0, thread(1, 0, 0, state="sleeping"), thread(2, 100, 0, state="running", gil=50), thread(3, 5, 0, state="x")
    )
    after = look(
        1_000_000,
        thread(1, 10_000, 1_000_000, state="sleeping"),
        thread(2, 900_100, 1_000_000, state="running", gil=750_050, stack=[2, 1], at=1, job=job),
        {**thread(3, 7, 1_000_000, state="sleeping"), "ident": 77},  # another thread that got the number
        more=2,
    )
    store.add_threads(before)
    store.add_threads(after)
    return store


def test_text(found):
    lines = thread_lines(found, 120, False)
    assert lines[0].split() == ["Thread", "CPU", "GIL", "State", "Loop", "At", "Job", "Queued", "Id"]
    assert lines[1].split()[:3] == ["t2", "90%", "75%"]
    assert lines[2].split()[:3] == ["t1", "1.0%", "–"]  # not known
    assert "running" in lines[1]
    assert "shop.py:7 crunch" in lines[1]
    assert "for #9 asker" in lines[1]
    assert lines[-1] == "3 threads, 2 more are not shown; CPU 91% over 1.00s, 0% in threads with a loop"
    merged = lines_of_all({2: found}, 140, False)
    assert merged[0].split()[:2] == ["Process", "Thread"]
    assert [line.split()[:3] for line in merged[1:3]] == [["2", "(4242)", "t2"], ["2", "(4242)", "t1"]]


def test_objects(found):
    told = threads_object(found)
    assert [row["cpu"] for row in told["threads"]] == [pytest.approx(0.9), pytest.approx(0.01), None]
    assert [row["gil"] for row in told["threads"]] == [pytest.approx(0.75), None, None]
    assert [line["line"] for line in told["threads"][0]["stack"]] == [3, 7]
    assert told["threads"][0]["job"]["task"] == {"id": 9, "name": "asker", "coro": "ask"}
    assert told["threads"][1]["job"] is None


def test_a_look_of_earlier_says_so_and_counts_once(found):
    at = 2_000_000
    assert threads_object(found)["time"] is None
    looked = look(at, thread(1, 20_000, at, state="sleeping"), time=found.now_us - 7_200_000)
    for _ in range(2):  # a segment of a black box begins with the last look again
        found.add_threads(looked)
    assert threads_object(found)["time"] == pytest.approx(found.now - 7.2)
    assert (
        thread_lines(found, 120, False)[-1]
        == "1 thread; CPU 1.0% over 1.00s, 0% in threads with a loop; seen 7.20s earlier"
    )
