"""The dictionary that takes the place of uvicorn's behaves like it, in C and in Python."""

import asyncio
import copy
import gc
import pickle
import sys
import weakref
from types import ModuleType

import pytest

from probes.hooks import backend
from probes.labels import uvicorn_status

LINES = {200: b"OK", 503: b"Service Unavailable"}


@pytest.fixture(params=["c", "python"])
def module(request, monkeypatch):
    """What looks like a module of uvicorn's."""
    if request.param == "python":
        monkeypatch.setattr(backend, "native", None)
    elif backend.native is None:
        pytest.skip("no hooks in C")
    made = ModuleType("like_uvicorn")
    monkeypatch.setitem(sys.modules, made.__name__, made)
    made.STATUS_LINE = dict(LINES)
    made.Cycle = type("Cycle", (), {"__module__": made.__name__})
    yield made
    uvicorn_status.noted.clear()


async def request_of(module, status):
    """What `noted` says of this task after a look-up."""
    module.STATUS_LINE[status]
    return uvicorn_status.noted.get(id(asyncio.current_task()))


def hook_of(module, errors):
    (hook,) = uvicorn_status.hooks(module.Cycle, request_of.__code__, lambda *error: errors.append(error))
    return hook


def test_it_notes_and_behaves_like_a_dict(module):
    errors, before = [], module.STATUS_LINE
    hook = hook_of(module, errors)
    hook.install()
    table = module.STATUS_LINE
    assert table is not before and isinstance(table, dict)
    assert asyncio.run(request_of(module, 503)) == 503
    assert table[200] == b"OK"  # outside of any loop
    with pytest.raises(KeyError, match="999"):
        table[999]
    with pytest.raises(TypeError, match="unhashable"):
        table[[]]
    assert table == before and repr(table) == repr(before) and table.get(503) == before[503]
    for twin in (copy.copy(table), copy.deepcopy(table), table.copy(), pickle.loads(pickle.dumps(table))):
        assert type(twin) is dict and twin == before
    table[418] = b"Teapot"
    assert table[418] == b"Teapot" and len(table) == 3
    assert hook.remove() and module.STATUS_LINE is before
    assert not errors


def test_nothing_of_it_is_left(module):
    """Neither the dictionary nor what it calls, once nobody has it."""
    hook = hook_of(module, [])
    hook.install()
    gone = weakref.ref(type(module.STATUS_LINE))
    asyncio.run(request_of(module, 200))
    assert hook.remove()
    del hook
    gc.collect()
    assert gone() is None
