"""Files with floors under a byte budget: filled, and fair to what lies outside the regions of interest.

What regions take beside the base, the base loses, and with it everything else. How much that is gets measured against
the same file without regions, and is held below a bound: in a batch a note is overlooked, and a slide is ruined.
So what exceeds the bound is refused, as a floor is that a ratio has no room for.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from ..errors import BudgetError
from ..format.entries import EnhancementLayer, ErrorSummary, Summary
from ..format.quality import summarise_errors
from ..pixels.floors import SLIVER, square_side
from ..pixels.metrics import psnr
from ..pixels.residual import HIGHEST_FLOOR_DB
from ..pixels.score import PSNR_CAP_DB
from ..pixels.tile_codecs import QUALITY_SCALES
from ..pixels.tile_coder import coded_tile
from ..runtime.parallel import ordered_map
from ..runtime.progress import Progress
from .coded_pyramid import CodedPyramid
from .draft import Draft
from .enhance import Address, BlockReader, CodedEnhancement, Floors, full_grid, touched_blocks
from .rate import SEARCH_RANGES, best_quality
from .split import Estimate, cheapest_quality, choose_coder

FULL = 0.996
"""A budget filled to this share is full: 99.5 % of the file, and a little for what the slack of estimates leaves."""

_AIM = 0.998
"""Share of the budget that estimates aim at."""

_ATTEMPTS = 6
"""Codings until one is full. Each corrects the estimate by what it really took: two or three as a rule."""

_MUCH = 0.25
"""Of the blocks: where more have a floor, a finer base may take fewer bytes in all, as it saves many of the layer's."""


@dataclass
class Bounded:
    """A base and its layer. A context manager that frees the disk."""

    coded: CodedPyramid
    enhancement: CodedEnhancement
    rest_loss: ErrorSummary | None = None
    """What blocks of tissue outside the regions lose against the same file without regions; None without a budget."""
    notes: tuple[str, ...] = ()
    """What a user should know of the regions."""

    def close(self) -> None:
        """Free the disk."""
        self.enhancement.close()
        self.coded.close()

    def __enter__(self) -> Bounded:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def code_bounded(
    file: Draft, plain: CodedPyramid, floors: Floors, budget: int | None, folder: Path, progress: Progress
) -> Bounded:
    """The file with the layer that its floors need.

    plain: the base of the same file without floors; without a budget it is the base. With one, base and layer fill it,
    and no block of tissue outside the regions loses more than the settings allow. Raises BudgetError if that is not
    possible, and says what would be.
    """
    if budget is None:
        made = Bounded(plain, _layer(file, plain, floors, folder, progress))
    else:
        made = _code_within(file, floors, budget, folder, progress)
    try:
        made.enhancement.measure_rest(progress)
        if file.settings.regions is not None:
            made.notes += _glass_note(file)
            if budget is not None:
                _state_loss(file, plain, made, floors, budget, folder, progress)
    except BaseException:
        made.close()
        raise
    return made


def _glass_note(file: Draft) -> tuple[str, ...]:
    """Where the regions touch glass alone, which is how coordinates that are counted from elsewhere show."""
    if (touched_blocks(file) & (file.pyramid.tissue > 0)).any():
        return ()
    return ("the regions of interest touch glass alone, no tissue: are their coordinates counted from elsewhere?",)


def _layer(file: Draft, coded: CodedPyramid, floors: Floors, folder: Path, progress: Progress) -> CodedEnhancement:
    return CodedEnhancement(file, coded, floors, choose_coder(file, coded, floors), folder, progress)


# ------------------------------------------------------------------------------------------------ filling a budget


