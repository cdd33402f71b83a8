"""Every module of the package has its tests where a stranger looks for them: in the file of its room and name.

`histocodec/format/zstd.py` is tested by `tests/format/test_zstd.py`, `source/_dicom.py` by `source/test_dicom.py`.
`TOGETHER` has the modules that are tested with others, because only together they do what can be looked at.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.places import REPOSITORY

PACKAGE, TESTS = REPOSITORY / "histocodec", REPOSITORY / "tests"
DOORS = {"__init__.py", "__main__.py", "version.py"}
"""What a package shows of its modules; `test_front_door.py` looks at them."""
TOGETHER = {
    "archive/test_catalogue.py": ("archive/choices", "archive/schema", "archive/summary"),
    "archive/test_discovery.py": ("source/_sets",),
    "archive/test_export.py": ("archive/originals", "archive/selecting"),
    "archive/test_page.py": ("archive/tables",),
    # Processes that work on one archive: what each of them does is seen in the catalogue.
    "archive/test_run.py": (
        *("archive/forecast", "archive/lock", "archive/pool", "archive/verification", "archive/worker"),
    ),
    "archive/test_archive.py": ("archive/journal",),
    "archive/test_cluster.py": ("archive/executor", "archive/staging"),
    "archive/test_work.py": ("archive/records",),
    "cli/test_many.py": ("cli/archive", "cli/archive_lines", "cli/archive_results", "cli/checksum"),
    # A command is what is typed: its options, its sentences and its exit code.
    "cli/test_commands.py": (
        "cli/encode",
        "cli/encoding_options",
        "cli/preview",
        "cli/decode",
        "cli/inspect",
        "cli/info",
        "cli/models",
        "cli/options",
        "cli/root",
    ),
    "cli/test_console.py": ("cli/running", "cli/demo", "cli/engines", "cli/learn"),
    "cli/test_files.py": ("cli/tiers",),
    # Parts of a picture, or of a page.
    "comparison/test_pictures.py": ("comparison/heatmap", "comparison/sheet"),
    "comparison/test_compare.py": ("comparison/exact",),
    "comparison/test_page.py": ("comparison/template",),
    "demo/test_synthetic.py": tuple(
        f"demo/synthetic/{name}"
        for name in ("cells", "exposure", "glands", "oval", "slab", "slide", "textures", "vessels")
    ),
    # Stages that hand a slide on: what they do is seen in the file.
    "encoder/test_pipeline.py": tuple(
        f"encoder/{name}"
        for name in ("base_coding", "coded_slide", "contents", "extras", "job", "notes", "overhead", "plan", "report")
    ),
    "encoder/test_kept_original.py": ("encoder/source_segments",),
    "encoder/test_enhance.py": ("encoder/block_floors", "encoder/blocks", "encoder/bounding"),
    "encoder/test_floor_budget.py": ("encoder/rest_loss",),
    "generators/test_downsamplers.py": ("generators/catalogue", "generators/network_resampler"),
    "generators/test_package.py": ("generators/self_test",),
    # Engines are one function of pixels to whoever calls them.
    "generators/engines/test_bits.py": (
        "generators/engines/numpy_engine",
        "generators/engines/openvino_engine",
    ),
    # What the bytes mean is tested on bytes: vectors, damage, and the specification's tables.
    "format/conformance/test_container_vectors.py": (
        "validation",
        *(
            f"format/{name}"
            for name in (
                *("associated", "bigtiff", "directories", "layers", "parts", "tiff_keywords", "writer"),
                *("original", "original_pixels", "original_writing"),
            )
        ),
    ),
    "format/conformance/test_container_spec.py": ("format/manifest", "format/manifest_rules", "format/tags"),
    "views/test_dispatch.py": ("source/as_stored",),
    "views/test_mount.py": ("cli/mount",),
    "views/test_export.py": ("format/descriptions", "views/levels", "views/picture", "views/writers/tiff"),
    "views/test_coded_levels.py": ("views/level_tiles",),
    # What OME-Zarr says is the same on a disk and without one, and so is what a missing library gets.
    "views/writers/test_ome_zarr.py": ("views/ngff",),
    "views/test_zarr_store.py": ("views/zarr_view",),
    "views/test_formats.py": ("views/extras",),
    "views/writers/test_ome_tiff.py": ("views/writers/ome_xml",),
    "views/writers/test_dicom.py": ("views/writers/dicom_header",),
    # Readers are one function to a user, `open_source`.
    "source/test_source.py": tuple(
        f"source/_{name}" for name in ("decoded", "flat", "levels", "opening", "reader", "tiff", "tiled")
    ),
    "source/test_vendors.py": ("source/_files", "source/_ome", "source/_openslide"),
    "source/test_pictures.py": ("source/_directories",),
    "source/test_codestreams.py": ("source/_codestream", "source/_segments"),
    # Protocols, and what holds for all that is closed: nothing happens there.
    "pixels/test_downsample.py": ("pixels/resampler",),
    "runtime/test_remote_file.py": ("runtime/transports",),
    "runtime/test_resources.py": ("runtime/progress",),
    # What confines a process is seen from within it.
    "runtime/test_sandbox.py": ("runtime/confinement", "runtime/sandboxed"),
    "runtime/test_scratch.py": ("runtime/closing",),
    "training/data/test_entropy.py": ("training/figures",),
    "training/test_launch.py": ("training/trainer", "training/packaging", "training/calibration"),
}
"""Test file -> modules that have none of their own."""


def own_test(module: str) -> str:
    room, _, name = module.rpartition("/")
    return f"{room}/test_{name.lstrip('_')}.py".lstrip("/")


MODULES = [
    path.relative_to(PACKAGE).with_suffix("").as_posix()
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.name not in DOORS
]
ELSEWHERE = {module: test for test, modules in TOGETHER.items() for module in modules}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_a_test_file(module: str) -> None:
    own, other = (TESTS / own_test(module)).is_file(), ELSEWHERE.get(module)
    assert own or other, f"{module}: add tests/{own_test(module)}, or name in TOGETHER what tests it"
    assert not (own and other), f"{module} has a test file of its own: take it out of TOGETHER"


def test_what_stands_elsewhere_is_there() -> None:
    assert [test for test in TOGETHER if not (TESTS / test).is_file()] == []
    assert set(ELSEWHERE) <= set(MODULES)
    assert len(ELSEWHERE) == sum(map(len, TOGETHER.values()))


def test_tests_stand_in_rooms_that_exist() -> None:
    rooms = {path.parent.relative_to(TESTS) for path in TESTS.rglob("test_*.py")}
    beside = {Path("benchmarks"), Path("crash"), Path("format/conformance"), Path("fuzz"), Path("golden")}
    assert [room for room in rooms - beside if not (PACKAGE / room).is_dir()] == []
