"""Checkpoints of a training run: all that a later call needs to go on where an earlier one stood."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch

from ..errors import SettingsError
from ..runtime.files import atomic_output
from .config import TrainConfig, as_tables

_SAID = {"licence", "generation", "purpose"}
"""Keys of a configuration that say something of the weights, and decide nothing in them: they may change on the way."""


class Stateful(Protocol):
    """A network or an optimiser, as torch has them."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state, to be saved."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> object:
        """Take over a saved state."""
        ...


class Standing(NamedTuple):
    """The progress of a run."""

    step: int
    """Number of steps done."""
    spent_s: float
    """Seconds spent on them."""
    planned_steps: int | None = None
    """Steps of the whole run where `schedule.seconds` decides, once they are planned."""


def save_checkpoint(path: Path, config: TrainConfig, standing: Standing, parts: Mapping[str, Stateful]) -> None:
    """Write the state of every part, with the configuration that it belongs to, atomically. Raises OutputError."""
    state: dict[str, Any] = {name: part.state_dict() for name, part in parts.items()}
    state |= {"config": as_tables(config), "standing": standing._asdict()}
    coded = io.BytesIO()  # torch does not say why it could not write to a disk
    torch.save(state, coded)
    with atomic_output(path, overwrite=True) as file:
        file.write(coded.getbuffer())


def load_checkpoint(path: Path, config: TrainConfig, parts: Mapping[str, Stateful], device: torch.device) -> Standing:
    """Give every part its saved state. Raises SettingsError if the file is none of ours, or of another configuration.

    path: if there is no such file, nothing was done yet.
    """
    if not path.exists():
        return Standing(0, 0.0)
    try:
        state = torch.load(path, weights_only=True, map_location=device)
        saved = state["config"]
    except Exception as error:  # torch.load raises whatever unpickling does
        raise SettingsError(f"{path}: not a checkpoint of histocodec: {error}") from error
    tables = as_tables(config)
    changed = sorted(key for key in (saved.keys() | tables) - _SAID if saved.get(key) != tables.get(key))
    if changed:
        raise SettingsError(
            f"{path} is of another configuration ({', '.join(changed)} differ): "
            "resume with the same one, or train in another folder (--run)"
        )
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return Standing(**state["standing"])
