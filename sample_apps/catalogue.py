"""The declaration of a sample, and the search for all samples.

A sample is a module of this package with a module-level `SAMPLE`: adding one is adding one file. Its
expectations are data, in the vocabulary of `sample_apps.vocabulary`, beside the code that causes them.

    looptop samples check NAME     runs it under the probe and reports which expectations were met
    looptop samples show NAME      prints its source, with the lines marked that expectations refer to
"""

import difflib
import importlib
import os
import pkgutil
import re
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from sample_apps.vocabulary import LINE_FIELDS, Expectation, NotSeenYet

Topic = Literal[
    "communication",
    "generators",
    "loops",
    "memory",
    "networks",
    "programs",
    "slowness",
    "synchronization",
    "tasks",
]
TOPICS: dict[Topic, str] = {
    "loops": "Loops and callbacks",
    "tasks": "Coroutines and tasks",
    "generators": "Generators and context managers",
    "communication": "Communication",
    "synchronization": "Synchronization",
    "slowness": "Slowness",
    "memory": "Memory",
    "networks": "Networks",
    "programs": "Whole programs",
}
_MARKER = re.compile(r"#\s*expect:\s*(\S+)$")
LOOKED_AT = 600.0  # seconds that a sample runs when a person looks at it, who ends it by leaving
CGROUPS = Path("/sys/fs/cgroup")
NOT_SAMPLES = {"catalogue", "entry", "vocabulary"}  # the modules of this package that are no samples


@dataclass(frozen=True, slots=True)
class Sample:
    """One behaviour of an asyncio program: its name (the module's), and what a monitor must see of it."""

    name: str
    topic: Topic
    sentence: str
    fix: str | None  # the sample that does it right
    expectations: tuple[Expectation, ...]
    seconds: float = 10.0  # how long it runs unless told; 0 is until stopped
    needs: tuple[str, ...] = ()  # modules of others, which are imported before its loop runs
    watch: float = 3.0  # the seconds from its start of which the expectations are true
    python: tuple[int, int] = (3, 11)  # the oldest that it runs on
    cgroup: bool = False  # it makes a control group, for which it has to be root

    @property
    def path(self) -> Path:
        """The source that its lines are in."""
        return Path(__file__).with_name(f"{self.name}.py")


class UnknownSample(LookupError):  # noqa: N818 - reads as what is the matter
    """Somebody asked for a sample that there is not; the message says which there are."""


class BadSample(Exception):  # noqa: N818 - reads as what is the matter
    """A declaration that cannot be true; the message names file and field."""

    def __init__(self, path: Path, field: str, why: str) -> None:
        super().__init__(f"{path}: {field}: {why}")


def cpu_groups() -> Path | None:
    """The folder in which control groups with a CPU quota can be made; None if there is none."""
    for folder in (CGROUPS / "cpu", CGROUPS / "cpu,cpuacct", CGROUPS):
        controllers = folder / "cgroup.subtree_control"  # of version 2
        known = folder != CGROUPS or (controllers.exists() and "cpu" in controllers.read_text(encoding="ascii").split())
        if known and folder.is_dir() and os.access(folder, os.W_OK):
            return folder
    return None


def samples() -> list[Sample]:
    """Every sample, by topic and name. Imports the modules, which runs none of them."""
    return sorted((_load(name) for name in names()), key=lambda sample: (sample.topic, sample.name))


def names() -> list[str]:
    """The name of every sample, sorted; imports none."""
    modules = pkgutil.iter_modules([str(Path(__file__).parent)])
    return sorted(module.name for module in modules if module.name not in NOT_SAMPLES)


