"""What a step costs while memory is traced: said from what most steps cost."""

from probes.memory.step_rates import Rates


def rates(pieces: list[tuple[int, float]]) -> Rates:
    """Looks every quarter of a second: how many steps were made, and how long they took in all."""
    made, now, steps, busy = Rates(), 0.0, 0, 0.0
    made.add(now, steps, busy)
    for more, took in pieces:
        now, steps, busy = now + 0.25, steps + more, busy + took
        made.add(now, steps, busy)
    return made


def test_one_step_that_blocks_is_not_the_price_of_all() -> None:
    calm = [(3, 300e-6), (2, 200e-6), (0, 0.0)] * 4
    assert rates(calm).facts() == {"steps": 6.667, "busy": 100.0}
    assert rates([*calm, (2, 0.3)]).facts()["busy"] == 100.0
    dear = [(steps, 4 * took) for steps, took in calm]
    assert rates([*dear, (2, 0.3)]).facts()["busy"] == 400.0


def test_what_is_not_known_is_not_said() -> None:
    assert rates([]).facts() == {"steps": None, "busy": None}
    assert rates([(5, 0.1)]).facts() == {"steps": None, "busy": None}
    assert rates([(0, 0.0)] * 4).facts() == {"steps": 0.0, "busy": None}
