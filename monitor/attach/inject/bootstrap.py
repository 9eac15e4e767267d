"""Runs in the watched program, in its own thread: finds its probe or starts a new one, and reports the result.

Sent as source text (see `payload`), so that any Python can run it, and short, because compiling it holds the
GIL: the rest is `module_loader`, which is fetched like the modules of `probes`. Never imported.

Results go into a memory file that the attacher finds by its name, never to stderr.
"""

# mypy: ignore-errors
# No annotations: they would import a module that the program may not have loaded, or be evaluated.

import posix
import sys
import time

PATCHING = ("gevent", "eventlet")
"""These patch modules so that an event loop is made for each thread that calls them."""


def is_patched(module):
    """Whether one of these has patched a module."""
    if not any(name in sys.modules for name in PATCHING):
        return False
    homes = [getattr(value, "__module__", None) for value in list(vars(module).values())]
    return any(isinstance(home, str) and home.partition(".")[0] in PATCHING for home in homes)


if is_patched(time):
    imp = sys.modules["_imp"]
    time = imp.create_builtin(sys.modules["_frozen_importlib"].ModuleSpec("time", None))  # a fresh copy
    imp.exec_builtin(time)

PACKAGE = "_looptop"
STARVED = 0.03
"""Seconds of one read after which to take the GIL as rarely as possible: a thread of the program holds it for long."""
PATIENCE = 10.0  # seconds to keep the answer, and to wait for a running import of asyncio
TURN = "turn"
"""Key of the bootstrap that makes a probe now, among the arrivals by nonce."""
WANTED, GIVEN, TAKEN, PARTS_AT = b"parts?\n", b"parts!\n", b"taken!\n", 65536  # as in monitor.transport.mailbox


class Parts:
    """The modules of the bundle, which the attacher puts into our memory file. Read one by one: see `payload`."""

    def __init__(self, handle, until):
        posix.write(handle, WANTED)
        while posix.pread(handle, len(GIVEN), 0) != GIVEN:
            if time.time() > until:
                raise Refused("the attacher has gone")
            time.sleep(0.001)
        self.handle = handle
        self.whole = None  # all modules, if each read costs a long wait for the GIL
        self.external = sys.modules["_frozen_importlib_external"]
        length = int(posix.pread(handle, 8, PARTS_AT))
        self.begin = PARTS_AT + 8 + length
        magic, self.places = self.external.marshal.loads(posix.pread(handle, length, PARTS_AT + 8))
        self.is_our_python = magic == self.external.MAGIC_NUMBER

    def read(self, size, at):
        """Read a piece of the file."""
        if self.whole is None:
            began = time.monotonic()
            piece = posix.pread(self.handle, size, self.begin + at)
            if time.monotonic() - began < STARVED:
                return piece
            end = max(max(place[0] + place[1], place[2] + place[3]) for place in self.places.values())
            self.whole = posix.pread(self.handle, end, self.begin)
        return self.whole[at : at + size]

    def code(self, name):
        """The code of a module: precompiled for this Python, or compiled here from source."""
        file = f"<looptop>/{name.replace('.', '/')}.py"
        source_at, source_size, code_at, code_size = self.places[name]
        if not self.is_our_python:
            source = self.read(source_size, source_at)
            return compile(source, file, "exec", dont_inherit=True)
        code = self.external.marshal.loads(self.read(code_size, code_at))
        sys.modules["_imp"]._fix_co_filename(code, file)  # noqa: SLF001 - as importlib does
        return code


class Refused(Exception):  # noqa: N818 - an answer, not an error
    """No probe is started, for the given reason."""


def asyncio_is_there(until):
    """Whether the program has loaded asyncio, after waiting for an import in progress."""
    while time.time() < until:
        module = sys.modules.get("asyncio")
        if module is None:
            return False
        if not getattr(module.__spec__, "_initializing", False):
            return True
        time.sleep(0.01)
    return False


def settle(bundle, handle):
    """Prepare a new probe or find the existing one. Returns the answer and the new probe (None if found)."""
    probe = getattr(sys, "_looptop_probe", None)
    while probe is not None and not getattr(probe, "_alive", True) and time.time() < bundle["until"]:
        time.sleep(0.005)  # it is being taken out
        probe = getattr(sys, "_looptop_probe", None)
    if probe is not None:
        return facts(probe, "found", []), None
    if not asyncio_is_there(min(bundle["until"], time.time() + PATIENCE)):
        raise Refused("asyncio")
    parts = Parts(handle, bundle["until"])
    loader = {"__name__": f"{PACKAGE}.module_loader"}
    exec(parts.code("module_loader"), loader)  # noqa: S102 - our own code
    loader["time"] = time
    probe, warnings, loops = loader["load_bundle"](bundle, parts, globals())
    if probe is None:
        raise Refused("; ".join(warnings) or "it cannot make a socket")
    return {**facts(probe, "started", warnings), "loops": loops}, probe


