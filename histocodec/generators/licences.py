"""What the licence of a network's weights permits."""

from __future__ import annotations

import re

ANY_USE = "any use"

_FREE = ("Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "CC0", "CC0-1.0", "CC-BY-3.0", "CC-BY-4.0")
"""Licences that permit any use, the commercial as well, as SPDX names them."""


def use_of(licence: str) -> str:
    """Return in a few words what weights under a licence may be used for.

    Only a name that is known here counts as `ANY_USE`: a sentence, or a name of one's own, has to be read.

    Examples:
        >>> use_of("CC BY 4.0"), use_of("CC BY-NC-SA 4.0"), use_of("internal")
        ('any use', 'non-commercial use only', 'only as that licence permits')
    """
    if _as_compared(licence) in map(_as_compared, _FREE):
        return ANY_USE
    return "non-commercial use only" if re.search(r"\bNC\b", licence) else "only as that licence permits"


def _as_compared(licence: str) -> str:
    """Return a name as it is compared: Creative Commons and SPDX set spaces and hyphens otherwise."""
    return licence.replace("-", " ").casefold()
