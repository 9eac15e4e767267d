"""Memory in the model: growth per minute from looks, what a tick leaves out stays, pieces of profiles."""

import msgspec
import pytest
from fake_probe import NOW, SESSION, hello, static, tick

from monitor.formatting import UNKNOWN
from monitor.plain.memory import Growth, growth_lines, growth_object, profiles_lines, profiles_object, row_object
from monitor.protocol import frames
from monitor.protocol.memory_frames import ObjectsRow
from monitor.store.memory_columns import MEMORY, PROFILES
from monitor.store.store import Store

SECOND = 1_000_000
TRACING = {
    "since": NOW,
    "left": 60 * SECOND,
    "frames": 1,
    "limit": 1 << 30,
    "traced": 1000,
    "peak": 2000,
    "overhead": 300,
    "mine": True,
    "before": {"steps": 1000.0, "busy": 10.0},
    "during": {"steps": 900.0, "busy": 35.0},
}


def apply(store, *told):
    for frame in told:
        store.apply(frames.decode(msgspec.json.encode(frame)))
    return store


def look(at, rows=None, **more):
    facts = {"at": NOW + at * SECOND, "blocks": 10, "groups": 2, "pause": 1500, "took": 9000}
    facts |= {"traced": 5000, "peak": 6000, "overhead": 700, "rss": 20_000_000}
    if rows is not None:
        facts |= {"rows": rows, "against": "baseline", "against_at": NOW, "group": "lineno", "found": 7, **more}
    return {"type": "reply", "id": 1, "ok": True, "memory": facts}


@pytest.fixture
def store():
    return apply(Store(), hello(), static(), tick())


def test_growth_is_taken_between_looks(store):
    apply(store, look(0), look(10, [[[1], 5000, 4000, 50, 40]]))
    (row,) = store.memory.snapshot.rows
    assert row.growth == pytest.approx(4000 * 6) and row.site.file == "/srv/app.py"
    apply(store, look(20, [[[1], 5000, 4000, 50, 40], [[2], 100, 100, 1, 1]]))
    assert [row.growth for row in store.memory.snapshot.rows] == pytest.approx([4000 * 3, 100 * 3])
    apply(store, look(90, [[[1], 2500, 1500, 50, 40]]))
    assert store.memory.snapshot.rows[0].growth == pytest.approx(0, abs=5000)
    assert store.memory.sizes(row.place) == [1000, 5000, 5000, 2500]
    frozen = store.frozen()
    apply(store, look(95, [[[1], 9999, 9999, 50, 40]]))
    assert frozen.memory.snapshot.rows[0].size == 2500 and len(frozen.memory.sizes(row.place)) == 4


def test_a_tick_says_only_what_is_new(store):
    apply(store, tick(memory={"tracing": TRACING, "usage": {"rss": 5, "fds": {"socket": 3}}}))
    assert store.memory.cost() == pytest.approx(3.5)
    apply(store, look(0), tick(memory={"collector": {"runs": [1, 2, 3]}}))
    memory = store.memory
    assert memory.tracing is not None and memory.usage.rss == 5 and memory.collector.runs == (1, 2, 3)
    assert memory.baseline is not None
    apply(store, tick(memory={"tracing": None, "ended": {"at": NOW, "why": "duration reached"}}))
    assert memory.tracing is None and memory.ended.why == "duration reached" and memory.cost() is None
    assert memory.baseline is not None, "what was seen stays to be read"
    other = Store()
    other.memory.apply_tick(memory.as_tick())
    assert (other.memory.tracing, other.memory.ended, other.memory.usage) == (None, memory.ended, memory.usage)
    apply(store, tick(memory={"tracing": {**TRACING, "since": NOW + SECOND}}))
    assert memory.baseline is None
    apply(store, hello(session="another"))
    assert store.memory.tracing is None and SESSION != "another"


def test_the_objects_that_are_printed(store):
    apply(store, look(0), look(10, [[[1], 5000, -4000, 50, -40]], total=[1, 2, 3, 4]))
    memory = store.memory
    growth = Growth(store, memory.baseline, memory.snapshot, 3.5, ())
    assert growth_object(growth) == {
        "duration": 10.0,
        "tracing_cost": 3.5,
        "rss": {"before": 20_000_000, "after": 20_000_000},
        "traced": {"before": 5000, "after": 5000},
        "diff": [
            {
                "site": {"file": "/srv/app.py", "line": 10, "function": "main"},
                "size": 5000,
                "size_diff": -4000,
                "count": 50,
                "count_diff": -40,
            }
        ],
    }
    assert [line["line"] for line in row_object(memory.snapshot.rows[0], "traceback")["traceback"]] == [10]
    lines = growth_lines(growth, 80, False)
    assert (
        "steps took 3.5× as long" in lines[0] and any("app.py:10" in line for line in lines) and lines[-1] == "6 more"
    )
    for column in MEMORY:
        assert column.text(memory.snapshot.rows[0], store) not in ("", UNKNOWN)


def test_profiles_come_in_pieces(store):
    profile = {"function": "f", "module": "m", "site": 1, "shape": "function", "kind": "memory", "calls": 2}
    profile |= {"elapsed": 3 * SECOND, "size_diff": 10, "key_type": "lineno"}
    profile["recent"] = [[NOW, SECOND, 5, 1, 10, "done", [[1, 5, 5, 1, 1]]]]
    reply = {"type": "reply", "id": 2, "ok": True}
    assert profiles_lines(store, 80, False)[0].startswith("no function is profiled")
    apply(store, {**reply, "more": True, "profiles": [profile]})
    assert not store.memory.profiles
    apply(store, {**reply, "profiles": [{**profile, "function": "g"}]})
    first, second = profiles_object(store)["functions"]
    assert (first["function"], second["function"]) == ("f", "g")
    assert first["recent"][0]["diff"][0]["size_diff"] == 5 and first["elapsed"] == 3.0
    assert len(profiles_lines(store, 100, False)) >= 3
    for column in PROFILES:
        assert column.text(store.memory.profiles[0], store)
    apply(store, {**reply, "profiles": []})
    assert store.memory.profiles == ()


def test_objects_and_the_event_of_an_end(store):
    found = {"at": NOW, "objects": 10, "types": 2, "pause": 5, "took": 9, "rows": [["ClientResponse", 1200, 1200]]}
    apply(store, {"type": "reply", "id": 2, "ok": True, "objects": found})
    assert store.memory.objects.rows == (ObjectsRow("ClientResponse", 1200, 1200),)
    apply(store, {"type": "event", "seq": 900, "at": NOW, "kind": "memory", "text": "memory tracing stopped"})
    assert store.notices[-1].text == "memory tracing stopped"
