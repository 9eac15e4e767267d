"""Memory by the line of the user's that asked for it, with no more frames than lead there."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_memory import line_of, look, start
from watched import Program

from probes.memory.own_line_depth import MOST, UNKNOWN, chosen

GROWS = """
    import asyncio, random

    kept = []

    def more():
        kept.append(random.randbytes(2000))  # grows
        sum(range(2000))

    async def main():
        print("ready", flush=True)
        while True:
            for _ in range(20):
                more()
            del kept[:-20_000]
            await asyncio.sleep(0.001)

    asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("distances", "frames"),
    [([], UNKNOWN), ([1], 1), ([1, 2, 2, 2], 2), ([2] * 95 + [9] * 5, 2), ([2] * 50 + [5] * 50, 5), ([40], MOST)],
)
def test_as_many_frames_as_most_places_need(distances: list[int], frames: int) -> None:
    assert chosen(distances) == frames


def test_what_a_helper_of_the_standard_library_makes_belongs_to_who_called_it(tmp_path: Path) -> None:
    with Program(GROWS, folder=tmp_path) as program:
        program.expect("ready")
        with program.viewer() as viewer:
            start(viewer)
            grown = ("program.py", line_of(GROWS, "# grows"))

            def first() -> tuple[str, int]:
                found = look(viewer, limit=3)
                assert 2 <= found["frames"] <= MOST
                return viewer.site(found["rows"][0][0][0])[:2] if found["rows"] else ("", 0)

            viewer.until(lambda: first() == grown, "the line that made it grow, not the one of random.py")
            rows = look(viewer, limit=50)["rows"]
            assert "random.py" not in {viewer.site(row[0][0])[0] for row in rows if row[1] > 100_000}
