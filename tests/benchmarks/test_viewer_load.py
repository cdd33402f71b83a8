"""Some seconds of the load that a viewer is to bear: nobody is refused, nobody starves, nothing is left behind."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.viewer_load import Client, loaded, summary, viewer


@pytest.mark.parametrize("sandbox", [False, True])
def test_a_viewer_bears_twenty_clients(container_path: Path, sandbox: bool) -> None:
    with viewer(container_path, "--sandbox" if sandbox else "--no-sandbox") as (url, server):
        found = asyncio.run(loaded(url, server, clients=20, seconds=5))
        assert found["errors"] == 0, found["answers"]
        assert found["tiles_of_a_client"]["fewest"] > 0
        assert found["answers"]["200"] > 100
        assert found["memory_mb"]["end"] < found["memory_mb"]["start"] + 40, found["course"]
        assert server.num_fds() < found["course"][0]["descriptors"] + 20  # the connections are gone, or nearly
        assert server.num_threads() < 30


def test_what_is_wrong_is_counted() -> None:
    users = [
        Client(0, Counter({"200": 90, "304": 5, "503": 4, "TimeoutError": 1}), [0.1] * 95),
        Client(1, Counter({"200": 1}), [9.0]),
    ]
    found = summary(users, 10)
    assert (found["requests"], found["errors"], found["errors_percent"]) == (101, 5, 4.9505)
    assert found["tiles_of_a_client"] == {"fewest": 1, "median": 48, "most": 95}
    assert found["wait_s"]["longest"] == 9.0
    assert found["slowest_client_to_median"] > 1.9