def facts(probe, how, warnings):
    """The answer: where to find a probe, and its session."""
    return {
        "how": how,
        "pid": posix.getpid(),
        "session": probe.session_id,
        "socket": probe.endpoints.socket_path,
        "listen_fd": probe.endpoints.listen_fd,
        "name": probe.endpoints.name,
        "program": probe.endpoints.program,
        "python": sys.version.partition(" ")[0],
        "loops": None,
        "stays": int(not probe.settings.leave),
        "warnings": warnings,
    }


def open_answer(name):
    """Create a file without a place on disk that has this name in /proc/PID/fd."""
    if hasattr(posix, "memfd_create"):
        try:
            return posix.memfd_create(name, posix.MFD_CLOEXEC)
        except OSError:
            pass
    for folder in ("/dev/shm", "/tmp", "/var/tmp"):  # noqa: S108 - created exclusively, unlinked at once
        path = f"{folder}/{name}"
        try:
            handle = posix.open(path, posix.O_RDWR | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC, 0o600)
        except OSError:
            continue
        posix.unlink(path)
        return handle
    raise OSError("nowhere to write")


def answer(handle, result):
    """Replace the content of the file with the answer."""
    posix.ftruncate(handle, 0)
    posix.pwrite(handle, as_json(result).encode() + b"\n", 0)


def as_json(thing):
    """JSON of strings, integers, None, lists and dicts: the program may not have loaded `json`."""
    if thing is None:
        return "null"
    if isinstance(thing, str):
        return '"' + "".join(map(escaped, thing)) + '"'
    if isinstance(thing, dict):
        return "{" + ", ".join(f"{as_json(key)}: {as_json(thing[key])}" for key in thing) + "}"
    if isinstance(thing, (list, tuple)):
        return "[" + ", ".join(map(as_json, thing)) + "]"
    return str(int(thing))


def escaped(character):
    """A character escaped for a JSON string."""
    if " " <= character <= "~" and character not in '"\\':
        return character
    number = ord(character)
    if number < 0x10000:
        return f"\\u{number:04x}"
    return f"\\u{0xD7C0 + (number >> 10):04x}\\u{0xDC00 + (number & 0x3FF):04x}"


def wait_until_read(handle):
    """Keep the file open until the attacher has marked it as taken."""
    inode = posix.fstat(handle).st_ino
    try:
        until = time.monotonic() + PATIENCE
        while posix.pread(handle, len(TAKEN), 0) != TAKEN and time.monotonic() < until:
            time.sleep(0.005)
    finally:
        if posix.fstat(handle).st_ino == inode:
            posix.close(handle)


def take_turn(arrivals, bundle):
    """Wait until no other bootstrap is making a probe: loading takes long enough for two to find none and make one."""
    while arrivals.setdefault(TURN, bundle) is not bundle:
        if time.time() > bundle["until"]:
            raise Refused("another looptop is just attaching")
        time.sleep(0.002)


def arrive(bundle):
    """Run the whole bootstrap, once: late or repeated calls do nothing. This thread becomes the new probe's."""
    if time.time() > bundle["until"]:
        return
    arrivals = vars(sys).setdefault("_looptop_arriving", {})
    if arrivals.setdefault(bundle["nonce"], bundle) is not bundle:
        return
    probe = None
    try:
        handle = open_answer(bundle["name"])
        try:
            take_turn(arrivals, bundle)
            result, probe = settle(bundle, handle)
        except Refused as refusal:
            result = {"refused": str(refusal)}
        except BaseException as error:  # noqa: BLE001 - reported in the answer; nothing may escape
            result = {"error": f"{type(error).__name__}: {error}"}
        if arrivals.get(TURN) is bundle:
            del arrivals[TURN]
        answer(handle, result)
        if probe is None:
            wait_until_read(handle)
        else:
            probe.server.keep(handle)  # other viewers find the probe by it
    finally:
        arrivals[bundle["nonce"]] = None
        if vars(sys).get("_looptop_arriving") is arrivals and not any(arrivals.values()):
            del sys._looptop_arriving  # noqa: SLF001 - set by us
        if probe is not None:
            probe.serve()
