"""The source of the dashboard: it connects again, tells another session, and holds no more than it may."""

import threading
import time
from itertools import pairwise

import pytest
from fake_probe import SESSION, eventually, hello, serve, static, tick

from monitor.errors import ConnectError, ProcessGone
from monitor.protocol import frames
from monitor.sources import live
from monitor.sources.live import LiveSource
from monitor.transport.address import Address
from monitor.transport.connection import connect


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(live, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(live, "LONGEST_PAUSE", 0.1)


@pytest.fixture
def source_of():
    opened = []

    def make(connect_, **options):
        opened.append(LiveSource(connect_, **options))
        opened[-1].start()
        return opened[-1]

    yield make
    for source in opened:
        source.close()
        assert not source._thread.is_alive()


def taken(source, wanted, number=1):
    """Frames of the source until so many of a type came."""
    came = []

    def enough():
        came.extend(source.frames())
        return sum(isinstance(frame, wanted) for frame in came) >= number

    eventually(enough)
    return came


def to(path):
    return lambda: connect(Address(path=str(path)))


def test_frames_come_and_the_watch_is_sent(tmp_path, probe_at, source_of):
    probe_at(tmp_path / "s")
    source = source_of(to(tmp_path / "s"))
    source.watch(rate=4, window=[1])
    came = taken(source, frames.Tick, 3)
    assert isinstance(came[0], frames.Hello)
    assert source.status.state == "connected"
    assert source.status.text == ""


def test_a_request_and_its_reply(tmp_path, probe_at, source_of):
    probe_at(tmp_path / "s")
    source = source_of(to(tmp_path / "s"))
    eventually(lambda: source.status.state == "connected")
    number = source.request("cancel", task=99)
    reply = taken(source, frames.Reply)[-1]
    assert (reply.id, reply.ok, reply.error) == (number, False, "no such task: 99")


def test_nobody_there_to_ask(tmp_path, source_of):
    source = source_of(to(tmp_path / "none"))
    assert source.request("ping") == 0
    lost = eventually(lambda: source.status.state == "lost" and source.status)
    assert lost.text.startswith(f"no such socket: {tmp_path / 'none'}")
    assert lost.text.endswith("; next try in 0.02 s")


def test_the_same_session_again_and_what_was_watched(tmp_path, probe_at, source_of):
    watched = []

    def behave(peer):
        peer.send(hello())
        watched.append(peer.read())
        peer.read_until_closed()

    probe = probe_at(tmp_path / "s", behave)
    source = source_of(to(tmp_path / "s"))
    source.watch(rate=4, detail=7)
    source.watch(detail=8)
    eventually(lambda: watched)
    probe.hang_up()
    eventually(lambda: len(watched) == 2)
    assert watched[1] == {"type": "watch", "rate": 4, "detail": 8}
    assert [frame.session for frame in taken(source, frames.Hello, 2)] == [SESSION, SESSION]
    assert source.status.state == "connected"
    assert source.status.text == ""


def test_another_session_is_said_to_be_one(tmp_path, probe_at, source_of):
    probe = probe_at(tmp_path / "s", lambda peer: (peer.send(hello(session=f"s{probe.viewers}")), serve(peer)))
    source = source_of(to(tmp_path / "s"))
    taken(source, frames.Hello)
    probe.hang_up()
    taken(source, frames.Hello)
    assert "another session" in eventually(lambda: source.status.state == "connected" and source.status.text)


def test_pauses_grow_to_a_limit_and_since_stays(source_of, monkeypatch):
    pauses = []
    monkeypatch.setattr(live.LiveSource, "_sleep", lambda self, seconds: pauses.append(seconds) or time.sleep(0.01))

    def refuse():
        raise ConnectError("nobody serves it", "x")

    source = source_of(refuse)
    since = eventually(lambda: source.status.state == "lost" and source.status).since
    eventually(lambda: len(pauses) >= 10)
    assert all(0 < one <= other for one, other in pairwise(pauses))
    assert pauses[0] == live.FIRST_PAUSE < pauses[2] < pauses[-1] == live.LONGEST_PAUSE
    assert source.status.since == since


def test_a_program_that_is_gone_is_not_tried_again(tmp_path, probe_at, source_of):
    probe = probe_at(tmp_path / "s")
    first = to(tmp_path / "s")()

    def gone():
        raise ProcessGone("no process has the pid 4242", "x")

    source = source_of(gone, first=first)
    taken(source, frames.Hello)
    probe.hang_up()
    ended = eventually(lambda: source.status.state == "ended" and source.status)
    assert "no process has the pid 4242" in ended.text
    eventually(lambda: not source._thread.is_alive())


def test_the_end_of_a_program_that_we_started(tmp_path, probe_at, source_of):
    ended = []
    probe = probe_at(tmp_path / "s")
    source = source_of(to(tmp_path / "s"), ended=lambda: ended[0] if ended else None, eager=True)
    source.watch(rate=4)
    taken(source, frames.Tick, 3)
    threading.Timer(0.1, lambda: ended.append("the program ended with status 3")).start()
    probe.hang_up()
    status = eventually(lambda: source.status.state == "ended" and source.status)
    assert status.text == "the program ended with status 3"
    assert source.request("ping") == 0


def test_a_program_that_is_just_starting_is_waited_for(tmp_path, probe_at, source_of):
    def no_probe_yet():
        if not (tmp_path / "s").exists():
            raise ConnectError("process 7 has no probe", "start it with looptop run")
        return to(tmp_path / "s")()

    source = source_of(no_probe_yet, eager=True)
    assert eventually(lambda: source.status.text) == "waiting for the program to start"
    assert source.status.state == "connecting"
    probe_at(tmp_path / "s")
    eventually(lambda: source.status.state == "connected" and not source.status.text)


def test_a_connection_that_does_not_come_back_says_what_to_do(source_of):
    def gone():
        raise ConnectError("7 no longer has a probe", "q, then looptop attach 7")

    source = source_of(gone)
    assert "7 no longer has a probe: q, then looptop attach 7; next" in eventually(lambda: source.status.text)


def test_a_screen_that_takes_nothing_stops_the_reading_and_loses_nothing(tmp_path, probe_at, source_of, monkeypatch):
    monkeypatch.setattr(live, "FIRST_WAITING", 100_000)
    monkeypatch.setattr(live, "MOST_WAITING", 800_000)
    total = 300
    sent = []

    def flood(peer):
        peer.send(hello())
        for number in range(total):
            peer.send(tick(number, gone=list(range(5000))))
            sent.append(number)
        peer.read_until_closed()

    probe_at(tmp_path / "s", flood)
    source = source_of(to(tmp_path / "s"))
    came = []
    for most in (live.FIRST_WAITING, live.MOST_WAITING):  # less of it before the screens are there
        eventually(lambda most=most: source._waiting > most)
        stuck = eventually(lambda: _still(lambda: len(sent)))
        assert stuck < total
        assert source._waiting < most + 400_000
        came += source.frames()
    came += taken(source, frames.Tick, total - sum(isinstance(frame, frames.Tick) for frame in came))
    assert [frame.at for frame in came if isinstance(frame, frames.Tick)] == list(range(total))


def _still(value):
    before = value()
    time.sleep(0.3)
    return before if value() == before else None


def test_garbage_in_between_breaks_the_connection_and_it_is_made_again(tmp_path, probe_at, source_of):
    def behave(peer):
        peer.send(hello(), static())
        if probe.viewers == 1:
            peer.send(b"garbage\n")
        peer.read_until_closed()

    probe = probe_at(tmp_path / "s", behave)
    source = source_of(to(tmp_path / "s"))
    came = taken(source, frames.Static, 2)
    assert [type(frame) for frame in came] == [frames.Hello, frames.Static] * 2
    assert probe.viewers == 2


def test_a_program_that_says_nothing_any_more(tmp_path, probe_at, source_of, monkeypatch):
    monkeypatch.setattr(live, "SILENT", 0.3)
    again = threading.Event()

    def behave(peer):
        peer.send(hello())
        peer.read()
        peer.send(static(), tick())
        again.wait(60)
        peer.send(tick())
        again.clear()
        peer.read()

    probe_at(tmp_path / "s", behave)
    source = source_of(to(tmp_path / "s"))
    before = time.time()
    source.watch(rate=20)
    taken(source, frames.Tick)
    silent = eventually(lambda: source.status.state == "silent" and source.status)
    assert silent.text.startswith("one call of it keeps")  # the pid of the fixture is nobody's, so no state is known
    assert before - 0.001 <= silent.since <= time.time() - 0.3 + 0.001
    again.set()
    eventually(lambda: source.status.state == "connected" and not source.status.text)
