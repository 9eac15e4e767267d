"""One connection to a probe: what is taken, and what is refused with which words."""

import socket
import struct
from pathlib import Path

import fake_probe
import pytest
from fake_probe import behind_token, event, hello, says, says_and_leaves, static, tick

from monitor.errors import NO_CONNECTION, Closed, ConnectError
from monitor.protocol import frames
from monitor.transport import connection as module
from monitor.transport.address import Address
from monitor.transport.connection import Lines, connect

QUICK = 0.5
"""Seconds for what is not to be answered."""
LONG = 60.0


def refusal(address, **options):
    with pytest.raises(ConnectError) as caught:
        connect(address, **{"environ": {}, "timeout": LONG, **options})
    assert caught.value.status == NO_CONNECTION
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    return str(caught.value)


def test_hello_over_a_unix_socket(tmp_path, probe_at):
    probe_at(tmp_path / "s")
    connection = connect(Address(path=str(tmp_path / "s")))
    assert connection.hello.name == "api"
    assert connection.hello.session == fake_probe.SESSION
    connection.send({"type": "watch"})
    came = connection.receive(LONG)
    assert isinstance(came[0], frames.Static)
    connection.close()


def test_what_comes_with_the_hello_is_not_lost(tmp_path, probe_at):
    lines = b"".join(fake_probe.json.dumps(frame).encode() + b"\n" for frame in (hello(), static(), tick()))
    probe_at(tmp_path / "s", says(lines))
    connection = connect(Address(path=str(tmp_path / "s")))
    kinds = []
    while len(kinds) < 2:
        kinds += [type(frame) for frame in connection.receive(LONG)]
    assert kinds == [frames.Static, frames.Tick]
    assert connection.receive(0) == []
    connection.close()


def test_the_right_token_over_tcp(probe_on_tcp, tmp_path):
    probe = probe_on_tcp(behind_token("a secret"))
    address = Address(host="127.0.0.1", port=probe.port)
    (tmp_path / "token").write_text("a secret\n")
    (tmp_path / "token").chmod(0o600)
    for options in (
        {"token_file": str(tmp_path / "token"), "environ": {"LOOPTOP_TOKEN": "other"}},
        {"environ": {"LOOPTOP_TOKEN": "a secret"}},
        {"environ": {"LOOPTOP_TOKEN_FILE": str(tmp_path / "token")}},
    ):
        connect(address, **options).close()
    announced = Address(host="127.0.0.1", port=probe.port, token_file=str(tmp_path / "token"))
    connect(announced, environ={}).close()


def test_a_wrong_token(probe_on_tcp):
    probe = probe_on_tcp(behind_token("a secret"))
    text = refusal(Address(host="127.0.0.1", port=probe.port), environ={"LOOPTOP_TOKEN": "guess"})
    assert text == (
        f"127.0.0.1:{probe.port}: wrong token: the token is in the file that the program names where it starts"
    )


def test_no_token(probe_on_tcp, tmp_path):
    address = Address(host="127.0.0.1", port=probe_on_tcp(behind_token("a secret")).port)
    assert "asks for a token: give --token-file FILE or LOOPTOP_TOKEN" in refusal(address)
    assert "cannot be read: No such file" in refusal(address, token_file=str(tmp_path / "none"))
    (tmp_path / "empty").touch(mode=0o600)
    assert "is empty" in refusal(address, token_file=str(tmp_path / "empty"))
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    assert "it is not text" in refusal(address, token_file=str(tmp_path / "binary"))
    (tmp_path / "open").write_text("a secret")
    (tmp_path / "open").chmod(0o644)
    assert "others may read the token file" in refusal(address, token_file=str(tmp_path / "open"))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "the received data is not a frame of looptop"),
        (b"\x00\xff\xfe\n", "the received data is not a frame of looptop"),
        (b"[1,2]\n", "the received data is not a frame of looptop"),
        (b'{"type": 7}\n', "the received data is not a frame of looptop"),
        ({"type": "hello", "protocol": 1}, "a broken hello frame"),
        ({"type": "hello", "protocol": 99, "who": "knows"}, "speaks protocol 99, this looptop speaks 1"),
        (hello(protocol=2), "speaks protocol 2, this looptop speaks 1: install the same version"),
        ({"type": "challenge", "protocol": 2, "nonce": "00"}, "speaks protocol 2"),
        (tick(), "does not say hello"),
        ({"type": "error", "message": "too many viewers"}, "says: too many viewers"),
        (b"x" * (1 << 20) + b"y\n", "a line of more than 1048576 bytes came"),
        (b"x" * ((1 << 20) + 1), "a line of more than 1048576 bytes came"),
        (b'{"type": "hel', "does not answer"),
        (b"", "does not answer"),
        ({"type": "news", "protocol": 1}, "does not answer"),
    ],
)
def test_what_is_no_probe(tmp_path, probe_at, said, words):
    probe_at(tmp_path / "s", says(said))
    assert words in refusal(Address(path=str(tmp_path / "s")), timeout=QUICK if words == "does not answer" else LONG)


