"""Runs in the watched program when its probe has gone: takes apart what is left of it, so that its memory is free.

Modules are cycles (function, namespace, function). The program's own collector would find them some day, in an idle
program never; asking it to look now would stop a program with a large heap. So this does what the collector does, for
our own objects alone: it counts the references among them, and what nobody else holds is emptied. As long as anybody
holds something (a step of the program is inside a hook, or keeps a hook that it found), nothing is touched.

Fetched with `module_loader` and run in a thread of its own, in a namespace that it empties last. Never imported.
"""

# mypy: ignore-errors
# Without annotations, as in `arrival`.

import sys
import time
from gc import get_referents, is_tracked

FUNCTION = type(lambda: None)
MODULE = type(sys)
CELL = type((lambda cell: lambda: cell)(0).__closure__[0])
OWN_MODULE = type.__dict__["__module__"].__get__
ENTERED = {"builtins", "collections", "weakref", "_weakref", "functools", "itertools", "types"}
"""Modules of the types whose instances are looked into, beside our own."""

NATIVE = "_looptop.hooks._native"
OF_C = {"probes.hooks._native", "probes.hooks.records"}
"""What the types of that module say where they are from. Records are not tracked, but lead to our objects."""

NEVER = {"code", "coroutine", "generator", "async_generator"}
MOST = 300_000  # objects; with more than that, the program's collector may do it
PATIENCE = 4.0  # seconds in which the program may let go
LEAST = 8  # tries, where a busy program takes those seconds


def leave(namespaces):
    """Empties all that can be reached from these namespaces, as soon as nobody else holds any of it."""
    try:
        until, pause, tries = time.monotonic() + PATIENCE, 0.005, 1
        while not take_apart(namespaces) and (time.monotonic() < until or tries < LEAST):
            time.sleep(pause)
            pause, tries = min(pause * 2, 0.5), tries + 1
    finally:
        globals().clear()


def take_apart(namespaces):
    """Whether it could be done: False, and nothing is touched, while somebody holds one of the namespaces."""
    found, inside = reached(namespaces)
    held = living(found, inside)
    if held is None or any(id(namespace) in held for namespace in namespaces):
        return False
    for key in held:
        del found[key]
    end_type = next((names["clear_type"] for names in namespaces if "clear_type" in names), None)
    del namespaces[:]
    things = list(found.values())
    found.clear()
    empty(things, end_type)
    return True


def reached(namespaces):
    """What can be reached by way of our own objects, by id, and how many references to it were met, if not one."""
    owned = {id(namespace) for namespace in namespaces}
    names = {namespace.get("__name__") for namespace in namespaces}
    if NATIVE in names:
        names |= OF_C
    found = {id(namespace): namespace for namespace in namespaces}
    inside = {}  # to those of the list, it is the list's
    todo = list(namespaces)
    for kind in type.__subclasses__(object):
        if home(kind) in names:  # made in a function that has ended, and not collected yet
            found[id(kind)] = kind
            inside[id(kind)] = 0
            todo.append(kind)
    kind = None
    while todo and len(found) < MOST:
        for other in get_referents(todo.pop()):
            key = id(other)
            if key in found:
                inside[key] = inside.get(key, 1) + 1
            elif (is_tracked(other) or home(type(other)) in OF_C) and is_ours(other, owned, names):
                found[key] = other
                todo.append(other)
        if not len(found) % 64:
            time.sleep(0)
    return found, inside


def is_ours(thing, owned, names):
    """Whether to look into a thing. A wrong yes costs time, a wrong no leaves the work to the collector."""
    kind = type(thing)
    if kind is FUNCTION:
        return id(thing.__globals__) in owned
    if kind is MODULE:
        return id(thing.__dict__) in owned
    if issubclass(kind, type):
        return home(thing) in names
    return home(kind) in names or (home(kind) in ENTERED and kind.__name__ not in NEVER)


def home(kind):
    """The name of the module of a class, without running anybody's code."""
    try:
        name = OWN_MODULE(kind)
    except AttributeError:
        return None
    return name if type(name) is str else None


def living(found, inside):
    """The ids of what somebody else holds, and of what that leads to; None when it was too much to look at."""
    if len(found) >= MOST:
        return None
    ((_, usual),) = references({0: []}, {0: 0})
    todo = [thing for thing, number in references(found, inside) if number > usual]
    held = {id(thing) for thing in todo}
    while todo:
        for other in get_referents(todo.pop()):
            key = id(other)
            if key in found and key not in held:
                held.add(key)
                todo.append(other)
    return held


def references(found, inside):
    """Each, and how many references there are to it beside those from inside."""
    for key in found:
        thing = found[key]
        yield thing, sys.getrefcount(thing) - inside.get(key, 1)


def empty(things, end_type):
    """Cuts what leads from one to the other. `end_type` ends a type at once, where there are hooks in C."""
    types = [thing for thing in things if isinstance(thing, type)]
    # A class is emptied by way of itself: what it has found in its dictionary before, it does not look up again.
    owned = {id(inner) for thing in types for inner in get_referents(vars(thing))}
    for thing in things:
        kind = type(thing)
        try:
            if kind is CELL:
                del thing.cell_contents
            elif isinstance(thing, type) or id(thing) in owned:
                continue
            elif hasattr(kind, "clear") and home(kind) in ENTERED:
                thing.clear()
            elif hasattr(thing, "__dict__") and kind is not FUNCTION and kind is not MODULE:
                vars(thing).clear()
        except Exception:  # noqa: BLE001, S112 - what cannot be cut waits for the collector
            continue
    del things[:]
    for thing in types:
        for name in list(vars(thing)):
            try:
                delattr(thing, name)
            except Exception:  # noqa: BLE001, S112 - as above; some are not to be had out
                continue
    if end_type is not None:
        while types:
            end_type(types.pop())
