"""The optimisers of a network, and their learning rates over the steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

import torch
from torch import Tensor, nn

from ..config import ScheduleConfig
from .muon import Muon

ADAM_BETAS = (0.9, 0.99)
_CAUTION = 0.97
"""Share of the time left that is planned to be used."""


def optimisers_for(schedule: ScheduleConfig, network: nn.Module) -> list[torch.optim.Optimizer]:
    """Build the optimisers that a schedule names.

    Muon takes the convolutions but the last, whose rows are the output's channels; Adam takes the rest.
    """
    if schedule.optimiser == "adam":
        return [torch.optim.Adam(network.parameters(), schedule.learning_rate, betas=ADAM_BETAS)]
    matrices: list[Tensor] = []
    others: list[Tensor] = []
    for name, parameter in network.named_parameters():
        last = name.startswith(("tail", "conv_last"))
        (matrices if parameter.dim() > 1 and not last else others).append(parameter)
    adam = torch.optim.Adam(others, schedule.adam_learning_rate, betas=ADAM_BETAS)
    return [Muon(matrices, schedule.learning_rate, weight_decay=schedule.weight_decay), adam]


def steps_in_time(schedule: ScheduleConfig, step: int, spent_s: float, took: Sequence[float]) -> int:
    """Plan the steps of a run that `schedule.seconds` decides: at least those done, at most `schedule.steps`.

    step: steps done. spent_s: seconds spent on them. took: seconds of single steps; their median counts, since
    the first ones of a call are slow.
    """
    left = _CAUTION * (schedule.seconds - spent_s) / median(took)
    return min(schedule.steps, step + max(0, int(left)))


def rate_share(schedule: ScheduleConfig, step: int) -> float:
    """Return the share of the learning rate that a step has.

    It rises linearly through the warm-up, then falls along half a cosine to the final share; anew at each restart.
    """
    if step < schedule.warmup_steps:
        return (step + 1) / schedule.warmup_steps
    ends = [schedule.warmup_steps, *schedule.restarts, schedule.steps]
    cycle = sum(step >= end for end in schedule.restarts)
    done = (step - ends[cycle]) / max(1, ends[cycle + 1] - ends[cycle])
    peak = schedule.restart_share**cycle
    return peak * (schedule.final_share + (1 - schedule.final_share) * 0.5 * (1 + math.cos(math.pi * done)))
