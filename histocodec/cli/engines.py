"""`engines`: what computes networks here, whether its bits are right, and how fast it is."""

from __future__ import annotations

import dataclasses

import typer

from ..demo.synthetic import tissue
from ..generators.catalogue import shipped_packages
from ..generators.engines.trial import Trial, try_engines
from ..geometry import Size
from .options import Device, Json, Log, Verbose, Workers, print_json, say
from .running import running

_HEADS = ("engine", "network", "samples", "differ", "Mpx/s", "chosen", "version", "computes with")


def engines_command(
    device: Device = "cpu",
    workers: Workers = None,
    verbose: Verbose = False,
    log: Log = None,
    as_json: Json = False,
) -> None:
    """Try every engine here with every shipped network, against numpy's bits; exit code 1 if a chosen one differs."""
    packages = [*shipped_packages().values(), *shipped_packages("downsampler").values()]
    exact = [package for package in packages if package.is_exact]
    with running(verbose, log, workers) as progress:
        trials: list[Trial] = []
        for trial in try_engines(exact, tissue(Size(512, 512), seed=1), device):
            trials.append(trial)
            progress("trying", len({t.network for t in trials}), len(exact))
    if as_json:
        print_json([dataclasses.asdict(trial) for trial in trials])
    else:
        for line in _table(trials):
            say(line)
    lacks = {trial.network for trial in trials} - {trial.network for trial in trials if trial.is_chosen}
    raise typer.Exit(1 if lacks or any(trial.is_chosen and trial.differ for trial in trials) else 0)


def _table(trials: list[Trial]) -> list[str]:
    """Return aligned lines, a head first, and what went wrong after them."""
    rows = [_HEADS]
    for t in trials:
        if t.error is None:
            speed = "" if t.mpx_s is None else f"{t.mpx_s:.1f}"
            chosen = "yes" if t.is_chosen else ""
            rows.append(
                (t.engine, t.network, f"{t.samples}", f"{t.differ}", speed, chosen, f"{t.version}", f"{t.kernel}")
            )
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return lines + [f"{t.engine} with {t.network} on {t.device}: {t.error}" for t in trials if t.error is not None]
