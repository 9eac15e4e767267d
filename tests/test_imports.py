"""The floor plan, kept: which package may import which, and what a command may load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import probes

ROOT = Path(__file__).parent.parent
THIRD = {"textual", "rich", "psutil", "msgspec", "click", "aiohttp", "uvloop"}

ALLOWED = {
    # What goes into the watched program.
    "probes.__main__": "",
    "probes.base": "",
    "probes.boot": "",
    "probes.decorators": "",
    "probes.hooks": "probes.base",
    "probes.sampling": "probes.base probes.hooks",
    "probes.flame": "probes.base probes.hooks probes.inspection probes.sampling",
    "probes.inspection": "probes.base probes.hooks probes.sampling",
    "probes.labels": "probes.base probes.hooks",
    "probes.memory": "probes.base probes.hooks probes.sampling",
    "probes.history": "probes.base probes.hooks probes.sampling",
    "probes.trace": "probes.base probes.hooks probes.inspection probes.sampling",
    "probes.serving": (
        "probes.base probes.flame probes.hooks probes.sampling probes.inspection probes.labels probes.memory "
        "probes.history probes.trace"
    ),
    "probes.dump": "probes.base probes.hooks probes.inspection probes.sampling",
    "probes.blackbox": "probes.base probes.history probes.sampling probes.serving probes.trace",
    "probes.probe": (
        "probes.base probes.blackbox probes.dump probes.flame probes.hooks probes.sampling probes.inspection probes.labels "
        "probes.memory probes.history probes.trace probes.serving"
    ),
    "probes.start": "probes.base probes.probe",
    "probes": "probes.decorators probes.probe probes.start",
    # The viewer's side.
    "monitor": "",
    "monitor.early_end": "",
    "monitor.errors": "",
    "monitor.formatting": "",
    "monitor.terminal": "",
    "monitor.check": "monitor.errors",
    "monitor.guard": "monitor.early_end monitor.errors monitor.formatting",
    "monitor.parsing": "monitor.errors",
    "monitor.protocol": "probes.base monitor.errors",
    "monitor.store": "probes.base monitor.errors monitor.formatting monitor.parsing monitor.protocol",
    "monitor.transport": "probes.base monitor.errors monitor.protocol",
    "monitor.remote": "monitor.errors",
    "monitor.remote.there": "monitor.attach monitor.attach.inject monitor.fleet monitor.transport",
    "monitor.findings": "monitor.errors monitor.formatting monitor.store",
    "monitor.attach.inject": "probes.base monitor.errors monitor.transport",
    "monitor.attach": (
        "probes.base monitor.errors monitor.parsing monitor.protocol monitor.remote monitor.transport monitor.attach.inject"
    ),
    "monitor.sources": "monitor.errors monitor.protocol monitor.transport",
    "monitor.recording": (
        "probes.base monitor.errors monitor.formatting monitor.guard monitor.parsing monitor.protocol "
        "monitor.store monitor.transport monitor.attach monitor.sources"
    ),
    "monitor.trace": "monitor.formatting monitor.protocol monitor.store monitor.recording",
    "monitor.flame": "monitor.errors monitor.protocol monitor.store monitor.recording",
    "monitor.fleet": (
        "monitor.errors monitor.formatting monitor.parsing monitor.protocol monitor.remote monitor.store monitor.transport monitor.attach "
        "monitor.sources monitor.recording monitor.findings monitor.findings.rules"
    ),
    "monitor.metrics": (
        "monitor.errors monitor.protocol monitor.store monitor.transport monitor.findings.rules monitor.trace "
        "monitor.fleet"
    ),
    "monitor.tui.base": "monitor.formatting monitor.protocol monitor.store monitor.sources",
    "monitor.findings.rules": "monitor.formatting monitor.protocol monitor.store monitor.findings monitor.recording",
    "monitor.tui.dialogs": "monitor.errors monitor.tui.base",
    "monitor.tui.terminal": "monitor.errors monitor.terminal monitor.tui.base",
    "monitor.tui.widgets": "monitor.flame monitor.formatting monitor.protocol monitor.store monitor.sources monitor.tui.base",
    "monitor.samples": (
        "monitor.errors monitor.formatting monitor.protocol monitor.store monitor.transport monitor.findings "
        "monitor.attach monitor.findings.rules monitor.trace"
    ),
    "monitor.tui.controllers": (
        "monitor.trace monitor.errors monitor.formatting monitor.parsing monitor.protocol monitor.store monitor.findings "
        "monitor.recording monitor.tui.base monitor.findings.rules monitor.tui.dialogs monitor.tui.terminal "
        "monitor.tui.widgets"
    ),
    "monitor.tui.rows": (
        "monitor.fleet monitor.formatting monitor.protocol monitor.store monitor.findings monitor.tui.base monitor.findings.rules "
        "monitor.tui.widgets"
    ),
    "monitor.plain": (
        "probes.base monitor.early_end monitor.errors monitor.formatting monitor.terminal monitor.check monitor.guard "
        "monitor.protocol monitor.store monitor.transport monitor.findings monitor.attach monitor.recording "
        "monitor.trace monitor.flame monitor.findings.rules monitor.samples monitor.fleet"
    ),
    "monitor.tui.pages": (
        "monitor.trace monitor.formatting monitor.protocol monitor.store monitor.findings monitor.tui.base "
        "monitor.tui.widgets monitor.tui.rows"
    ),
    "monitor.tui.screens": (
        "monitor.fleet monitor.trace monitor.errors monitor.formatting monitor.protocol monitor.store monitor.findings monitor.tui.base "
        "monitor.findings.rules monitor.tui.widgets monitor.tui.controllers monitor.tui.rows "
        "monitor.tui.pages"
    ),
    "monitor.tui": (
        "monitor.fleet monitor.errors monitor.formatting monitor.terminal monitor.protocol monitor.store monitor.findings "
        "monitor.sources monitor.recording monitor.tui.base monitor.findings.rules monitor.tui.terminal "
        "monitor.tui.widgets monitor.tui.controllers monitor.tui.screens"
    ),
    "monitor.cli": (
        "probes.base monitor.early_end monitor.errors monitor.formatting monitor.terminal monitor.check monitor.guard monitor.parsing "
        "monitor.remote monitor.store monitor.transport monitor.findings monitor.attach monitor.sources monitor.recording "
        "monitor.trace monitor.flame monitor.fleet monitor.metrics monitor.tui.base monitor.findings.rules monitor.samples "
        "monitor.plain monitor.tui"
    ),
    "monitor.__main__": "monitor.cli",
}
"""Which package may import which, for typing too. A module beside packages is a package of its own; nobody imports back."""

ONLY_MODULE = {"probes.base": "probes.base.protocol"}
"""Of what goes into the watched program, the viewer's side imports this module only."""

