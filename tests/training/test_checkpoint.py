"""Checkpoints: a run goes on where it stood, and one of something else is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from histocodec.errors import NoSpace, SettingsError
from histocodec.training.checkpoint import Standing, load_checkpoint, save_checkpoint
from tests.training.inputs import config

CPU = torch.device("cpu")


def test_a_run_goes_on_where_it_stood(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    first, second = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    assert load_checkpoint(path, config(), {"network": second}, CPU) == Standing(0, 0.0)
    save_checkpoint(path, config(), Standing(7, 1.5), {"network": first})
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert load_checkpoint(path, config(), {"network": second}, CPU) == Standing(7, 1.5)
    assert torch.equal(first.weight, second.weight)


def test_what_does_not_belong_is_refused(tmp_path: Path) -> None:
    path, network = tmp_path / "checkpoint.pt", torch.nn.Linear(3, 2)
    save_checkpoint(path, config(), Standing(7, 1.5), {"network": network})
    with pytest.raises(SettingsError, match=r"another configuration \(schedule differ\)"):
        load_checkpoint(path, config(schedule__steps=99), {"network": network}, CPU)
    said = config(licence="MIT", generation=2, purpose="what is said of the weights decides nothing in them")
    assert load_checkpoint(path, said, {"network": network}, CPU).step == 7
    path.write_bytes(b"something else")
    with pytest.raises(SettingsError, match="not a checkpoint"):
        load_checkpoint(path, config(), {"network": network}, CPU)


def test_a_disk_that_is_full_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    path, network = tmp_path / "checkpoint.pt", torch.nn.Linear(300, 200)
    save_checkpoint(path, config(), Standing(7, 1.5), {"network": network})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(NoSpace):
            save_checkpoint(path, config(), Standing(8, 2.5), {"network": network})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert load_checkpoint(path, config(), {"network": network}, CPU).step == 7
