"""Classes that are built on demand."""

from __future__ import annotations

import pickle
import sys
from types import ModuleType

import pytest

from histocodec.plugins.classes import on_demand


def test_a_class_is_built_once_under_the_name_of_its_module(monkeypatch: pytest.MonkeyPatch) -> None:
    built = []

    def build() -> type:
        class Reader:
            """Something."""

        built.append(Reader)
        return Reader

    module = ModuleType("a_module_of_a_host")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    module.__getattr__ = on_demand(module.__name__, {"Reader": build})  # type: ignore[method-assign]
    assert not built
    again = pickle.loads(pickle.dumps(module.Reader()))
    assert type(again) is module.Reader
    assert len(built) == 1
    with pytest.raises(AttributeError, match="'a_module_of_a_host' has no attribute 'Writer'"):
        _ = module.Writer
