"""Memory, as the system tells it."""

from __future__ import annotations

import os
import sys

import pytest

from histocodec.runtime.usage import memory_of, peak_memory, reset_peak_memory


@pytest.mark.skipif(sys.platform != "linux", reason="counts anew on Linux alone")
def test_the_peak_counts_from_the_last_reset() -> None:
    reset_peak_memory()
    before = peak_memory()
    held = bytearray(64 << 20)
    held[::4096] = b"\1" * len(held[::4096])
    during = peak_memory()
    assert before is not None
    assert during is not None
    assert during - before > 48 << 20
    del held
    reset_peak_memory()
    after = peak_memory()
    assert after is not None
    assert after < during - (32 << 20)


def test_of_this_process_and_of_none() -> None:
    here, peak = memory_of(os.getpid()), peak_memory()
    assert here is None or peak is None or here > 1 << 20
    assert memory_of(2**30) is None
