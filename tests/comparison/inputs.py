"""What the tests of comparisons share."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np

from histocodec.geometry import Image


def psnr_db(a: Image, b: Image) -> float:
    mse = np.mean((a.astype(np.float64) - b) ** 2)
    return 100.0 if mse == 0 else float(20 * np.log10(255) - 10 * np.log10(mse))


class Page(HTMLParser):
    """Tags, attributes and text; asserts that every tag is closed where it should be."""

    VOID = frozenset({"meta", "img"})

    def __init__(self, report: bytes) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(report.decode("utf-8"))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)

    @property
    def said(self) -> str:
        return " ".join(" ".join(self.text).split())
