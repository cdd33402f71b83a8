"""Configurations of training: what is wrong with one is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from histocodec.errors import (
    SettingsError,
)
from histocodec.training.config import load_config
from tests.places import REPOSITORY
from tests.training.inputs import config


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schedule__stesp": 3}, "stesp"),
        ({"schedule__steps": "many"}, "schedule.steps"),
        ({"schedule__steps": 0}, "schedule.steps"),
        ({"schedule__restarts": [9]}, "restarts"),
        ({"bases": []}, "bases"),
        ({"bases": [{"codec": "jp2k", "share": 1.0, "quality": [5.0, 30.0]}]}, "quality 5"),
        ({"bases": [{"codec": "webp", "share": 1.0}]}, "webp"),
        ({"data__train": {}}, "data.train"),
        ({"loss": {"pixel": 0.0}}, "all three weights"),
        ({"loss": {"perceptual": 1.0}}, "loss.vgg"),
        ({"augment": {"jpeg_quality": [95, 70]}}, "jpeg_quality"),
        ({"augment": {"noise_levels": [5.0, 1.0]}}, "noise_levels"),
        ({"data__measure": ["train"]}, "trained on as well"),
        ({"loss": {"adversarial": 1.0}, "schedule__crop": 20}, "schedule.crop"),
        ({"name": "a/b"}, "name"),
        ({"licence": "MIT\nfor any use"}, "licence: 1 to 200"),
        ({"generation": 0}, "generation"),
        ({"network__architecture": "unet"}, "unet"),
    ],
)
def test_a_configuration_says_what_is_wrong_with_it(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        config(**changes)


def test_a_configuration_that_is_no_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("name = ")
    for path in (tmp_path / "a.toml", tmp_path / "missing.toml"):
        with pytest.raises(SettingsError, match=path.name):
            load_config(path)


@pytest.mark.parametrize("path", sorted((REPOSITORY / "configs").glob("*.toml")), ids=lambda path: path.stem)
def test_the_configurations_at_hand_are_right(path: Path) -> None:
    settings = load_config(path)
    # A downsampler is trained with a small generator.
    assert settings.name in {path.stem, path.stem.replace("sharp", "small")}
    if settings.licence == "CC BY 4.0":
        assert all(not name.startswith(("train/mon", "train/gbm")) for name in settings.data.train)
