"""Frames are validated: what does not fit is refused with one line, what is unknown is left aside."""

import json

import msgspec
import pytest
from fake_probe import DETAILS, event, hello, static, tick
from hypothesis import given
from hypothesis import strategies as st

from monitor.errors import LooptopError
from monitor.protocol import frames
from monitor.store.store import Store

GOOD = [
    hello(),
    static(),
    tick(detail=DETAILS[0]),
    event(1, "notice", text="x"),
    {"type": "reply", "id": 1, "ok": True, "details": DETAILS},
    {"type": "challenge", "protocol": 1, "nonce": "00"},
    {"type": "error", "message": "x"},
]


@pytest.mark.parametrize("frame", GOOD, ids=lambda frame: frame["type"])
def test_frames_of_the_specification(frame):
    assert type(frames.decode(msgspec.json.encode(frame))).__name__.lower() == frame["type"]
    assert frames.decode(msgspec.json.encode({**frame, "news": [1]})) is not None


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        ({"type": "tick"}, "a broken tick frame: Object missing required field `at`"),
        ({"type": "tick", "at": 1.5}, "a broken tick frame"),
        ({"type": "tick", "at": 1, "tasks": [[1, 2]]}, "a broken tick frame"),
        ({"type": "static", "tasks": [["1", "x"]]}, "a broken static frame"),
        ({"type": "event", "seq": 1}, "a broken event frame"),
        ({"type": "tick", "at": 10**400}, "a broken tick frame"),
        ({"type": "tick", "at": 1, "tasks": [[1, 2, 3, 1 << 63, 5, 6]]}, "a broken tick frame"),
    ],
)
def test_frames_that_do_not_fit(frame, words):
    with pytest.raises(LooptopError) as caught:
        frames.decode(json.dumps(frame).encode())
    assert words in str(caught.value)


def test_types_that_nobody_knows_yet():
    assert frames.decode(b'{"type": "weather", "sun": 1}') is None


def test_another_protocol_is_said_to_be_one_even_where_nothing_else_fits():
    with pytest.raises(LooptopError, match="speaks protocol 7, this looptop speaks 1"):
        frames.decode(b'{"type": "hello", "protocol": 7, "me": {}}')
    with pytest.raises(LooptopError, match="speaks protocol 7"):
        frames.check_protocol(frames.decode(msgspec.json.encode(hello(protocol=7))))


@given(st.binary(max_size=60))
def test_no_bytes_are_anything_but_a_frame_nothing_or_one_line(line):
    try:
        frames.decode(line)
    except LooptopError as error:
        assert str(error)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5), lambda x: st.lists(x) | st.dictionaries(st.text(max_size=5), x)
    )
)
def test_no_json_is_anything_but_a_frame_nothing_or_one_line(value):
    for kind in ("hello", "tick", "static", "event", "reply"):
        try:
            frames.decode(
                msgspec.json.encode({"type": kind, "at": value, "tasks": value, "stack": value, "protocol": value})
            )
        except LooptopError as error:
            assert str(error)


@pytest.mark.parametrize("field", sorted(hello()))
@pytest.mark.parametrize("value", ["x", {"slow": "x"}, {"x": {"y": [1]}}, [[1]], 10**400, 1.5, True, None], ids=repr)
def test_no_field_of_a_hello_is_of_another_type_than_the_specification_says(field, value):
    """What is believed fits the types that everything else relies on, and makes the store of a dashboard and a keyframe."""
    try:
        frame = frames.decode(json.dumps(hello(**{field: value})).encode())
    except LooptopError as error:
        assert "\n" not in str(error)
        return
    if not isinstance(frame, frames.Hello):
        return
    store = Store()
    store.apply(frame)
    told = msgspec.to_builtins(store.keyframe().hello)
    assert type(told[field]) is type(hello()[field])
    assert frame.settings.slow is None or type(frame.settings.slow) is int
