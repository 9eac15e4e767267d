"""Runs in the watched program: loads the probe's modules in isolation and prepares the probe.

Fetched and called by `bootstrap`; never imported. Nothing is left in `sys.modules`, `sys.path` or `__main__`: the
probe's modules live in `ModuleLoader`, and so do modules of the standard library that the program has not loaded or
shadows with its own file (a `json.py`, for example).
"""

# mypy: ignore-errors
# No annotations, as in `bootstrap`.

import builtins
import posix
import sys
import time

PACKAGE = "_looptop"  # as in `bootstrap`
NATIVE = "hooks._native"
TURN = 0.0002  # seconds; after less, a thread that waits for the GIL has not woken up yet, and it is taken again
PATIENCE = 0.1  # seconds for all turns, where the program keeps the GIL or the machine is busy


class ModuleLoader:
    """Modules that can only import each other."""

    def __init__(self, parts, native, bootstrap):
        self.parts, self.native = parts, native
        self.is_patched = bootstrap["is_patched"]
        self.packages = {"", *(name.rpartition(".")[0] for name in parts.places)}
        self.modules = {name: type(sys)(f"{PACKAGE}.{name}".rstrip(".")) for name in self.packages}  # from the bundle
        self.patience = PATIENCE
        self.others = {}  # from the standard library
        self.made = [
            bootstrap,
            globals(),
            *map(vars, self.modules.values()),
        ]  # namespaces that exist only because of us
        if "typing" not in sys.modules:  # asyncio does without typing from 3.14 on, and annotations can, too
            self.others["typing"] = typing = type(sys)("typing")
            self.made.append(vars(typing))
            typing.TYPE_CHECKING, typing.Any, typing.__getattr__ = False, object, lambda name: TypingStub
            typing.NamedTuple = object.__new__(RowMaker)
        self.builtins = dict(vars(builtins), __import__=self.import_module)
        asyncio = sys.modules["asyncio"].__file__
        self.stdlib = asyncio.rpartition("/asyncio/")[0]

    def import_module(self, name, globals=None, locals=None, fromlist=(), level=0):  # noqa: A002, ARG002 - as in __import__
        """The `__import__` of these modules."""
        package = (globals or {}).get("__package__")
        if level and package is not None and f"{package}.".startswith(f"{PACKAGE}."):
            base = package.split(".")[1:]
            target = ".".join([*base[: len(base) + 1 - level], *([name] if name else [])])
            if target in self.packages:
                for part in fromlist or ():
                    self.load(f"{target}.{part}" if target else part)
                return self.modules[target]
            return self.load(target)
        if level:
            name = f"{package}.{name}" if name else package
        top = name.partition(".")[0]
        if top not in self.others and self.is_genuine(top):
            return builtins.__import__(name, {}, {}, fromlist, 0)
        module = self.other(name)
        for part in fromlist or ():
            if not hasattr(module, part) and hasattr(module, "__path__"):
                self.other(f"{name}.{part}")
        return module if fromlist else self.other(top)

    def load(self, name):
        """Load a module of the bundle."""
        if name in self.modules:
            return self.modules[name]
        if name == NATIVE:
            return self.load_native()
        package, _, leaf = name.rpartition(".")
        module = self.modules[name] = type(sys)(f"{PACKAGE}.{name}")
        module.__package__ = f"{PACKAGE}.{package}" if package else PACKAGE
        module.__file__ = f"<looptop>/{name.replace('.', '/')}.py"
        module.__builtins__ = self.builtins
        self.made.append(vars(module))
        exec(self.parts.code(name), vars(module))  # noqa: S102 - our own code
        setattr(self.modules[package], leaf, module)
        if self.parts.whole is None:
            self.give_turn()
        return module

    def give_turn(self):
        """Let the program take the GIL."""
        began = time.monotonic()
        time.sleep(TURN if self.patience > 0 else 0)
        self.patience -= time.monotonic() - began

    def load_native(self):
        """Load the C hooks: the attacher's own file, or a copy that it sent. Raises ImportError with a reason."""
        facts, imp = self.native, sys.modules["_imp"]
        if "why" in facts:
            raise ImportError(facts["why"])
        if (
            ".abi3.so" not in imp.extension_suffixes()
            or getattr(sys.implementation, "_multiarch", "") != facts["machine"]
        ):
            raise ImportError("built for another kind of Python")
        handle = None
        if "file" in facts:
            read_through(facts)
            path = facts["file"]
        else:
            number = facts["loaded"]  # of a probe that has left: the dynamic loader still has what it mapped then
            if number is None:
                number = handle = self.memory_file(facts["name"])
            path = f"{facts['folder']}/{number}"
        try:
            spec = sys.modules["_frozen_importlib"].ModuleSpec(f"{PACKAGE}.{NATIVE}", None, origin=path)
            module = imp.create_dynamic(spec)
            imp.exec_dynamic(module)
        finally:
            if handle is not None:
                posix.close(handle)
        if getattr(module, "BUILD", "") != facts["build"]:  # the dynamic loader identifies files by name
            raise ImportError("another build is loaded already")
        self.modules[NATIVE] = module
        self.made.append(vars(module))
        return module

    def memory_file(self, name):
        """Write the copy of the C hooks into a memory file. Returns its descriptor, with whose number its name ends."""
        at, size, _, _ = self.parts.places[NATIVE]
        handle = named = None
        try:
            handle = posix.memfd_create(name, posix.MFD_CLOEXEC)
            named = posix.memfd_create(f"{name}-{handle}", posix.MFD_CLOEXEC)
            posix.dup2(named, handle, False)
            done = 0
            while done < size:
                done += posix.write(handle, self.parts.read(min(65536, size - done), at + done))
        except (AttributeError, OSError):
            if handle is not None:
                posix.close(handle)
            raise ImportError("no memory file can be made here") from None
        finally:
            if named is not None:
                posix.close(named)
        return handle

    def is_genuine(self, top):
        """Whether the program has loaded this module, and it is the standard library's."""
        module = sys.modules.get(top)
        if module is not None and top != "os" and self.is_patched(module):  # of `os`, only process creation matters
            return False
        spec = getattr(module, "__spec__", None)
        origin = getattr(spec, "origin", None)
        return origin in ("built-in", "frozen") or self.is_stdlib(origin) or top == "sys"

    def is_stdlib(self, file):
        """Whether a file belongs to the standard library."""
        return isinstance(file, str) and file.startswith(self.stdlib + "/") and "-packages/" not in file

    def other(self, name):
        """Load a private copy of a standard library module."""
        if name in self.others:
            return self.others[name]
        parent = self.other(name.rpartition(".")[0]) if "." in name else None
        path = list(parent.__path__) if parent is not None else [self.stdlib, self.stdlib + "/lib-dynload"]
        cached = set(sys.path_importer_cache)
        external = sys.modules["_frozen_importlib_external"]
        spec = None
        if parent is None:
            spec = sys.modules["_frozen_importlib"].BuiltinImporter.find_spec(name)
        spec = spec or external.PathFinder.find_spec(name, path)
        if spec is None:
            raise ImportError(f"no {name} in {self.stdlib}", name=name)
        create = getattr(spec.loader, "create_module", None)
        known = name in sys.modules
        module = (create(spec) if create is not None else None) or type(sys)(name)
        if not known:
            sys.modules.pop(name, None)  # some C modules register themselves
        module.__spec__, module.__package__ = spec, name if spec.submodule_search_locations else name.rpartition(".")[0]
        self.others[name] = module
        if spec.submodule_search_locations:
            module.__path__ = list(spec.submodule_search_locations)
        code = spec.loader.get_code(name) if hasattr(spec.loader, "get_code") else None
        if code is not None:
            module.__builtins__ = self.builtins
            self.made.append(vars(module))
            exec(code, vars(module))  # noqa: S102 - the standard library's
        else:
            spec.loader.exec_module(module)
        if name == "_json":  # its scanner imports the real json when it meets an error
            del module.scanstring, module.make_scanner
        if parent is not None:
            setattr(parent, name.rpartition(".")[2], module)
        for entry in set(sys.path_importer_cache) - cached:
            sys.path_importer_cache.pop(entry, None)
        return module