THIRD_PARTY = {
    "click": "monitor.cli monitor.guard",
    "duckdb": "monitor.plain",
    "opentelemetry": "monitor.metrics",
    "prometheus_client": "monitor.metrics",
    "msgspec": (
        "monitor.attach monitor.findings monitor.flame monitor.plain monitor.protocol monitor.recording monitor.remote "
        "monitor.store monitor.transport"
    ),
    "psutil": "monitor.attach monitor.recording monitor.transport monitor.tui.terminal",
    "rich": "monitor.plain monitor.tui.base monitor.tui.terminal monitor.tui.widgets",
    "textual": "monitor.tui",
    "zstandard": "monitor.recording",
}
"""Who may load a library; those below such a package may, too. The probe may load none."""

ELSEWHERE = {"sample_apps", "sitecustomize", "_remote_debugging"}  # the last: standard library, from 3.14

NOT_FOR = {
    "monitor.store": "socket select asyncio",
    "monitor.findings": "socket select asyncio",
    "monitor.tui": "socket select asyncio.streams monitor.sources.live",
    "monitor": "tests benchmarks sample_apps.demo",
    "sample_apps": "tests benchmarks monitor",
}
"""Modules that a package and those below it may not import. Frames come to the store and the screens ready-made."""


def modules(top):
    """Each module of a top package: its name and its file."""
    for path in sorted((ROOT / top).rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        yield name.removesuffix(".__init__"), path


def package_of(module):
    """The package that a module is in, as the table calls it."""
    parts = module.split(".")
    if (ROOT / Path(*parts)).is_dir():
        return module
    return module if len(parts) <= 2 else module.rpartition(".")[0]


def is_module(name):
    path = ROOT / Path(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def imports(module, path, text=None):
    """What a module imports, with the line: absolute names, of a module where the name is one."""
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text() if text is None else text, str(path))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = (
                ".".join([*package[: len(package) - node.level + 1], node.module or ""]) if node.level else node.module
            )
            source = source.strip(".")
            for alias in node.names:
                name = f"{source}.{alias.name}"
                yield (name if is_module(name) else source), node.lineno


def within(name, *packages):
    return any(name == package or name.startswith(package + ".") for package in packages)


def objections(module, path, text=None):
    """A sentence for each import of a module that the tables do not allow."""
    package = package_of(module)
    may = ALLOWED.get(package, "").split()
    for name, line in dict.fromkeys(imports(module, path, text)):
        at = f"{path.relative_to(ROOT)}:{line} imports {name}"
        if name.partition(".")[0] in ("probes", "monitor"):
            other = package_of(name)
            if other != package and other not in may:
                yield f"{at}: {package} may not import {other}, only {', '.join(may) or 'nothing of ours'}"
            elif other in ONLY_MODULE and within(package, "monitor") and name != ONLY_MODULE[other]:
                yield f"{at}: {package} may import {ONLY_MODULE[other]} of it, nothing else"
        elif (library := name.partition(".")[0]) in THIRD_PARTY:
            if not within(package, *THIRD_PARTY[library].split()):
                yield f"{at}: {package} may not load {library}, only {THIRD_PARTY[library]} may"
        elif library not in sys.stdlib_module_names and library not in ELSEWHERE:
            yield f"{at}: {library} is neither in the standard library nor in THIRD_PARTY"
        for own, barred in NOT_FOR.items():
            if within(module, own) and within(name, *barred.split()):
                yield f"{at}: {own} may import none of {barred}"


def arrows():
    """The imports there are, between packages."""
    found = {}
    for top in ("probes", "monitor"):
        for module, path in modules(top):
            package = package_of(module)
            others = {package_of(name) for name, _ in imports(module, path) if within(name, "probes", "monitor")}
            found.setdefault(package, set()).update(others - {package})
    return found


def circle(graph):
    """The packages of one circle, or nothing."""
    rest = {package: set(others) & set(graph) for package, others in graph.items()}
    while free := [package for package, others in rest.items() if not others]:
        rest = {package: others - set(free) for package, others in rest.items() if package not in free}
    return sorted(rest)


@pytest.mark.parametrize("top", ["probes", "monitor"])
def test_imports_are_those_of_the_tables(top):
    wrong = [sentence for module, path in modules(top) for sentence in objections(module, path)]
    assert not wrong, "\n".join(["", *wrong])


def test_every_package_is_in_the_table_and_no_other():
    assert sorted(ALLOWED) == sorted(arrows())


def test_the_table_allows_nothing_that_nobody_imports():
    there = arrows()
    unused = [
        f"{one} -> {other}" for one, others in ALLOWED.items() for other in others.split() if other not in there[one]
    ]
    unused += [
        f"{package} loads {library}"
        for library, packages in THIRD_PARTY.items()
        for package in packages.split()
        if not any(
            within(module, package) and within(name, library)
            for module, path in modules("monitor")
            for name, _ in imports(module, path)
        )
    ]
    assert not unused, f"take out of the table, nobody does it any more: {unused}"


def test_no_package_imports_back():
    table = {one: set(others.split()) for one, others in ALLOWED.items()}
    assert not circle(table), f"the table has a circle: {circle(table)}"


@pytest.mark.parametrize(
    ("module", "text", "sentence"),
    [
        (
            "probes/base/sites.py",
            "import os\nfrom ..hooks.records import TaskRecord",
            "probes/base/sites.py:2 imports probes.hooks.records: probes.base may not import probes.hooks, only nothing of ours",
        ),
        ("probes/hooks/loops.py", "from ..base import sites", None),
        ("probes/hooks/loops.py", "import msgspec", "probes.hooks may not load msgspec, only"),
        (
            "monitor/sources/live.py",
            "if TYPE_CHECKING:\n    from monitor.tui import app",
            "may not import monitor.tui, only",
        ),
        (
            "monitor/protocol/frames.py",
            "from probes.base import sites",
            "may import probes.base.protocol of it, nothing else",
        ),
        ("monitor/store/store.py", "import textual.app", "monitor.store may not load textual, only monitor.tui may"),
        ("monitor/store/store.py", "import requests", "requests is neither in the standard library nor in THIRD_PARTY"),
        ("monitor/tui/app.py", "import socket", "monitor/tui/app.py:1 imports socket: monitor.tui may import none of"),
    ],
)
def test_a_wrong_import_is_reported_in_a_sentence(module, text, sentence):
    path = ROOT / module
    found = list(objections(".".join(path.relative_to(ROOT).with_suffix("").parts), path, text))
    assert not found if sentence is None else sentence in found[0]


def test_samples_import_what_any_program_may():
    for_users = {f"probes.{name}" for name in probes.__all__} | {"probes"}
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for module, path in modules("sample_apps")
        for name, line in imports(module, path)
        if within(name, "probes", *NOT_FOR["sample_apps"].split()) and name not in for_users
    ]
    assert wrong == []