def _code_within(file: Draft, floors: Floors, budget: int, folder: Path, progress: Progress) -> Bounded:
    """The finest base that fits into a budget beside the layer that it needs. Raises BudgetError if none does."""
    estimate, codec = Estimate(file, floors), file.coder.codec
    step = 1.0 if QUALITY_SCALES[codec].whole else _STEP
    cheapest = SEARCH_RANGES[codec][0]
    if np.count_nonzero(floors) > _MUCH * floors.size:
        cheapest = cheapest_quality(estimate, cheapest, progress)
    best: Bounded | None = None
    fits, exceeds = -math.inf, math.inf
    try:
        for _ in range(_ATTEMPTS):
            # Below the cheapest, bytes grow again.
            rising = best_quality(lambda q: estimate(q) if q >= cheapest else 0.0, _AIM * budget, codec)
            quality = max(rising or cheapest, cheapest)
            quality = round(min(max(quality, fits + step), exceeds - step), 6)
            if quality <= fits or quality < cheapest:
                break
            made = _code_at(file, floors, quality, folder, progress)
            needed = needed_bytes(file, made)
            estimate.correct(quality, made.coded.total_bytes, made.enhancement.total_bytes)
            if needed > budget:
                exceeds = quality
                if quality <= cheapest:
                    with made:
                        raise _too_small(file, made, needed, budget)
                made.close()
                continue
            if best is not None:
                best.close()
            best, fits = made, quality
            if needed >= FULL * budget:
                break
        if best is None:
            best = _code_at(file, floors, cheapest, folder, progress)
            if (needed := needed_bytes(file, best)) > budget:
                raise _too_small(file, best, needed, budget)
        _refine(file, best, floors, budget)
        if file.settings.min_psnr_db is None:
            _raise_regions(file, best, floors, budget, folder, progress)
    except BaseException:
        if best is not None:
            best.close()
        raise
    return best


_STEP = 0.05
"""Resolution of the search on scales that are not whole numbers."""


def _code_at(file: Draft, floors: Floors, quality: float, folder: Path, progress: Progress) -> Bounded:
    workers = file.settings.workers
    coded = CodedPyramid(
        file.pyramid, file.overview, file.coder, quality, folder=folder, workers=workers, progress=progress
    )
    try:
        return Bounded(coded, _layer(file, coded, floors, folder, progress))
    except BaseException:
        coded.close()
        raise


def _refine(file: Draft, made: Bounded, floors: Floors, budget: int) -> None:
    """Code tiles of the base one step finer while the budget lasts, those alone that no block with a floor sees.

    A codec whose qualities are whole numbers leaves up to a tenth of a budget.
    """
    scale = QUALITY_SCALES[file.coder.codec]
    finer = min(made.coded.quality + (1.0 if scale.whole else _STEP), scale.high)
    pixels, codes, blocks = file.pyramid.levels[0], made.coded.levels[0], file.pyramid.blocks
    seen = {
        address
        for row, column in np.argwhere(floors > 0).tolist()
        for address in pixels.grid.touching(blocks.region(column, row).grown(file.generator.halo))
    }
    free = [
        i for i in range(pixels.grid.count) if pixels.grid.address(i) not in seen and file.pyramid.tissue_of(i).any()
    ]
    spare = budget - needed_bytes(file, made)
    # Spread over the slide: whole rows of finer tiles would be seen.
    for index in np.random.default_rng(file.settings.seed).permutation(free).tolist():
        if spare < (1 - FULL) * budget:
            break
        data = coded_tile(pixels.read, pixels.grid, file.coder, finer, index)
        more = len(data) - len(codes.get(index))
        if 0 < more <= spare:
            codes.put(index, data)
            spare -= more


def _raise_regions(file: Draft, made: Bounded, floors: Floors, budget: int, folder: Path, progress: Progress) -> None:
    """Give what is still left to the regions, as a floor above the one that was asked for.

    A slide of few tiles leaves less than any of them would take.
    """
    low, high = 0.0, min(HIGHEST_FLOOR_DB - float(floors.max()), _MOST_RAISED_DB)
    while high - low > _RAISED_STEP_DB and needed_bytes(file, made) < FULL * budget:
        middle = (low + high) / 2
        raised, kept = np.where(floors > 0, floors + middle, 0.0), made.enhancement
        made.enhancement = CodedEnhancement(file, made.coded, raised, kept.coder, folder, progress)
        if needed_bytes(file, made) <= budget:
            low, unused = middle, kept
        else:
            high, unused, made.enhancement = middle, made.enhancement, kept
        unused.close()


_MOST_RAISED_DB, _RAISED_STEP_DB = 12.0, 0.02


