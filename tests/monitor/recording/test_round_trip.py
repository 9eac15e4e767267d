"""What the player shows at a time is what the live dashboard showed then: the models are compared, all of them."""

import copy
import random

import msgspec
import pytest
from msgspec.structs import replace
from scripted import Script, record

from monitor.recording.player import RecordingSource
from monitor.recording.reader import Recording
from monitor.store.series import Series
from monitor.store.store import Store


def whole(keyframe):
    """A keyframe without what only says how it is written down."""
    parts = msgspec.to_builtins(keyframe)
    strings, sites = parts.pop("strings"), parts.pop("sites")

    def site(number):
        file, line, function = sites[number]
        return (strings[file], line, strings[function])

    def resolve(value, key=""):
        if isinstance(value, dict):
            return {name: resolve(entry, name) for name, entry in value.items()}
        if key in ("stack", "traceback", "await_stack", "origin") and value is not None:
            return [site(number) for number in value]
        if isinstance(value, list | tuple):
            return [resolve(entry) for entry in value]
        return value

    del parts["memory_looks"]  # numbers in another order; there is a test of its own
    tasks = parts["tasks"]
    tasks["coro"] = [strings[number] for number in tasks["coro"]]
    tasks["site"] = [site(number) for number in tasks["site"]]
    parts["site_states"] = [[site(row[0]), *row[1:]] for row in parts["site_states"]]
    parts["slow"] = sorted([site(row[0]) if row[0] >= 0 else (), *row[1:]] for row in parts["slow"])
    for loop in parts["loops"]:
        if loop["block"] is not None:
            loop["block"] = [*loop["block"][:3], [site(number) for number in loop["block"][3]], loop["block"][4]]
    for event in parts["history"]["events"]:
        event["site"] = site(event.get("site", 0))
    parts["history"]["events"].sort(key=lambda event: (event["kind"], event["at"], event.get("task") or 0))
    return resolve(parts)


def state(recording, at):
    store = Store()
    for frame in recording.state(at)[0]:
        store.apply(frame)
    return whole(store.keyframe(history=True))


def memory_of(store):
    """Memory as a screen shows it: rows with their growth, sparklines."""
    memory = store.memory
    rows = [row for look in memory.snapshots.values() for row in look.rows]
    sizes = {row.place: memory.sizes(row.place) for row in rows}
    return memory.baseline, memory.snapshot, memory.snapshots, memory.objects, memory.profiles, sizes


def test_memory_is_what_the_screen_showed(tmp_path):
    script, store = Script(seed=11, memory=True), Store()
    path = record(tmp_path / "a", ticks=150, script=script, moments=False).path
    script = Script(seed=11, memory=True)
    shown = {}
    for frame in script.start():
        store.apply(frame)
    for _ in range(150):
        for frame in script.tick():
            store.apply(frame)
        shown[script.at] = copy.deepcopy(memory_of(store))
    assert store.memory.snapshot and store.memory.objects and store.memory.profiles and len(store.memory.snapshots) == 2
    with Recording(path) as recording:
        for at in random.Random(1).sample(list(shown), 60):
            sought = Store()
            for frame in recording.state(at + 10)[0]:
                sought.apply(frame)
            assert memory_of(sought) == shown[at]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    path = tmp_path_factory.mktemp("trip") / "a.looptop"
    return record(path, ticks=400, script=Script(seed=3, slow=0.3, memory=True))


def test_a_seek_to_a_hundred_random_times(recorded):
    chosen = random.Random(7)
    with Recording(recorded.path) as recording:
        for _ in range(100):
            number = chosen.randrange(len(recorded.moments))
            at, live = recorded.moments[number]
            until = recorded.moments[number + 1][0] if number + 1 < len(recorded.moments) else at + 11
            found = state(recording, chosen.randrange(at + 10, until))
            assert found == whole(live), f"tick {number}"


def test_playing_to_a_time_is_seeking_to_it(recorded):
    clock = [0.0]
    recording = Recording(recorded.path)
    source = RecordingSource(recording, clock=lambda: clock[0], wall=lambda: 0.0)
    store = Store()
    source.start()
    chosen = random.Random(8)
    for _ in range(60):
        clock[0] += chosen.random() * 6
        for frame in source.frames():
            store.apply(frame)
        at = recording.start + round(source.position * 1e6)
        live = store.keyframe(history=True)
        sought = Store()
        for frame in recording.state(at)[0]:
            sought.apply(frame)
        a, b = whole(live), whole(sought.keyframe(history=True))
        a["hello"]["capabilities"] = b["hello"]["capabilities"] = []
        assert a == b
    source.close()


def test_a_store_made_of_a_keyframe_is_the_same_in_every_attribute(recorded):
    twin = Store()
    twin.apply(recorded.store.keyframe(history=True))
    ours, theirs = vars(recorded.store), vars(twin)
    assert set(ours) == set(theirs)
    for name in ("now", "watched_since", "loops", "process", "probe", "memory", "left", "missed_events", "sync_scan"):
        assert _plain(ours[name]) == _plain(theirs[name]), name
    groups = theirs["label_groups"]
    assert ours["label_groups"] and ours["label_groups"].since == groups.since
    for number, group in ours["label_groups"].items():
        apart = {name: getattr(groups[number], name) for name in ("marks", "row", "past", "version")}
        assert replace(group, **apart) == groups[number]  # a keyframe has the newest marks only
    for name in ("ended_total", "details", "unhandled", "notices", "ended", "last_event", "now_us"):
        assert ours[name] == theirs[name], name
    for parent in (0, *recorded.store.tasks):
        assert recorded.store.tasks.children(parent) == twin.tasks.children(parent)
    for number, task in recorded.store.tasks.items():
        mine, other = _plain(task), _plain(twin.tasks[number])
        mine.pop("version"), other.pop("version")
        assert mine == other


def _plain(thing):
    if isinstance(thing, Series):
        return list(thing.values)
    if isinstance(thing, msgspec.Struct) and type(thing).__module__.startswith("monitor.store"):
        return {name: _plain(getattr(thing, name)) for name in thing.__struct_fields__ if name != "revision"}
    if isinstance(thing, dict):
        return {key: _plain(value) for key, value in thing.items()}
    return list(thing) if hasattr(thing, "maxlen") else thing
