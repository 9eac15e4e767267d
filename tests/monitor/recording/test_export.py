"""What a recording is exported to, read by others: the official schema of Perfetto, csv, json."""

import csv
import io
import json
from collections import defaultdict

import pytest
from scripted import NOW, Script, record

from monitor.cli import main
from monitor.recording.perfetto import trace
from monitor.recording.reader import Recording

schema = pytest.importorskip("perfetto.protos.perfetto.trace.perfetto_trace_pb2", reason="pip install perfetto")
BEGIN, END, INSTANT, COUNTER = 1, 2, 3, 4


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    return record(tmp_path_factory.mktemp("export") / "a.looptop", ticks=120, script=Script(slow=0.2))


class Read:
    """A trace as its reader sees it: tracks, and slices that nest."""

    def __init__(self, data):
        self.trace = schema.Trace()
        self.trace.ParseFromString(data)
        self.tracks, self.slices, self.instants, self.counters = (
            {},
            defaultdict(list),
            defaultdict(list),
            defaultdict(list),
        )
        self.unknown = 0
        names, keys, events = {}, {}, []
        for packet in self.trace.packet:
            assert packet.trusted_packet_sequence_id == 1
            self.unknown += len(packet.SerializeToString()) == 0
            if packet.HasField("track_descriptor"):
                track = packet.track_descriptor
                assert track.uuid not in self.tracks or self.tracks[track.uuid].name == track.name
                assert not track.parent_uuid or track.parent_uuid in self.tracks
                self.tracks[track.uuid] = track
            names |= {entry.iid: entry.name for entry in packet.interned_data.event_names}
            keys |= {entry.iid: entry.name for entry in packet.interned_data.debug_annotation_names}
            if packet.HasField("track_event"):
                event = packet.track_event
                assert event.track_uuid in self.tracks
                said = {keys[one.name_iid]: self.value(one) for one in event.debug_annotations}
                events.append((packet.timestamp, event, names.get(event.name_iid), said))
        open_slices = defaultdict(list)
        for at, event, name, said in sorted(events, key=lambda entry: entry[0]):  # stable, as the trace processor
            if event.type == BEGIN:
                open_slices[event.track_uuid].append((at, name, said, event))
            elif event.type == END:
                begin, *rest = open_slices[event.track_uuid].pop()
                self.slices[event.track_uuid].append((begin, at, *rest, len(open_slices[event.track_uuid])))
            elif event.type == INSTANT:
                self.instants[event.track_uuid].append((at, name, said))
            else:
                self.counters[self.tracks[event.track_uuid].name].append((at, event.double_counter_value))
        assert not any(open_slices.values())

    def value(self, said):
        if said.array_values:
            return [self.value(one) for one in said.array_values]
        return getattr(said, said.WhichOneof("value"))

    def named(self, text):
        return [uuid for uuid, track in self.tracks.items() if text in track.name]


@pytest.fixture(scope="module")
def read(recorded):
    with Recording(recorded.path) as recording:
        return Read(b"".join(trace(recording)))


def test_nothing_is_outside_the_schema(read):
    again = schema.Trace()
    again.ParseFromString(read.trace.SerializeToString())
    again.DiscardUnknownFields()
    assert again.SerializeToString() == read.trace.SerializeToString()


def test_a_track_for_each_task_below_the_process(read, recorded):
    process = read.tracks[1]
    assert (process.process.pid, process.process.process_name) == (4242, "api")
    tasks = {
        int(name.rsplit("(", 1)[1][:-1])
        for track in read.tracks.values()
        if track.parent_uuid == 3
        for name in [track.name]
    }
    seen = {total for _, moment in recorded.moments for total in _sums(moment.tasks.id)}
    assert tasks >= seen


def test_lives_and_what_was_done_between_ticks(read, recorded):
    steps = defaultdict(int)
    for uuid, slices in read.slices.items():
        lives = [one for one in slices if one[-1] == 0 and one[2] != "steps"]
        assert uuid < 1 << 42 or len(lives) == 1
        for begin, end, name, said, _, depth in slices:
            assert end >= begin
            if name == "steps":
                assert depth == 1 and lives[0][0] <= begin and end <= lives[0][1]
                steps[uuid] += said["steps"]
    _, last = recorded.moments[-1]
    first = {
        uuid: next(said.get("steps before", 0) for *_, name, said, _, depth in slices if depth == 0)
        for uuid, slices in read.slices.items()
        if uuid > 1 << 42
    }
    for number, count in zip(_sums(last.tasks.id), last.tasks.steps, strict=True):
        assert steps[(4 << 40) + number] + first[(4 << 40) + number] == count


def test_slow_callbacks_are_slices_with_stacks(read, recorded):
    (loop,) = read.named("loop 1 asyncio MainThread: slow callbacks")
    slices = read.slices[loop]
    assert len(slices) == sum(line.count for line in recorded.store.slow.lines.values()) > 10
    caught = [one for one in slices if "stack" in one[3]]
    assert caught
    for begin, end, name, said, event, _ in caught:
        assert 100_000_000 <= end - begin <= 450_000_000
        assert name.startswith("w at /srv/") and said["line"] in said["stack"]
        assert [f"{f.source_file}:{f.line_number} {f.function_name}" for f in event.callstack.frames] == said["stack"]