def needed_bytes(file: Draft, made: Bounded) -> int:
    """Of the whole file, or a few more."""
    high, low = Summary(*[99.9999] * 3), ErrorSummary(*[-9.9999] * 3)
    facts = dataclasses.replace(
        _stated(file, made, has_map=True), lowest_db=99.9999, psnr_db=high, tissue_psnr_db=high, rest_loss_db=low
    )
    pieces = made.enhancement.pieces
    return file.overhead_bytes((facts, pieces)) + made.coded.total_bytes + made.enhancement.total_bytes


def _too_small(file: Draft, made: Bounded, needed: int, budget: int) -> BudgetError:
    """Says by how much, and what would do."""
    settings = file.settings
    ratio = math.floor(9.8 * file.source.size_bytes / needed) / 10  # a larger budget admits more beside the tiles
    floors = " and ".join(f"{v:g} dB" for v in (settings.min_psnr_db, settings.roi_psnr_db) if v is not None)
    possible = f"--ratio {ratio:g} can be met" if ratio >= 1 else "no ratio can be met"
    return BudgetError(
        budget,
        needed,
        f"{file.source.path}: a ratio of {settings.ratio:g} allows {budget} bytes. A floor of {floors} takes about "
        f"{needed}, {needed / budget:.2f} times as many: {made.coded.total_bytes} of them for the base and "
        f"{made.enhancement.total_bytes} for its enhancement. {possible} with this floor; this ratio needs a lower one",
    )


# ------------------------------------------------------------------------------------------ what regions cost the rest


def _state_loss(
    file: Draft,
    plain: CodedPyramid,
    made: Bounded,
    floors: Floors,
    budget: int,
    folder: Path,
    progress: Progress,
) -> None:
    """Measure what the regions cost the rest, and keep it with `made`. Raises BudgetError if it is above the bound."""
    settings = file.settings
    outside = _rest(file)
    if not outside:
        return
    if settings.min_psnr_db is None:
        before_db = _predicted_db(file, plain, outside, progress)
        plain_bytes = plain.total_bytes
    else:
        with _code_within(file, np.full(floors.shape, settings.min_psnr_db), budget, folder, progress) as without:
            before_db = [float(without.enhancement.decoded_db[row, column]) for column, row in outside]
            plain_bytes = without.coded.total_bytes
    after_db = [float(made.enhancement.decoded_db[row, column]) for column, row in outside]
    loss = [before - after for before, after in zip(before_db, after_db, strict=True)]
    made.rest_loss = summarise_errors(loss)
    column, row = outside[int(np.argmax(loss))]
    side = full_grid(file).tile
    lost = (
        f"{made.rest_loss.mean:.2f} dB on average and {made.rest_loss.worst:.2f} dB at most (the block at "
        f"{column * side}, {row * side}), against the same encode without regions"
    )
    if made.rest_loss.worst > settings.rest_loss_db:
        raise BudgetError(
            budget,
            budget,
            f"{file.source.path}: at a ratio of {settings.ratio:g} a floor of {settings.roi_psnr_db:g} dB in the "
            f"regions costs the tissue outside them {lost}: more than the {settings.rest_loss_db:g} dB that any block "
            f"of it may lose. What would do: {_alternatives(file, made, plain_bytes, floors)}",
        )
    made.notes += (
        f"the regions of interest cost the tissue outside them {lost} (--rest-loss {settings.rest_loss_db:g} is the "
        "most that is allowed)",
    )


def _rest(file: Draft) -> list[Address]:
    """The blocks of tissue outside the regions, but for those of which next to nothing lies within the slide."""
    wanted: NDArray[np.bool_] = (file.pyramid.tissue > 0) & ~touched_blocks(file)
    grid = full_grid(file)
    found = [(int(column), int(row)) for row, column in np.argwhere(wanted)]
    return [address for address in found if min((part := grid.covered(*address)).width, part.height) >= SLIVER]


def _predicted_db(file: Draft, coded: CodedPyramid, addresses: list[Address], progress: Progress) -> list[float]:
    """PSNR of the prediction of blocks, capped."""
    read = BlockReader(file, coded.decoded_base().read)

    def measure(address: Address) -> float:
        block = read(address)
        return min(PSNR_CAP_DB, psnr(block.source, block.within))

    found = []
    for value in ordered_map(measure, addresses, workers=file.settings.workers):
        found.append(value)
        progress("comparing", len(found), len(addresses))
    return found


