"""Runs in the watched program after its probe was removed: breaks up its objects, so that their memory is freed.

Modules are reference cycles (function, namespace, function). The program's own collector would free them at some
point, but in an idle program never, and forcing a collection would pause a program with a large heap. So this does
what the collector does, for our own objects alone: it counts the references among them, and clears those that nobody
else holds. As long as anybody holds one (a step of the program is inside a hook, or it kept a hook that it found),
nothing is touched.

Fetched with `module_loader` and run in its own thread, in a namespace that it clears last. Never imported.
"""

# mypy: ignore-errors
# No annotations, as in `bootstrap`.

import sys
import time
from gc import get_referents, is_tracked

FUNCTION = type(lambda: None)
MODULE = type(sys)
CELL = type((lambda cell: lambda: cell)(0).__closure__[0])
OWN_MODULE = type.__dict__["__module__"].__get__
ENTERED = {"builtins", "collections", "weakref", "_weakref", "functools", "itertools", "types"}
"""Modules whose types' instances are searched, besides our own."""

NATIVE = "_looptop.hooks._native"
OF_C = {"probes.hooks._native", "probes.hooks.records"}
"""Module names of the C types. Records are not tracked by the collector, but lead to our objects."""

NEVER = {"code", "coroutine", "generator", "async_generator"}
MOST = 300_000  # objects; above that, leave it to the program's collector
PATIENCE = 4.0  # seconds to wait for the program to release our objects
LEAST = 8  # tries, even if a busy program makes them take longer


def leave(namespaces):
    """Clear everything reachable from these namespaces, as soon as nobody else holds any of it."""
    try:
        until, pause, tries = time.monotonic() + PATIENCE, 0.005, 1
        while not dismantle(namespaces) and (time.monotonic() < until or tries < LEAST):
            time.sleep(pause)
            pause, tries = min(pause * 2, 0.5), tries + 1
    finally:
        globals().clear()


def dismantle(namespaces):
    """Try once. False if somebody still holds one of the namespaces; then nothing is touched."""
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
    """Objects reachable through our own, by id, and the number of references to each, if not one."""
    owned = {id(namespace) for namespace in namespaces}
    names = {namespace.get("__name__") for namespace in namespaces}
    if NATIVE in names:
        names |= OF_C
    found = {id(namespace): namespace for namespace in namespaces}
    inside = {}  # references from the list itself
    todo = list(namespaces)
    for kind in type.__subclasses__(object):
        if home(kind) in names:  # created in a function that has returned, and not yet collected
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
    """Whether to search an object. A wrong yes costs time, a wrong no leaves it to the collector."""
    kind = type(thing)
    if kind is FUNCTION:
        return id(thing.__globals__) in owned
    if kind is MODULE:
        return id(thing.__dict__) in owned
    if issubclass(kind, type):
        return home(thing) in names
    return home(kind) in names or (home(kind) in ENTERED and kind.__name__ not in NEVER)


def home(kind):
    """The module name of a class, without running any of its code."""
    try:
        name = OWN_MODULE(kind)
    except AttributeError:
        return None
    return name if type(name) is str else None


def living(found, inside):
    """Ids of objects that somebody else holds, and of all they lead to; None if there are too many."""
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
    """Each object, and the number of references to it from outside."""
    for key in found:
        thing = found[key]
        yield thing, sys.getrefcount(thing) - inside.get(key, 1)


def empty(things, end_type):
    """Cut the references between the objects. `end_type` clears a C type at once, if the C hooks are loaded."""
    types = [thing for thing in things if isinstance(thing, type)]
    # A class is cleared through itself, because it caches what it has looked up in its dictionary.
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
        except Exception:  # noqa: BLE001, S112 - left to the collector
            continue
    del things[:]
    for thing in types:
        for name in list(vars(thing)):
            try:
                delattr(thing, name)
            except Exception:  # noqa: BLE001, S112 - as above; some cannot be deleted
                continue
    if end_type is not None:
        while types:
            end_type(types.pop())