def test_counters(read, recorded):
    lags = read.counters["loop 1 lag"]
    assert len(lags) >= len(recorded.moments)
    assert lags[-1][1] == pytest.approx(recorded.store.loops[1].lag * 1e9)
    assert read.counters["tasks"][-1][1] == recorded.store.task_counts.values[-1]
    assert read.counters["memory (rss)"][-1][1] == recorded.store.process.rss
    assert read.counters["tasks"][-1][0] == recorded.moments[-1][0] * 1000


def test_exceptions_and_notices(read, recorded):
    said = [name for _, name, _ in read.instants[2]]
    assert len(said) == len(recorded.store.unhandled) + len(recorded.store.notices)
    failed = [facts for uuid, found in read.instants.items() for _, name, facts in found if name == "failed"]
    assert {facts["exception"] for facts in failed} == {"KeyError: 'x'"}


def _sums(steps):
    total = 0
    return [total := total + step for step in steps]


# The command


@pytest.fixture
def run(capsysbinary):
    def run(*args):
        status = main([str(arg) for arg in args])
        out, err = capsysbinary.readouterr()
        return status, out, err.decode()

    return run


def test_perfetto_beside_the_recording(run, recorded):
    status, out, err = run("export", recorded.path, "--to", "perfetto")
    made = recorded.path.with_suffix(".perfetto-trace")
    assert (status, out) == (0, b"") and "open it with ui.perfetto.dev" in err
    assert len(Read(made.read_bytes()).tracks) > 30
    assert run("export", recorded.path, "--to", "perfetto")[0] == 2  # it exists
    status, out, _ = run("export", recorded.path, "--to", "perfetto", "-o", "-", "--from", "20", "--until", "22")
    part = Read(out)
    assert {at - NOW * 1000 for at, _ in part.counters["tasks"]} <= {20e9, 20.5e9, 21e9, 21.5e9, 22e9}


def test_ndjson(run, recorded):
    status, out, err = run("export", recorded.path, "--to", "ndjson")
    assert (status, err) == (0, "")
    lines = [json.loads(line) for line in out.splitlines()]
    assert lines[0]["type"] == "session" and lines[0]["pid"] == 4242
    ticks = [line for line in lines if line["type"] == "tick"]
    assert len(ticks) == 121
    assert ticks[-1]["tasks"] == recorded.store.task_counts.values[-1]
    last = {line["task"]: line for line in lines if line["type"] == "task"}
    for task in filter(lambda task: task.steps, recorded.store.tasks.values()):
        assert (last[task.id]["steps"], last[task.id]["state"]) == (task.steps, task.state_name)
    assert sum(line["type"] == "task_ended" for line in lines) == recorded.store.ended_total


@pytest.mark.parametrize(("table", "rows"), [("ticks", 121), ("tasks", 1000), ("slow", 10), ("ended", 50)])
def test_csv(run, recorded, table, rows, tmp_path):
    file = tmp_path / "out.csv"
    status, out, _ = run("export", recorded.path, "--to", "csv", "--table", table, "-o", file)
    assert (status, out) == (0, b"")
    found = list(csv.DictReader(io.StringIO(file.read_text())))
    assert len(found) == rows if table == "ticks" else len(found) > rows
    assert float(found[-1]["time"]) > NOW / 1e6
    if table == "tasks":
        assert "[/x]" in {row["name"] for row in found}


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--to", "ndjson", "--table", "slow"], "--table is for CSV"),
        (["--to", "csv", "--from", "20", "--until", "10"], "nothing is between --from and --until"),
        (["--to", "csv", "-o", "/nowhere/x"], "/nowhere/x cannot be written"),
        (["--to", "xml"], "'xml' is not one of"),
    ],
)
def test_what_can_not_be_done(run, recorded, args, said):
    status, out, err = run("export", recorded.path, *args)
    assert (status in (1, 2), out, said in err, err.count("\n")) == (True, b"", True, 1), err


def test_parquet_of_several_recordings_is_queried_with_duckdb(run, recorded, tmp_path):
    duckdb = pytest.importorskip("duckdb", reason="pip install duckdb")
    other = record(tmp_path / "it's b.looptop", ticks=60, script=Script(slow=0.3))
    folder = tmp_path / "out"
    status, _, err = run("export", str(recorded.path), str(other.path), "--to", "parquet", "-o", str(folder))
    assert status == 0, err
    for table in ("ticks", "tasks", "slow_callbacks", "ended"):
        assert f"{table}.parquet" in err
    ticks = duckdb.sql(
        f"SELECT worker, count(*), max(lag), min(time) FROM '{folder}/ticks.parquet' GROUP BY 1 ORDER BY 1"
    )
    rows = ticks.fetchall()
    assert [row[0] for row in rows] == [0, 1]
    assert rows[0][1] > rows[1][1] > 0
    assert abs(rows[0][3].timestamp() - NOW * 1e-6) < 86_400
    slow = (
        f"SELECT worker, file, line, sum(duration) FROM '{folder}/slow_callbacks.parquet' GROUP BY ALL ORDER BY 4 DESC"
    )
    worst = duckdb.sql(slow).fetchall()
    expected = sum(line.total for line in recorded.store.slow.lines.values())
    assert sum(row[3] for row in worst if row[0] == 0) == pytest.approx(expected, rel=1e-3)
    again = run("export", str(recorded.path), "--to", "parquet", "-o", str(folder))
    assert again[0] == 2
    assert "exists" in again[2]