def _alternatives(file: Draft, made: Bounded, plain_bytes: int, floors: Floors) -> str:
    """What keeps the rest within the bound: a larger bound, a lower floor, a smaller ratio."""
    settings, loss = file.settings, made.rest_loss
    assert loss is not None
    assert settings.roi_psnr_db is not None
    found = [f"--rest-loss {math.ceil(10 * loss.worst + 1e-9) / 10:g}"]
    halvings = math.log2(max(plain_bytes / made.coded.total_bytes, 1.001))
    share = 2 ** (-_SAFETY * settings.rest_loss_db / (loss.worst / halvings))  # of the plain base that has to stay
    allowed = made.enhancement.total_bytes + made.coded.total_bytes - share * plain_bytes
    if (lower_db := _lower_floor(file, made, floors, share * plain_bytes, allowed)) is not None:
        found.append(f"about --roi-psnr {lower_db:g}")
    base_bytes = made.enhancement.total_bytes / (1 - share)
    others = file.source.size_bytes / settings.ratio - plain_bytes if settings.ratio else 0.0
    if (ratio := math.floor(10 * file.source.size_bytes / (base_bytes + others)) / 10) >= 1:
        found.append(f"about --ratio {ratio:g}")
    return ", ".join(found[:-1]) + f" or {found[-1]}" if len(found) > 1 else found[0]


_SAFETY = 0.6
"""Of the bound, so that what is proposed holds: where all lose less, the block that loses most stands out more."""


def _lower_floor(file: Draft, made: Bounded, floors: Floors, base_bytes: float, layer_bytes: float) -> float | None:
    """The highest floor for the regions, in halves of a dB, of which the layer takes about so many bytes."""
    settings = file.settings
    assert settings.roi_psnr_db is not None
    of_regions = np.where(touched_blocks(file), floors, 0.0)
    estimate = Estimate(file, of_regions)
    # The logarithm of a base's bytes is nearly linear in its quality.
    quality = best_quality(estimate.base_bytes, base_bytes, file.coder.codec) or made.coded.quality
    low, high = 0, 2 * math.floor(settings.roi_psnr_db - max(settings.min_psnr_db or 10.0, 10.0))
    while low < high:  # halves of a dB that it has to be lower
        middle = (low + high) // 2
        fits = estimate.layer_bytes(quality, raised_db=-middle / 2) <= layer_bytes
        low, high = (low, middle) if fits else (middle + 1, high)
    lower_db = settings.roi_psnr_db - low / 2
    return lower_db if lower_db > (settings.min_psnr_db or 10.0) else None


def enhancement_entry(file: Draft, made: Bounded, *, has_map: bool) -> EnhancementLayer:
    """What the manifest states of the layer. has_map: whether a quality map lies in the SubIFD before it."""
    enhancement = made.enhancement
    return dataclasses.replace(
        _stated(file, made, has_map=has_map),
        lowest_db=enhancement.lowest_db,
        psnr_db=enhancement.psnr_db,
        tissue_psnr_db=enhancement.tissue_psnr_db,
        rest_loss_db=made.rest_loss,
    )


def _stated(file: Draft, made: Bounded, *, has_map: bool) -> EnhancementLayer:
    """All of it but what has to be measured."""
    enhancement, pieces, settings = made.enhancement, made.enhancement.pieces, file.settings
    return EnhancementLayer(
        subifd=file.first_layer + (2 if has_map else 1),
        size=(pieces.grid.size.width, pieces.grid.size.height),
        checksums_sha256=hashlib.sha256(pieces.checksums).hexdigest(),
        codec=enhancement.coder.codec,
        colour=enhancement.coder.colour,
        tiles=enhancement.tiles,
        square=square_side(pieces.grid.tile),
        min_psnr_db=settings.min_psnr_db,
        roi_psnr_db=settings.roi_psnr_db,
        regions_origin=None if settings.regions is None else settings.regions.origin,
    )
