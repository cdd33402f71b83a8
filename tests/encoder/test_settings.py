"""Settings of the encoder: what makes no sense is refused."""

from __future__ import annotations

import pytest

from histocodec.encoder import EncodeSettings
from histocodec.encoder.settings import Effort
from histocodec.errors import SettingsError
from histocodec.geometry import Size
from tests.encoder.inputs import square


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"min_psnr_db": 60.0}, "8 bits"),
        ({"min_psnr_db": 5.0}, "10 to 50 dB"),
        ({"roi_psnr_db": 40.0}, "go together"),
        ({"regions": square(Size(10, 10), 1, 1, 2)}, "go together"),
        ({"min_psnr_db": 40.0, "regions": square(Size(10, 10), 1, 1, 2), "roi_psnr_db": 35.0}, "above"),
        ({"enhancement_codec": "av1"}, "nothing to enhance"),
        ({"min_psnr_db": 34.0, "base": "auto"}, "base auto"),
        ({"effort": "none"}, "fast, default, best"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options: dict[str, object], reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        EncodeSettings(**options)  # type: ignore[arg-type]


def test_more_effort_is_a_slower_speed_and_a_larger_base_never_gets_a_slower_one() -> None:
    efforts: tuple[Effort, ...] = ("fast", "default", "best")
    for scale in (2, 4):
        speeds = [EncodeSettings(effort=effort).base_speed(scale) for effort in efforts]
        assert speeds == sorted(set(speeds), reverse=True)
    assert all(
        EncodeSettings(effort=effort).base_speed(2) >= EncodeSettings(effort=effort).base_speed(4) for effort in efforts
    )
