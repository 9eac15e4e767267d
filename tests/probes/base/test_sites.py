"""Which files are the user's."""

import gc
import weakref

import pytest

from probes.base import sites


def test_a_program_that_makes_code_under_ever_new_names_is_remembered_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sites, "MOST_FILES", 10)
    files = sites._Files()
    assert {files[f"<template {number}>"] for number in range(95)} == {sites.USER}
    assert len(files) == 5
    assert files[sites.__file__] != sites.USER


def test_code_that_is_made_ever_anew_is_not_kept(monkeypatch):
    monkeypatch.setattr(sites, "MOST_CODES", 50)
    tables, alive = sites.Tables(), []
    for number in range(500):
        namespace = {}
        exec(compile(f"def made_{number % 20}():\n    pass", "generated.py", "exec"), namespace)
        code = namespace[f"made_{number % 20}"].__code__
        alive.append(weakref.ref(code))
        assert tables.site_at(code, 0) == tables.site_at(code, 0) == 1 + number % 20
    del namespace, code
    gc.collect()
    assert sum(ref() is not None for ref in alive) <= 50