def loaded(code, *watched):
    """Which of the watched modules are loaded after some code, in a process of its own."""
    end = f"import sys; print([name for name in {watched!r} if name in sys.modules], file=sys.stderr)"
    script = f"try:\n    {code}\nfinally:\n    {end}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, cwd=ROOT)
    return ast.literal_eval(done.stderr.strip().splitlines()[-1]), done


def test_probes_load_neither_textual_nor_anything_else_of_ours():
    assert loaded("import probes", *THIRD, "monitor")[0] == []


def test_help_loads_nothing_heavy():
    watched = ("textual", "rich", "psutil", "msgspec", "asyncio", "monitor.store", "sample_apps")
    found, done = loaded("from monitor.cli import main; main(['--help'])", *watched)
    assert found == []
    assert "Usage: looptop" in done.stdout


def test_a_command_loads_no_other():
    assert (
        loaded("from monitor.cli import main; main(['--version'])", "monitor.cli.target", "monitor.formatting")[0] == []
    )
    watched = ("monitor.cli.target", "monitor.cli.watch", "monitor.cli.tasks", "monitor.fleet")
    assert loaded("from monitor.cli import main; main(['watch', '--help'])", *watched)[0] == list(watched[:2])


@pytest.mark.parametrize("command", [["ps", "--json"], ["samples", "list", "--json"], ["tasks", "1", "--json"]])
def test_json_commands_load_neither_textual_nor_rich(command, monkeypatch, tmp_path):
    monkeypatch.setenv("LOOPTOP_DIR", str(tmp_path / "none"))
    found, _ = loaded(f"from monitor.cli import main; main({command!r})", "textual", "rich")
    assert found == []


