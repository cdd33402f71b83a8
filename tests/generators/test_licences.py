"""What licences permit: only names that are known permit any use."""

from __future__ import annotations

import pytest

from histocodec.generators.catalogue import shipped_packages
from histocodec.generators.licences import ANY_USE, use_of


@pytest.mark.parametrize("licence", ["Apache-2.0", "CC BY 4.0", "CC-BY-4.0", "cc0-1.0", "MIT"])
def test_any_use(licence: str) -> None:
    assert use_of(licence) == ANY_USE


@pytest.mark.parametrize("licence", ["CC BY-NC-SA 4.0", "CC-BY-NC-4.0", "CC BY NC 3.0"])
def test_non_commercial(licence: str) -> None:
    assert use_of(licence) == "non-commercial use only"


@pytest.mark.parametrize("licence", ["internal", "CC BY-SA 4.0", "CC BY-ND 4.0", "GPL-3.0", "MIT, but for Mondays", ""])
def test_what_is_not_known_is_never_free(licence: str) -> None:
    assert use_of(licence) == "only as that licence permits"


def test_every_licence_that_ships_is_known() -> None:
    for package in (*shipped_packages().values(), *shipped_packages("downsampler").values()):
        assert use_of(package.card.licence) in (ANY_USE, "non-commercial use only")
