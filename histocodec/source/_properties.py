"""Keeps the properties of a file within bounds: a description can be larger than the slide."""

from __future__ import annotations

MOST_BYTES = 8_000_000
"""Most bytes of all properties together: half of what a manifest may take, since control characters grow there."""

_KEPT = 1 << 16
"""Characters that are kept of a property that is cut. A shorter property is neither cut nor searched for repeats."""


def bounded(properties: dict[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the properties without repeats of long ones, the longest cut if all take too much; and notes on cuts."""
    kept, first = dict[str, str](), dict[str, str]()
    # What OpenSlide derives from other properties comes last, so that it is what repeats.
    for name, text in sorted(properties.items(), key=lambda item: item[0].startswith("openslide.")):
        if len(text) > _KEPT and text in first:
            text = f"[the same as {first[text]}]"
        elif len(text) > _KEPT:
            first[text] = name
        kept[name] = text
    notes = []
    sizes = {name: len(text.encode(errors="replace")) for name, text in kept.items()}
    for name in sorted(first.values(), key=lambda name: -sizes[name]):
        if sum(sizes.values()) < MOST_BYTES:
            break
        length = len(kept[name])
        kept[name] = f"{kept[name][:_KEPT]} [cut: {length} characters in the source]"
        sizes[name] = len(kept[name].encode(errors="replace"))
        notes.append(f"property {name} cut to {_KEPT} of {length} characters")
    return kept, tuple(notes)