def test_tasks_asks_the_program_before_it_loads_what_shows_them():
    script = "from monitor.plain import task_options; import monitor.attach.target_connector, monitor.transport.connection, monitor.attach.targets"
    assert loaded(script, "monitor.store.store", "monitor.plain.snapshot", "monitor.attach.inject")[0] == []


def test_the_dashboard_loads_what_is_on_its_first_screen():
    later = [f"monitor.tui.screens.{name}" for name in ("slow", "ended", "output", "memory", "profile", "findings")]
    later += ["monitor.tui.screens.task", "monitor.tui.screens.help", "monitor.tui.dialogs.form", "monitor.tui.player"]
    watched = (
        "monitor.recording",
        "zstandard",
        "psutil",
        "monitor.attach",
        "monitor.plain",
        "pygments",
        "rich.markdown",
    )
    assert loaded("import monitor.tui.app", *watched, *later)[0] == []


def test_what_a_program_with_a_probe_is_asked_loads_nothing_that_it_does_not_take(tmp_path):
    sys.path.insert(0, str(ROOT / "tests" / "monitor"))
    import fake_probe

    probe = fake_probe.on_path(tmp_path / "s", fake_probe.well)
    try:
        for command in (["tasks"], ["watch", "--duration", "0.3"]):
            line = [*command, f"unix:{tmp_path}/s", "--json"]
            found, done = loaded(f"from monitor.cli import main; main({line!r})", "textual", "rich")
            assert found == []
            if command == ["tasks"]:
                assert '"worker-1"' in done.stdout
        line = ["tasks", f"unix:{tmp_path}/s"]
        getting_in = ("monitor.attach.inject", "monitor.attach.inject.payload", "monitor.attach.programs", "hashlib")
        of_others = ("monitor.store.keyframe", "monitor.recording", "monitor.findings", "monitor.plain.await_stacks")
        code = f"from monitor.cli import main; main({line!r})"
        found, done = loaded(code, "textual", "asyncio", *getting_in, *of_others)
        assert found == []
        assert "worker-1" in done.stdout
    finally:
        probe.close()
