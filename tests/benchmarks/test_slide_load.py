"""A slide that is opened again and again leaves nothing behind; threads and forks read what one thread reads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.slide_load import held, opened, shared
from histocodec.views.slide import ReconstructedSlide


def test_nothing_is_left_of_slides_that_were_closed(container_path: Path) -> None:
    first, *_, last = opened(container_path, 300, sandbox=False)
    assert last["memory_mb"] < first["memory_mb"] + 8
    assert (last["descriptors"], last["threads"], last["children"]) == (
        *(first["descriptors"], first["threads"], first["children"]),
    )


def test_nothing_is_left_of_their_sandboxes(container_path: Path) -> None:
    before = held()["children"]  # other tests may have some
    first, *_, last = opened(container_path, 10, sandbox=True)
    assert (last["descriptors"], last["threads"], last["children"]) == (first["descriptors"], first["threads"], before)


def test_what_is_left_is_seen(container_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[ReconstructedSlide] = []
    monkeypatch.setattr(ReconstructedSlide, "close", lambda slide: kept.append(slide))
    first, *_, last = opened(container_path, 20, sandbox=False)
    assert last["descriptors"] == first["descriptors"] + 18
    for slide in kept:
        slide.decoder.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize("sandbox", [False, True])
def test_threads_and_forks_read_the_same_pixels(container_path: Path, sandbox: bool) -> None:
    found = shared(container_path, 8, 4, 12, sandbox=sandbox, cache_bytes=1 << 20)
    before, after = found.pop("before"), found.pop("after")
    assert found == {
        "threads": 8,
        "forks": 4,
        "regions": 12,
        "threads_with_other_pixels": 0,
        "forks_with_other_pixels": 0,
        "forks_that_failed": 0,
        "forks_without_an_end": 0,
    }
    assert all(before[name] == after[name] for name in ("descriptors", "threads", "children"))
