"""The stage that gives a file the mean colours of its slide."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from ..geometry import Address, Image, addresses_where
from .coded_slide import CodedSlide

_BLOCKS = 16
"""Blocks of tissue, and of glass, that tell the shift of their colours."""

_MOST_STEPS = 2.0
"""The most 8-bit steps that are taken back."""


def with_source_colours(coded: CodedSlide) -> CodedSlide:
    """Return the slide with the mean colours of its source; unchanged for a codec without a colour transform.

    The transform compensates the colour shift of codec and generator, about a third of a step. Tissue went through the
    network and glass did not: where their shifts differ, the middle of the two is taken back.
    """
    job = coded.job
    if job.coder.colour is None:
        return coded
    read = job.blocks(coded.base.decoded_base().read)

    def shift(address: Address) -> NDArray[np.float64]:
        block = read(address)
        return _mean_colour(block.source) - _mean_colour(block.within)

    shifts = []
    for kind in (1, 0):
        chosen = job.resources.sample(addresses_where(job.pyramid.tissue == kind), _BLOCKS)
        found = list(job.resources.map(shift, chosen, "colours"))
        shifts += [np.mean(found, axis=0)] if found else []
    coded.base.shift_colours(np.clip(np.mean(shifts, axis=0), -_MOST_STEPS, _MOST_STEPS))
    return dataclasses.replace(coded, job=dataclasses.replace(job, coder=coded.base.coder))


def _mean_colour(image: Image) -> NDArray[np.float64]:
    """Return the means of the three channels, from exact sums."""
    height, width = image.shape[:2]
    columns = image.reshape(height, -1).sum(0, dtype=np.uint32)  # line by line: three channels at a time are slow
    means: NDArray[np.float64] = columns.reshape(width, 3).sum(0, dtype=np.uint64) / (height * width)
    return means