def test_a_line_that_is_cut_off(tmp_path, probe_at):
    probe_at(tmp_path / "s", says_and_leaves(b'{"type": "hel'))
    assert "closed the connection: in the middle of a line" in refusal(Address(path=str(tmp_path / "s")))


def test_unknown_frames_and_fields_are_ignored(tmp_path, probe_at):
    probe_at(tmp_path / "s", says({"type": "weather", "sun": 1}, hello(new_field=3), tick(more=1), {"type": "x"}))
    connection = connect(Address(path=str(tmp_path / "s")))
    came = fake_probe.eventually(lambda: connection.receive(1))
    assert [type(frame) for frame in came] == [frames.Tick]
    connection.close()


def test_what_came_before_the_garbage_is_received_first(tmp_path, probe_at):
    probe_at(tmp_path / "s", says(hello(), tick(), event(1, "notice", text="x"), b"garbage\n", tick()))
    connection = connect(Address(path=str(tmp_path / "s")))
    came = []
    with pytest.raises(ConnectError, match="not a frame of looptop"):
        while True:
            came += connection.receive(LONG)
    assert len(came) == 2
    connection.close()


def test_the_end_of_the_program(tmp_path, probe_at):
    probe_at(tmp_path / "s", says_and_leaves(hello(), tick()))
    connection = connect(Address(path=str(tmp_path / "s")))
    assert len(fake_probe.eventually(lambda: connection.receive(1))) == 1
    for _ in range(2):
        with pytest.raises(Closed, match="closed the connection: the program has ended"):
            connection.receive(LONG)
    connection.close()


def test_a_probe_that_reads_nothing(tmp_path, probe_at):
    import threading

    done = threading.Event()

    def deaf(peer):
        peer.send(hello())
        done.wait(60)

    probe_at(tmp_path / "s", deaf)
    connection = connect(Address(path=str(tmp_path / "s")))
    with pytest.raises(ConnectError, match="takes nothing"):
        for _ in range(1000):
            connection.send({"type": "watch", "window": [1] * 10_000}, timeout=0.1)
    done.set()
    connection.close()


def test_a_request_that_is_too_long_is_not_sent(tmp_path, probe_at):
    probe_at(tmp_path / "s")
    connection = connect(Address(path=str(tmp_path / "s")))
    with pytest.raises(ConnectError, match="at most 65536 are taken"):
        connection.send({"type": "watch", "filter": "x" * 70_000})
    connection.close()


def test_no_socket_there(tmp_path):
    assert "no such socket" in refusal(Address(path=str(tmp_path / "none")))


def test_nobody_serves_the_socket(tmp_path):
    path = tmp_path / "s"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    assert f"nothing listens on {path}: the program has ended or executed another" in refusal(Address(path=str(path)))


def test_a_file_that_is_no_socket(tmp_path):
    (tmp_path / "s").touch()
    assert "is not a socket" in refusal(Address(path=str(tmp_path / "s")))


def test_a_path_that_is_too_long_for_a_socket():
    assert "cannot be reached" in refusal(Address(path="/tmp/" + "x" * 200))


def test_no_permission(tmp_path, monkeypatch):
    class Guarded(socket.socket):
        def connect(self, address):
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(module.socket, "socket", Guarded)
    assert "no permission for" in refusal(Address(path=str(tmp_path / "s")))


def test_nobody_listens_on_the_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert f"nothing listens on 127.0.0.1:{port}: was the program started with --listen" in refusal(
        Address(host="127.0.0.1", port=port)
    )


def test_no_such_host():
    assert "no host is called nowhere.invalid" in refusal(Address(host="nowhere.invalid", port=1))


def test_a_reset_connection(probe_on_tcp):
    def reset(peer):
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    assert "closed the connection" in refusal(Address(host="127.0.0.1", port=probe_on_tcp(reset).port))


def test_a_connection_that_is_reset_while_it_opens(monkeypatch):
    def reset(*_args):
        raise ConnectionResetError(104, "Connection reset by peer")

    monkeypatch.setattr(module.socket, "create_connection", reset)
    assert "127.0.0.1:1 closed the connection" in refusal(Address(host="127.0.0.1", port=1))


def test_lines_are_cut_wherever_the_pieces_end():
    data = b'{"a":1}\n\n{"b":2}\n{"c"'
    whole = []
    for size in range(1, len(data)):
        lines = Lines()
        got = [line for i in range(0, len(data), size) for line in lines.feed(data[i : i + size])]
        whole.append(got)
        assert lines.half
    assert all(got == [b'{"a":1}', b'{"b":2}'] for got in whole)


def test_a_refused_connection_leaves_no_socket_open(tmp_path, probe_at):
    probe_at(tmp_path / "s", says(b"garbage\n"))
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        refusal(Address(path=str(tmp_path / "s")))
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 5  # the fake keeps its own ends
