"""Values of a process: made once in each."""

from __future__ import annotations

import multiprocessing
import os
from itertools import count

import pytest

from histocodec.runtime.by_process import ByProcess


def _value_in_a_child(value: ByProcess[int], sent: multiprocessing.SimpleQueue[tuple[int, int]]) -> None:
    sent.put((value(), os.getpid()))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_process_makes_its_own() -> None:
    value = ByProcess(os.getpid)
    assert value() == os.getpid()
    context = multiprocessing.get_context("fork")
    sent = context.SimpleQueue()
    child = context.Process(target=_value_in_a_child, args=(value, sent))
    child.start()
    found, process = sent.get()
    child.join(30)
    assert found == process != os.getpid()


def test_it_is_made_once() -> None:
    made = count()
    value = ByProcess(lambda: next(made))
    assert (value(), value()) == (0, 0)
