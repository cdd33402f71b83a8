"""The tasks of the project: `nox -l` lists them, `nox -s lint types` runs two, `nox` runs what a change must pass.

They run in the environment that nox itself runs in (`pip install -c constraints.txt -e '.[dev]'`): nothing is
installed, and no internet is needed, but for `hosts`, which makes an environment of its own.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import nox

nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "types", "layers", "docs", "tests"]


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, docstrings and format; `nox -s lint -- --fix` mends what can be mended."""
    session.run("ruff", "check", *session.posargs, ".")
    session.run("ruff", "format", *([] if "--fix" in session.posargs else ["--check"]), ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check all types, strictly."""
    session.run("mypy", *session.posargs)


@nox.session
def layers(session: nox.Session) -> None:
    """Check that imports point down, and that heavy libraries stay in their rooms."""
    session.run("lint-imports")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests and the examples in docstrings; what follows `--` goes to pytest."""
    session.run("pytest", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site into site/, warnings being errors; `nox -s docs -- serve` shows it while it is written."""
    session.run("mkdocs", *(session.posargs or ["build"]), env={"NO_MKDOCS_2_WARNING": "1"})


@nox.session
def reference(session: nox.Session) -> None:
    """Write docs/cli.md anew from the commands."""
    session.run("python", "docs/command_line.py", env={"PYTHONPATH": "."})


@nox.session
def vectors(session: nox.Session) -> None:
    """Hold reader and second decoder to the vectors, and the vectors to what makes them."""
    session.run("pytest", "tests/format/conformance", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Give every reader inputs that nobody would write, for a minute; `nox -s fuzz -- --seconds 28800` for a night."""
    session.run("python", "-m", "tests.fuzz", *session.posargs)


@nox.session
def hosts(session: nox.Session) -> None:
    """Test programs that read slides, and plug-ins, in an environment of 1 GB: .nox/hosts, made if it is not there."""
    folder = Path(".nox/hosts").absolute()
    if not folder.is_dir():
        session.run("python", "tests/plugins/environment.py", str(folder), "--all")
    session.run("pytest", "tests/plugins", *session.posargs, env={"HISTOCODEC_HOSTS": str(folder)})


@nox.session
def demo(session: nox.Session) -> None:
    """Run the demonstration in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        session.run("histocodec", "demo", "-o", f"{folder}/demo.png")
