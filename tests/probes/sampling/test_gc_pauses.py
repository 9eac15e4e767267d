"""Collections of garbage are timed without a trace in what the program sees of its collector."""

from __future__ import annotations

import json
from pathlib import Path

from test_counting import source
from watched import Program

SCRIPT = """
    import gc, json
    from time import monotonic
    heap = [[number] for number in range(300_000)]
    times, begun, reported = [], [], []

    def mine(phase, info):
        if phase == "start":
            begun.append(monotonic())
        else:
            times.append((info["generation"], monotonic() - begun.pop()))

    def bad(phase, info):
        raise ValueError(phase)

    async def main():
        before = (gc.callbacks, len(gc.callbacks), id(gc.callbacks))
        pauses = next(module for name, module in sys.modules.items() if name.endswith(".sampling.gc_pauses"))
        probe = sys._looptop_probe
        while pauses.take() is None:
            await asyncio.sleep(0.01)
        gc.disable()
        gc.callbacks.append(mine)
        pairs = []
        for _ in range(8):
            known = [seconds for seconds, _ in pauses.by_generation()]
            started = monotonic()
            gc.collect()
            ended = monotonic()
            generation, own = times[-1]
            pairs.append((own, pauses.by_generation()[generation][0] - known[generation], pauses.within(started, ended)))
        for generation in (0, 1):
            gc.collect(generation)
        counts = [sum(flat[1::2]) for _, flat in pauses.by_generation()]
        sys.unraisablehook = lambda error: reported.append((str(error.exc_value), error.object is bad))
        gc.callbacks.append(bad)
        gc.collect()
        del gc.callbacks[:]
        seen = [thing for thing in gc.get_objects() if getattr(thing, "__name__", "") == "collected"]
        probe.stop()
        gc.callbacks.append(mine)
        number = len(times)
        gc.collect()
        print(json.dumps({
            "same": before[0] is gc.callbacks and before[1:] == (0, id(gc.callbacks)),
            "pairs": pairs, "counts": counts, "reported": reported, "seen": len(seen), "after": len(times) - number,
            "timed": pauses.take() is not None,
        }), flush=True)

    run(main())
"""


def test_collections_are_timed_and_the_program_sees_nothing_of_it(python: str, tmp_path: Path) -> None:
    with Program(source(SCRIPT), folder=tmp_path, python=python, env={"LOOPTOP_PURE": "0"}) as program:
        found = json.loads(program.line())
    assert found["same"] and found["seen"] == 0
    for own, timed, within in found["pairs"]:
        assert 0 < timed <= own and within <= timed + 1e-6
    # The program's own function measures from a little before to a little after.
    assert any(timed >= 0.9 * own and within >= 0.9 * own for own, timed, within in found["pairs"])
    assert found["counts"][0] >= 1 and found["counts"][1] >= 1 and sum(found["counts"]) >= 10
    assert found["reported"] == [["start", True], ["stop", True]]
    assert found["after"] == 1 and not found["timed"]  # the probe has left
