"""Names and values of what failed go through a keyframe."""

from scripted import Script

from monitor.protocol import frames
from monitor.store.store import Store


def test_a_keyframe_keeps_them():
    script = Script()
    store = Store()
    for each in script.start():
        store.apply(each)
    facts = frames.ExceptionFacts("KeyError", "x", [1], [[("a", "1")]])
    store.apply(frames.Event(seq=1001, at=5, kind="task_ended", task=999, name="t", outcome="failed", exception=facts))
    store.apply(frames.Event(seq=1002, at=6, kind="unhandled", message="m", exception=facts))
    assert next(reversed(store.ended)).failure.locals == ((("a", "1"),),)
    again = Store()
    again.apply(store.keyframe(history=True))
    assert next(reversed(again.ended)).failure == next(reversed(store.ended)).failure
    assert again.unhandled[-1].failure == store.unhandled[-1].failure
