"""What a file says of itself, kept within bounds: a description can be larger than the slide."""

from __future__ import annotations

MOST_BYTES = 8_000_000
"""Of all properties together: half of what a manifest may take, since control characters grow there."""

_KEPT = 1 << 16
"""Characters of a property that is cut; a shorter one is not, and not looked at twice."""


def bounded(properties: dict[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The properties without long ones repeated, the longest cut if all together take too much; and notes on both."""
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