def read_through(facts):
    """Check that a file is the expected one, and read it into the page cache, because loading it holds the GIL."""
    try:
        handle = posix.open(facts["file"], posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        raise ImportError("its file cannot be read here") from None
    try:
        found = posix.fstat(handle)
        if [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns] != facts["identity"]:
            raise ImportError("its file is another one here")
        if found.st_mode & 0o022 or found.st_uid not in (0, posix.geteuid(), facts["uid"]):
            raise ImportError("others may write to its file")
        while posix.read(handle, 65536):
            pass
    finally:
        posix.close(handle)


class TypingStub:
    """Replaces an object of `typing`: a TypeVar, a base class."""

    def __init__(self, *_, **__):
        pass

    def __class_getitem__(cls, _):
        return cls


class RowMaker:
    """Makes a named tuple from a class that has an instance of this as its base and strings as annotations.

    That instance replaces `typing.NamedTuple`: a class statement calls the type of its base.
    """

    def __new__(cls, name, bases, members):  # noqa: ARG004, D102 - the signature of `type`
        fields = members.pop("__annotations__", {})
        defaults = [members.pop(field) for field in fields if field in members]
        module = members.get("__module__")
        made = sys.modules["collections"].namedtuple(name, fields, defaults=defaults, module=module)
        for key, value in members.items():
            if key not in ("__module__", "__qualname__", "__slots__"):
                setattr(made, key, value)
        return made


def load_bundle(bundle, parts, bootstrap):
    """Prepare a new probe. Returns it with its warnings and the number of running loops; None if it cannot serve.

    `bootstrap` is the namespace of the caller. If this raises, nothing of the probe stays in the program.
    """
    try:
        loader, probe, warnings = begin(bundle, parts, bundle["native"], bootstrap)
    except Exception as error:
        if "why" in bundle["native"]:
            raise
        why = f"those in C failed: {type(error).__name__}: {error}"[:200]
        loader, probe, warnings = begin(bundle, parts, {"why": why}, bootstrap)
    if probe is None:
        return None, warnings, 0
    made, teardown, start_thread = loader.made, parts.code("teardown"), loader.import_module("_thread").start_new_thread

    def leave():
        """Free the probe's modules after it was removed."""
        try:
            alone = {"__name__": f"{PACKAGE}.teardown"}
            exec(teardown, alone)  # noqa: S102 - our own code
            alone["time"] = time
            start_thread(alone["leave"], (list(made),))
        except Exception:  # noqa: BLE001, S110 - the program's collector frees them later
            pass

    probe.on_gone = leave
    loops = len(loader.load("hooks.install").loops)
    if not loops:
        probe.notice("no event loop runs in this program yet: it is watched from when one starts")
    for text in warnings:
        probe.notice(text)
    return probe, warnings, loops


def begin(bundle, parts, native, bootstrap):
    """Load a probe and prepare it, with the given C hooks."""
    loader = ModuleLoader(parts, native, bootstrap)
    warnings = []
    loader.load("base.settings").warn = lambda text: warnings.append(text) if len(warnings) < 20 else None
    probe = loader.load("start").make(bundle["settings"], bundle["pass_fds"])
    ready = False
    try:
        probe.get_ready()
        ready = probe.endpoints.listen_fd is not None or bool(probe.endpoints.socket_path)
    finally:
        if not ready:
            probe.server.stop()
            probe.serve()  # removes what was installed
    return loader, probe if ready else None, warnings
