"""Which files are the user's."""

import pytest

from probes.base import sites


def test_a_program_that_makes_code_under_ever_new_names_is_remembered_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sites, "MOST_FILES", 10)
    files = sites._Files()
    assert {files[f"<template {number}>"] for number in range(95)} == {sites.USER}
    assert len(files) == 5
    assert files[sites.__file__] != sites.USER