def find(name: str) -> Sample:
    """The sample of that name. Raises UnknownSample, with the names that are close."""
    known = names()
    if name in known:
        return _load(name)
    close = difflib.get_close_matches(name, known, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else f"there are {len(known)}"
    raise UnknownSample(f"no sample is called {name!r}: {hint}")


def line_of(sample: Sample, marker: str) -> int:
    """The number of the line of the sample's source that carries this marker."""
    return _line(marked_lines(sample.path), marker, sample.path, "marker")


def marked_lines(path: Path) -> dict[str, int]:
    """Every `# expect: NAME` at the end of a line of a source, and the number of that line."""
    found: dict[str, int] = {}
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        marker = _MARKER.search(text)
        if marker is None:
            continue
        if marker[1] in found:
            raise BadSample(path, f"line {number}", f"line {found[marker[1]]} is {marker[1]!r} already")
        found[marker[1]] = number
    return found


def declared(module: ModuleType) -> Sample:
    """What a module declares, checked against its own source. Raises BadSample."""
    path = Path(str(module.__file__))
    sample = getattr(module, "SAMPLE", None)
    if not isinstance(sample, Sample):
        raise BadSample(path, "SAMPLE", "there is none")
    if sample.name != path.stem:
        raise BadSample(path, "SAMPLE.name", f"{sample.name!r} is not the module's name")
    if sample.topic not in get_args(Topic):
        raise BadSample(path, "SAMPLE.topic", f"{sample.topic!r} is none of {', '.join(get_args(Topic))}")
    if not sample.sentence.endswith("."):
        raise BadSample(path, "SAMPLE.sentence", "is not a sentence")
    if sample.fix is not None and not _is_sample_beside(path, sample.fix):
        raise BadSample(path, "SAMPLE.fix", f"no sample is called {sample.fix!r}")
    if not sample.expectations:
        raise BadSample(path, "SAMPLE.expectations", "nothing is expected")
    _check_expectations(sample, path)
    return sample


def _load(name: str) -> Sample:
    path = Path(__file__).with_name(f"{name}.py")
    try:
        module = importlib.import_module(f"{__package__}.{name}")
    except BadSample:
        raise
    except Exception as error:
        raise BadSample(path, _where(error, path), f"{type(error).__name__}: {error}") from error
    return declared(module)


def _where(error: Exception, path: Path) -> str:
    """The line of the source that raised, or the whole module."""
    found = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    if isinstance(error, SyntaxError) and error.filename == str(path):
        found.append(error.lineno)
    return f"line {found[-1]}" if found else "module"


def _is_sample_beside(path: Path, name: str) -> bool:
    return name not in {path.stem, *NOT_SAMPLES} and path.with_name(f"{name}.py").is_file()


def _check_expectations(sample: Sample, path: Path) -> None:
    lines = marked_lines(path)
    unused = set(lines)
    for number, expectation in enumerate(sample.expectations):
        where = f"SAMPLE.expectations[{number}]"
        if isinstance(expectation, NotSeenYet):
            _check_fields(expectation, path, where)
            if isinstance(expectation.what, str):
                continue
            expectation, where = expectation.what, f"{where} NotSeenYet.what"
        if not isinstance(expectation, Expectation) or isinstance(expectation, NotSeenYet):
            raise BadSample(path, where, f"{expectation!r} is no expectation")
        _check_fields(expectation, path, where)
        for field, marker in markers(expectation):
            _line(lines, marker, path, f"{where} {type(expectation).__name__}.{field}")
            unused.discard(marker)
        low, high = getattr(expectation, "at_least", None), getattr(expectation, "at_most", None)
        if low is not None and high is not None and low > high:
            raise BadSample(path, f"{where} {type(expectation).__name__}.at_most", f"{high} is less than {low}")
    for marker in unused:
        raise BadSample(path, f"line {lines[marker]}", f"nothing is expected of {marker!r}")


def _check_fields(expectation: Expectation, path: Path, where: str) -> None:
    hints = get_type_hints(type(expectation))
    for field in fields(expectation):
        value = getattr(expectation, field.name)
        if not _fits(value, hints[field.name]):
            known = _literals(hints[field.name])
            why = f"is none of {', '.join(known)}" if known else f"is no {field.type}"
            raise BadSample(path, f"{where} {type(expectation).__name__}.{field.name}", f"{value!r} {why}")


def _fits(value: object, hint: Any) -> bool:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return value in arguments
    if origin is tuple:
        return isinstance(value, tuple) and bool(value) and all(isinstance(item, str) for item in value)
    if arguments:
        return any(_fits(value, argument) for argument in arguments)
    if hint in (int, float):
        return isinstance(value, (int, hint)) and not isinstance(value, bool) and value >= 0
    return isinstance(value, hint) and value != ""


def _literals(hint: Any) -> tuple[str, ...]:
    if get_origin(hint) is Literal:
        return get_args(hint)
    return next((found for argument in get_args(hint) if (found := _literals(argument))), ())


def markers(expectation: Expectation) -> Iterator[tuple[str, str]]:
    """The fields of an expectation that name lines, each with the marker."""
    for field in fields(expectation):
        if field.name in LINE_FIELDS:
            value = getattr(expectation, field.name)
            for marker in (value,) if isinstance(value, str) else value or ():
                yield field.name, marker


def _line(lines: dict[str, int], marker: str, path: Path, field: str) -> int:
    if marker not in lines:
        raise BadSample(path, field, f"no line is marked '# expect: {marker}'")
    return lines[marker]
