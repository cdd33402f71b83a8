"""Makes the golden files that are not there yet, and writes down the digests of what they decode to.

    python -m tests.golden.make                 # those that are missing; what is there stays as it is
    python -m tests.golden.make --anew NAME ... # replaces these: only for a fault of the file itself

Each file made wants a line in formats/container/v1/CHANGELOG.md, which is printed; without it a test fails.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from PIL import ImageCms

from histocodec.demo.synthetic import tissue, write_slide
from histocodec.encoder import encode
from histocodec.generators.catalogue import load_generator
from histocodec.source import open_source
from tests.golden.digests import FOLDER, INDEX, SUFFIX, digests, sha256, stated
from tests.golden.recipes import RECIPES, Recipe

SEED = 17
"""Of the tissue. What it looks like does not matter here: the files are kept, not made again."""
QUALITY = 80
"""Of the source's JPEG tiles."""


def encoded(recipe: Recipe, path: Path) -> None:
    """Paint a slide, and encode it as a recipe says."""
    with tempfile.TemporaryDirectory() as folder:
        slide = Path(folder) / "slide.tif"
        image = tissue(recipe.size, SEED)
        write_slide(slide, image, jpeg_quality=QUALITY)
        with open_source(slide) as source:
            if recipe.has_all_images:
                source.icc_profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
                source.associated = {
                    "thumbnail": np.ascontiguousarray(image[::8, ::8]),
                    "label": np.ascontiguousarray(image[:80, :100]),
                    "macro": np.ascontiguousarray(image[:200:2, :500:2]),
                }
            generator = None if recipe.generator is None else load_generator(recipe.generator)
            encode(source, path, generator, recipe.settings)


def make(folder: Path, index: dict[str, Any], *, anew: frozenset[str] = frozenset()) -> list[str]:
    """Make what is missing in a folder, and what is to be made anew; return the names. The index is filled in."""
    made = []
    for name, recipe in RECIPES.items():
        path = folder / f"{name}{SUFFIX}"
        if name in index and name not in anew:
            continue
        path.unlink(missing_ok=True)
        encoded(recipe, path)
        index[name] = {
            "holds": recipe.note,
            "sha256": sha256(path.read_bytes()),
            "made_with": f"imagecodecs {imagecodecs.__version__}",
            "decoded": digests(path),
        }
        made.append(name)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anew", nargs="+", default=[], choices=RECIPES, metavar="NAME", help="replace these")
    anew = frozenset(parser.parse_args().anew)
    FOLDER.mkdir(exist_ok=True)
    index = stated()
    made = make(FOLDER, index, anew=anew)
    if made:
        INDEX.write_text(json.dumps({"files": index}, indent=2, ensure_ascii=False) + "\n", "utf-8")
    print("for formats/container/v1/CHANGELOG.md:" if made else "nothing is missing")
    for name in made:
        print(f"`{name}` {index[name]['sha256'][:12]}")


if __name__ == "__main__":
    main()
