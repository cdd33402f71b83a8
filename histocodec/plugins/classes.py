"""Classes that derive from a host's, built when they are first asked for, as if they stood in their module."""

from __future__ import annotations

from collections.abc import Callable


def on_demand(module: str, builders: dict[str, Callable[[], type]]) -> Callable[[str], type]:
    """Return a `__getattr__` for a module (PEP 562) that builds each of some classes once, by its name."""
    built: dict[str, type] = {}

    def get(name: str) -> type:
        if name not in builders:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        if name not in built:
            built[name] = kind = builders[name]()
            # As of a class that stands there: pickles name it so.
            kind.__module__, kind.__qualname__ = module, name
        return built[name]

    return get
