"""The link's decoder against another side that says anything: what it keeps is bounded, and it ends in one line or not."""

from __future__ import annotations

import random
import select
import socket
import zlib
from io import BytesIO
from typing import Any

import pytest

from monitor.attach import boxes_elsewhere, elsewhere
from monitor.errors import ConnectError, LooptopError
from monitor.remote import link
from monitor.remote.answers import Answer, members_of
from monitor.remote.link import MOST_ANSWERS, Link
from monitor.remote.relay import FROM_THERE, HEADER, MOST_SAID, WINDOW, Frames

WORDS = (b"{}", b"[]", b'{"open": true}', b'{"error": ["UsageError", "x\\u001b[2J", ""]}', b'{"pid": -1}', b"\xff" * 9)
WORDS += (
    b'{"members": ["1", "x via touch /tmp/x", "' + b"9" * 40 + b'"]}',
    b'{"programs": [{}]}',
    b'{"boxes": 1}',
    b"",
)


def bare_link() -> Link:
    """A link without a command, with a request under way in each of three channels."""
    made: Any = Link.__new__(Link)
    made.command, made._reason, made._closing = "ssh box", None, False
    made._channels = {number: link._Channel() for number in range(3)}
    made._frames, made._outgoing, made._lock = Frames(FROM_THERE), bytearray(), link.threading.Lock()
    made._poll, made._noise = select.poll(), None
    found: Link = made
    return found


def random_bytes(rng: random.Random) -> bytes:
    """Frames that may be right, lie about their length, or be none; some streams are wilder than others."""
    pieces, wild = [], rng.random() < 0.3
    for _ in range(rng.randrange(1, 20)):
        kinds = (0, 1, 1, 1, 2, 2, 3, 4, 5, 5, rng.randrange(256)) if wild else (1, 4, 5)
        kind, number = rng.choice(kinds), rng.randrange(5)
        content = rng.choice((*WORDS, rng.randbytes(rng.randrange(64)), b"x" * rng.randrange(1 << 15)))
        content = content if wild or kind == 1 else b""
        length = (
            len(content)
            if not wild or rng.random() < 0.95
            else rng.choice((0, 1, MOST_SAID, MOST_SAID + 1, (1 << 32) - 1))
        )
        pieces.append(HEADER.pack(kind, number, length) + content)
    data = b"".join(pieces)
    return data[: rng.randrange(len(data) + 1)] if rng.random() < 0.2 else data


def feed(side: Link, data: bytes) -> str:
    """What the link's thread does with bytes; why it would end."""
    try:
        for frame in side._frames.feed(data):
            side._take(*frame)
        side._follow_channels()
    except (ConnectError, ValueError) as error:
        return str(error)
    return ""


def test_anything_that_the_other_side_may_say() -> None:
    rng = random.Random(15)
    ended = 0
    for _ in range(400):
        side = bare_link()
        channels = list(side._channels.values())
        try:
            for _ in range(4):
                why = feed(side, random_bytes(rng))
                ended += bool(why)
                if why:
                    assert why.isprintable() and "\n" not in why
                    break
            assert len(side._frames.rest) <= MOST_SAID + HEADER.size
            assert len(side._outgoing) < 1 << 16
            for channel in channels:
                assert channel.answers.qsize() <= MOST_ANSWERS + 1
                assert len(channel.unread) <= WINDOW
                while not channel.answers.empty():
                    answer = channel.answers.get()
                    if isinstance(answer, bytes):
                        understood(answer)
        finally:
            for channel in channels:
                for sock in (channel.sock, channel.inner):
                    if sock is not None:
                        sock.close()
    assert 50 < ended < 390, "some that fit, and some that do not"


def understood(answer: bytes) -> None:
    """Each kind of answer is either of its form or refused."""
    for kind in (Answer, elsewhere._Plan, elsewhere._Programs, boxes_elsewhere._Answer):
        try:
            elsewhere.decoded(answer, kind, "ssh box")
        except LooptopError as error:
            assert str(error).endswith("is not looptop's: an answer is malformed")


def test_a_flood_of_ends_leaves_one() -> None:
    side = bare_link()
    (first, *_) = channels = list(side._channels.values())
    feed(side, HEADER.pack(1, 0, 14) + b'{"open": true}')
    feed(side, HEADER.pack(2, 0, WINDOW // 16) + b"x" * (WINDOW // 16))
    assert first.inner is not None and first.sock is not None
    feed(side, HEADER.pack(4, 0, 0) * 10_000)
    assert first.answers.qsize() <= 2
    for channel in channels:
        for sock in (channel.sock, channel.inner):
            if sock is not None:
                sock.close()


@pytest.mark.parametrize("bad", ["1 via touch /tmp/x", "@api", "-1", "1" * 11, "\u0661"])
def test_members_are_pids(bad: str) -> None:
    assert members_of("@web", Answer(members=["@web", bad, "7"])) == ["@web", "7"]


def test_a_box_that_never_ends_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boxes_elsewhere.boxes, "LARGEST", 1 << 20)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(zlib.compress(bytes(64 << 20)))
        with pytest.raises(ConnectError, match="larger than any black box"):
            boxes_elsewhere._copy(ours, BytesIO())
