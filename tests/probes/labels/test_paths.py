"""Paths without a route: ids are folded, and nothing grows without a bound."""

import pytest

from probes.labels import paths


@pytest.mark.parametrize(
    ("path", "folded"),
    [
        ("/", "/"),
        ("/items/17", "/items/*"),
        ("/items/17/parts/4?page=2", "/items/*/parts/*"),
        ("/u/8f14e45f-ceea-467f-9b2c-2f7d9bbd0e3e", "/u/*"),
        ("/blob/deadbeef01", "/blob/*"),
        ("/t/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/t/*"),
        ("/token/abcdefghijklmnop-1234567", "/token/*"),
        ("/v2/facade/added", "/v2/facade/added"),
        ("/a-page-with-a-long-name-of-words", "/a-page-with-a-long-name-of-words"),
        ("/x" * 20, "/x" * 11 + "/…"),
    ],
)
def test_ids_are_folded(path: str, folded: str) -> None:
    assert paths.folded(path) == folded


def test_a_long_path_and_a_strange_method_are_cut() -> None:
    assert len(paths.folded("/" + "a" * 5000)) == paths.MOST_LABEL
    assert paths.label("GET", "/x") == "GET /x"
    assert paths.label("get\x1b[31m", "/x") == paths.label(None, "/x") == "? /x"
