"""What is stopped in the middle: commands that write, each on small files that are made once."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from histocodec.demo.synthetic import tissue, write_slide
from histocodec.geometry import Size

from .children import run

ENCODE = ("--base", "10x", "--codec", "jp2k", "--generator", "bicubic-x4", "--ratio", "4", "--workers", "1")
FLOOR = ("--base", "10x", "--codec", "jp2k", "--generator", "bicubic-x4", "--quality", "34", "--workers", "1")
WHOLE = (*FLOOR, "--min-psnr", "30", "--keep-original")
RUN = ("--base", "10x", "--codec", "jp2k", "--generator", "bicubic-x4", "--quality", "32", "--keep-original")
MATERIAL = "{material}"
"""In arguments: the folder of the material, where an archive knows its slides to be."""


@dataclass(frozen=True)
class Command:
    """A command, its inputs, and what is under the names of its outputs before."""

    name: str
    of: str
    """What it is counted with."""
    arguments: tuple[str, ...]
    inputs: tuple[str, ...]
    """Files and folders that it reads, of the material."""
    before: dict[str, str] = field(default_factory=dict)
    """Material that is under the name of an output before."""
    has_worker: bool = False
    """True if a process that it starts does the work."""

    def words(self, material: Path) -> tuple[str, ...]:
        """Return the arguments."""
        return tuple(word.replace(MATERIAL, str(material)) for word in self.arguments)

    def prepare(self, material: Path, folder: Path) -> None:
        """Lay out a folder in which it can be run."""
        lay_out(material, folder, self.inputs)
        self.lay_before(material, folder)

    def lay_before(self, material: Path, folder: Path) -> None:
        """Put what is under the names of its outputs before."""
        for name, old in self.before.items():
            copy(material / old, folder / name)


def _over(output: str, old: str) -> dict[str, str]:
    return {f"out/{output}": old}


COMMANDS = (
    Command("encode", "encode", ("encode", "slide.tif", "-o", "out/a.hc.tif", *ENCODE), ("slide.tif",)),
    Command(
        "encode, all layers, over another",
        "encode",
        ("encode", "slide.tif", "-o", "out/a.hc.tif", *WHOLE, "--overwrite", "--log", "out/log.txt"),
        ("slide.tif",),
        _over("a.hc.tif", "other.hc.tif"),
    ),
    Command(
        "encode, several files",
        "encode",
        ("encode", "other.dcm/level-0.dcm", "-o", "out/a.hc.tif", *ENCODE, "--keep-original"),
        ("other.dcm",),
    ),
    Command(
        "enhance",
        "enhance",
        ("enhance", "small.hc.tif", "whole.hc.tif", "out/a.hc.tif"),
        ("small.hc.tif", "whole.hc.tif"),
    ),
    Command(
        "enhance, over another",
        "enhance",
        ("enhance", "small.hc.tif", "whole.hc.tif", "out/a.hc.tif", "--overwrite"),
        ("small.hc.tif", "whole.hc.tif"),
        _over("a.hc.tif", "other.hc.tif"),
    ),
    Command("strip", "strip", ("strip", "whole.hc.tif", "out/a.hc.tif"), ("whole.hc.tif",)),
    Command(
        "strip, over another",
        "strip",
        ("strip", "whole.hc.tif", "out/a.hc.tif", "--tier", "reconstructed", "--overwrite"),
        ("whole.hc.tif",),
        _over("a.hc.tif", "other.hc.tif"),
    ),
    Command("restore", "restore", ("restore", "whole.hc.tif", "out/slide.tif"), ("whole.hc.tif",)),
    Command(
        "restore, over another",
        "restore",
        ("restore", "whole.hc.tif", "out/slide.tif", "--overwrite"),
        ("whole.hc.tif",),
        _over("slide.tif", "other.tif"),
    ),
    Command("restore, several files", "restore", ("restore", "set.hc.tif", "out/set.dcm"), ("set.hc.tif",)),
    Command("archive", "archive", ("archive", "run", "slides", "--to", "out", *RUN), ("slides",)),
    Command(
        "archive, its processes",
        "archive",
        ("archive", "run", "slides", "--to", "out", *RUN),
        ("slides",),
        has_worker=True,
    ),
    Command(
        "archive, another slide",
        "archive",
        ("archive", "run", f"{MATERIAL}/slides", "--to", "out", *RUN, "--log", "out/log.jsonl"),
        (),
        {"out": "archived"},
    ),
    Command("archive restore", "archive", ("archive", "restore", "archived", "--to", "out", "--all"), ("archived",)),
    Command(
        "archive export",
        "archive",
        ("archive", "export", "archived", "--to", "out", "--tier", "reconstructed"),
        ("archived",),
    ),
    Command("archive verify", "archive", ("archive", "verify", "out"), (), {"out": "archived"}),
    Command("decode to TIFF", "decode", ("decode", "whole.hc.tif", "out/a.tif", "--workers", "1"), ("whole.hc.tif",)),
    Command(
        "decode to OME-TIFF, over another",
        "decode",
        ("decode", "whole.hc.tif", "out/a.ome.tif", "--workers", "1", "--overwrite"),
        ("whole.hc.tif",),
        _over("a.ome.tif", "other.ome.tif"),
    ),
    Command("decode to PNG", "decode", ("decode", "whole.hc.tif", "out/a.png", "--workers", "1"), ("whole.hc.tif",)),
    Command(
        "decode to OME-Zarr",
        "decode",
        ("decode", "whole.hc.tif", "out/a.zarr", "--workers", "1"),
        ("whole.hc.tif",),
    ),
    Command(
        "decode to OME-Zarr, over another",
        "decode",
        ("decode", "whole.hc.tif", "out/a.zarr", "--workers", "1", "--overwrite"),
        ("whole.hc.tif",),
        _over("a.zarr", "other.zarr"),
    ),
    Command(
        "decode to DICOM, over another",
        "decode",
        ("decode", "whole.hc.tif", "out/a.dcm", "--workers", "1", "--overwrite"),
        ("whole.hc.tif",),
        _over("a.dcm", "other.dcm"),
    ),
    Command("models export", "other", ("models", "export", "out/models", "jp2k-x4"), ()),
    Command(
        "quality",
        "other",
        ("quality", "whole.hc.tif", "out/a.png", "--overwrite"),
        ("whole.hc.tif",),
        _over("a.png", "other.tif"),
    ),
    Command(
        "preview",
        "other",
        (
            "preview",
            "slide.tif",
            "-o",
            "out/a.png",
            "--ratio",
            "8",
            "--codec",
            "jp2k",
            "--generator",
            "bicubic-x4",
            "--workers",
            "1",
        ),
        ("slide.tif",),
    ),
)


def lay_out(material: Path, folder: Path, inputs: tuple[str, ...]) -> None:
    """Lay out a folder: for outputs, for temporary files, and inputs under their own names."""
    for name in ("out", "tmp"):
        (folder / name).mkdir(parents=True)
    for name in inputs:
        copy(material / name, folder / name)


def make_material(folder: Path) -> None:
    """Make the inputs of all commands. Raises RuntimeError if a command fails that nobody disturbs."""
    folder.mkdir()
    (folder / "tmp").mkdir()
    for name, seed in (("slide.tif", 7), ("other.tif", 8)):
        write_slide(folder / name, tissue(Size(300, 270), seed))
    (folder / "slides").mkdir()
    for seed in range(3):
        write_slide(folder / "slides" / f"{seed}.tif", tissue(Size(264, 240), seed))

    def done(*arguments: str) -> None:
        ended = run(folder, arguments)
        if ended.code:
            raise RuntimeError(f"{' '.join(arguments)}: {ended.code}: {ended.said}")

    done("encode", "slide.tif", "-o", "whole.hc.tif", *WHOLE)
    done("encode", "other.tif", "-o", "other.hc.tif", *ENCODE)
    done("strip", "whole.hc.tif", "small.hc.tif", "--tier", "reconstructed")
    for name in ("other.ome.tif", "other.zarr", "other.dcm"):
        done("decode", "other.hc.tif", name)
    done("decode", "small.hc.tif", "another.dcm")
    done("encode", "other.dcm/level-0.dcm", "-o", "set.hc.tif", *ENCODE, "--keep-original")
    done("archive", "run", str(folder / "slides"), "--exclude", "2.tif", "--to", "archived", *RUN)


def copy(path: Path, to: Path) -> None:
    """Copy a file or a folder, with its times; a folder into one that is there."""
    to.parent.mkdir(exist_ok=True)
    if path.is_dir():
        shutil.copytree(path, to, dirs_exist_ok=True)
    else:
        shutil.copy2(path, to)
