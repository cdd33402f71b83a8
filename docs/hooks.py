"""What the site takes from outside docs/: pages, the files that pages link to, and a page of the API for each room.

Links stay as they are in the repository, so that they also work where it is browsed. Here they are turned into links
within the site, and what they lead to is taken along, under `repository/` if it has no place of its own.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"

PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "RELEASE.md": "release.md",
    "SECURITY.md": "security.md",
    "README.md": "start.md",
    "benchmarks/NOTES.md": "benchmarks/notes.md",
    "benchmarks/README.md": "benchmarks/index.md",
    "formats/container/v1/CHANGELOG.md": "format/changelog.md",
    "formats/container/v1/golden/README.md": "format/golden.md",
    "formats/container/v1/rationale.md": "format/rationale.md",
    "formats/container/v1/spec.md": "format/spec.md",
    "formats/container/v1/vectors/README.md": "format/vectors.md",
}
"""Places in the site of files of the repository."""

_TARGET = re.compile(r'(?<=\]\()[^)\s]+(?=\))|(?<=src=")[^"]+(?=")|(?<=href=")[^"]+(?=")')
_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
_CODE = re.compile(r"(^```.*?^```|`[^`\n]+`)", re.DOTALL | re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from elsewhere, the pages of the API, and everything that a page links to."""
    for name, uri in PAGES.items():
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / name)))
    for room, modules in _rooms().items():
        files.append(File.generated(config, f"api/{room}.md", content=_api_page(room, modules)))
    waiting = [file for file in files if file.is_documentation_page() and file.abs_src_path]
    while waiting:
        page = waiting.pop()
        for path in _linked(Path(page.abs_src_path or "")):
            uri = _uri(path)
            if files.get_file_from_path(uri) is None:
                file = File.generated(config, uri, abs_src_path=str(path))
                files.append(file)
                if file.is_documentation_page():
                    waiting.append(file)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links within the repository into links within the site; a link to a folder becomes its text."""
    source = page.file.abs_src_path
    if source is None:
        return markdown
    here, folder = Path(source).parent, os.path.dirname(page.file.src_uri)  # noqa: PTH120

    def target(match: re.Match[str]) -> str:
        path, anchor = _resolved(here, match[0])
        return match[0] if path is None else os.path.relpath(_uri(path), folder or ".") + anchor

    def unlinked(match: re.Match[str]) -> str:
        path = here / match[2]
        return match[1] if path.is_dir() and _resolved(here, match[2])[0] is None else match[0]

    parts = _CODE.split(markdown)  # every second one is code
    parts[::2] = [_TARGET.sub(target, _LINK.sub(unlinked, part)) for part in parts[::2]]
    return "".join(parts)


def _linked(page: Path) -> Iterator[Path]:
    """Yield the files of the repository that a page links to."""
    for part in _CODE.split(page.read_text("utf-8"))[::2]:
        for link in _TARGET.findall(part):
            path, _ = _resolved(page.parent, link)
            if path is not None:
                yield path


def _resolved(folder: Path, link: str) -> tuple[Path | None, str]:
    """Return the file that a link leads to, None if it is none of the repository's, and the link's anchor."""
    name, mark, anchor = link.partition("#")
    if not name or ":" in name:
        return None, ""
    path = (folder / name).resolve()
    if path.is_dir():
        path /= "README.md"
    return (path if path.is_file() and path.is_relative_to(ROOT) else None), mark + anchor


def _uri(path: Path) -> str:
    """Return a file's place in the site."""
    name = path.relative_to(ROOT).as_posix()
    if path.is_relative_to(DOCS):
        return path.relative_to(DOCS).as_posix()
    return PAGES.get(name, f"repository/{name}")


def _rooms() -> dict[str, list[str]]:
    """Return the modules of each room, those whose name begins with an underscore left out."""
    package = ROOT / "histocodec"
    rooms: dict[str, list[str]] = {}
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
        parts = name.removesuffix(".__init__").split(".")
        if len(parts) > 1 and not any(part.startswith("_") for part in parts):
            room = parts[1] if (package / parts[1]).is_dir() else "root"
            rooms.setdefault(room, []).append(".".join(parts))
    return rooms


def _api_page(room: str, modules: list[str]) -> str:
    title = "The root" if room == "root" else room.capitalize()
    return f"# {title}\n\n" + "\n".join(
        f"::: {module}\n    options: {{ heading_level: 2, show_root_full_path: true }}\n" for module in modules
    )
