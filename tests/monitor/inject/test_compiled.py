"""A program is spared compiling the probe, where its Python is ours or may be asked; and compiles it where not."""

from __future__ import annotations

import ast
import signal
from pathlib import Path

import pytest
from inject_targets import PATIENCE, Running, interpreters
from test_matrix import interpreter, look

from monitor.attach.inject import compiled, inject
from monitor.attach.inject.payload import make

COUNTING = """
COMPILED = []
sys.addaudithook(lambda event, args: event == "compile" and COMPILED.append(str(args[1])))
signal.signal(signal.SIGUSR2, lambda *_: os.write(1, ascii(COMPILED).encode() + b"\\n"))
async def main():
    asyncio.get_running_loop().call_soon(ready)
    await asyncio.sleep(3600)
asyncio.run(main())
"""


def compiled_by(python: str, folder: Path) -> list[str]:
    """The files of the probe that a program has compiled."""
    with Running(python, COUNTING, folder) as target:
        result = inject(target.pid, make({"leave": True}, PATIENCE), timeout=PATIENCE)
        with look(result) as viewer:
            viewer.until(lambda: viewer.names(), "a task")
        target.process.send_signal(signal.SIGUSR2)
        found: list[str] = ast.literal_eval(target.line())
        assert target.stderr == ""
        return [name for name in found if name.startswith("<looptop>")]


@pytest.mark.parametrize("version", ["own", "3.12", "3.13"])
def test_nothing_but_the_text_is_compiled_there(
    version: str, tmp_path: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "PATIENCE", 60.0)  # the other interpreter may be slow on a busy machine
    assert compiled_by(interpreter(version), tmp_path) == ["<looptop>", "<looptop>/bootstrap.py"]


def test_a_program_whose_python_is_not_to_be_had_compiles(
    tmp_path: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "for_compiling", lambda _: None)
    others = [path for name, path in interpreters().items() if name in ("3.12", "3.13")]
    if not others:
        pytest.skip("there is no other Python here than ours")
    assert {"<looptop>/bootstrap.py", "<looptop>/probe.py", "<looptop>/hooks/install.py"} <= set(
        compiled_by(others[0], tmp_path)
    )


def test_a_python_that_does_not_answer_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = tmp_path / "python3.9"
    module = tmp_path / "module.py"
    module.write_text("x = 1\n")
    ours = compiled.packed({"module": module}, 0)
    monkeypatch.setattr(compiled, "for_compiling", lambda _: str(silent))
    assert compiled.packed({"module": module}, 0) == ours  # there is none
    for script in ("exit 1", "echo nonsense"):
        silent.write_text(f"#!/bin/sh\n{script}\n")
        silent.chmod(0o755)
        assert compiled.packed({"module": module}, 0) == ours
