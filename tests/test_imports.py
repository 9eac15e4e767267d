"""The floor plan, kept: which package may import which, and what a command may load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import probes

ROOT = Path(__file__).parent.parent
THIRD = {"textual", "rich", "psutil", "msgspec", "click", "aiohttp", "uvloop"}
BEYOND_THE_WIRE = ("textual", "rich", "monitor.store", "monitor.sources", "monitor.plain", "monitor.tui")


def imports(path):
    """The modules that a file imports, absolute names; relative ones begin with a dot."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            names = [alias.name for alias in node.names]
            if module in ("probes", "monitor", "sample_apps", "."):
                yield from ((f"{module.rstrip('.')}.{name}", node.lineno) for name in names)
            else:
                yield module, node.lineno


def wrong(folder, is_wrong):
    found = []
    for path in sorted((ROOT / folder).rglob("*.py")) if (ROOT / folder).is_dir() else [ROOT / folder]:
        relative = path.relative_to(ROOT)
        found += [f"{relative}:{line} imports {name}" for name, line in imports(path) if is_wrong(name)]
    return found


def within(name, *packages):
    return any(name == package or name.startswith(package + ".") for package in packages)


def test_probes_import_nothing_but_the_standard_library_and_each_other_relatively():
    def is_wrong(name):
        return (
            not name.startswith(".")
            and name.partition(".")[0] not in sys.stdlib_module_names
            and name != "sitecustomize"
        )

    assert wrong("probes", is_wrong) == []


def test_the_monitor_imports_of_probes_the_wire_only():
    def is_wrong(name):
        return within(name, "probes") and name not in ("probes.base", "probes.base.protocol")

    assert wrong("monitor", is_wrong) == []


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        (
            "monitor/store",
            ("textual", "rich", "socket", "click", "psutil", "monitor.tui", "monitor.plain", "monitor.sources"),
        ),
        ("monitor/store", ("monitor.attach", "monitor.cli", "monitor.terminal", "monitor.attach.targets")),
        (
            "monitor/findings",
            ("textual", "rich", "socket", "click", "psutil", "asyncio", "monitor.tui", "monitor.plain"),
        ),
        ("monitor/findings", ("monitor.sources", "monitor.attach", "monitor.cli", "sample_apps")),
        ("monitor/store", ("monitor.findings",)),
        ("monitor/protocol/frames.py", BEYOND_THE_WIRE),
        ("monitor/protocol/keyframes.py", BEYOND_THE_WIRE),
        ("monitor/protocol/memory_frames.py", BEYOND_THE_WIRE),
        (
            "monitor/sources",
            ("textual", "rich", "click", "monitor.store", "monitor.plain", "monitor.tui", "monitor.cli"),
        ),
        ("monitor/attach/find.py", ("textual", "rich", "click", "monitor.store", "monitor.sources")),
        ("monitor/attach/programs.py", ("textual", "rich", "click", "monitor.store", "monitor.sources")),
        ("monitor/attach", ("textual", "rich", "click", "monitor.store", "monitor.plain", "monitor.cli")),
        (
            "monitor/attach/targets.py",
            ("textual", "rich", "click", "monitor.store", "monitor.plain", "monitor.tui", "monitor.cli"),
        ),
        (
            "monitor/check",
            ("textual", "rich", "click", "monitor.store", "monitor.sources", "monitor.plain", "monitor.cli"),
        ),
        ("monitor/plain", ("textual", "click", "monitor.tui", "monitor.cli")),
        ("monitor/tui", ("socket", "select", "asyncio.streams", "msgspec", "monitor.attach", "monitor.cli")),
        ("monitor/tui", ("monitor.transport.connection", "monitor.sources.live", "monitor.attach.targets")),
        ("monitor", ("sample_apps.demo", "benchmarks", "tests")),
        ("sample_apps", ("monitor", "benchmarks")),
    ],
)
def test_no_import_runs_back(folder, forbidden):
    assert wrong(folder, lambda name: within(name, *forbidden)) == []


TUI_FLOORS = ("base", "terminal widgets", "rows", "pages", "dialogs", "controllers", "screens")


@pytest.mark.parametrize("floor", range(len(TUI_FLOORS)))
def test_a_package_of_the_dashboard_imports_only_what_is_below_it(floor):
    below = {name for names in TUI_FLOORS[:floor] for name in names.split()}
    for package in TUI_FLOORS[floor].split():
        allowed = [f"monitor.tui.{name}" for name in (*below, package)]
        is_wrong = lambda name: within(name, "monitor.tui") and not within(name, *allowed)  # noqa: B023, E731
        assert wrong(f"monitor/tui/{package}", is_wrong) == []


def test_samples_import_of_probes_what_any_program_may():
    for_users = {f"probes.{name}" for name in probes.__all__}
    assert wrong("sample_apps", lambda name: within(name, "probes") and name not in for_users) == []


def loaded(code, *watched):
    """Which of the watched modules are loaded after some code, in a process of its own."""
    end = f"import sys; print([name for name in {watched!r} if name in sys.modules], file=sys.stderr)"
    script = f"try:\n    {code}\nfinally:\n    {end}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, cwd=ROOT)
    return ast.literal_eval(done.stderr.strip().splitlines()[-1]), done


def test_probes_load_neither_textual_nor_anything_else_of_ours():
    assert loaded("import probes", *THIRD, "monitor")[0] == []


def test_help_loads_nothing_heavy():
    watched = ("textual", "rich", "psutil", "msgspec", "asyncio", "monitor.store", "sample_apps")
    found, done = loaded("from monitor.cli import main; main(['--help'])", *watched)
    assert found == []
    assert "Usage: looptop" in done.stdout


@pytest.mark.parametrize("command", [["ps", "--json"], ["samples", "list", "--json"], ["tasks", "1", "--json"]])
def test_json_commands_load_neither_textual_nor_rich(command, monkeypatch, tmp_path):
    monkeypatch.setenv("LOOPTOP_DIR", str(tmp_path / "none"))
    found, _ = loaded(f"from monitor.cli import main; main({command!r})", "textual", "rich")
    assert found == []


def test_tasks_asks_the_program_before_it_loads_what_shows_them():
    script = "from monitor.plain import wanted; import monitor.attach.target_connection, monitor.transport.connection, monitor.attach.targets"
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
        found, done = loaded(f"from monitor.cli import main; main({line!r})", "textual", "asyncio", *getting_in)
        assert found == []
        assert "worker-1" in done.stdout
    finally:
        probe.close()
