"""Makes an environment of programs that read slides: `python tests/plugins/environment.py FOLDER [--all]`.

It lies on top of the one that runs this: what that has is not installed again, and what the programs need in other
versions does not disturb it. Without --all it has what is small: programs that call OpenSlide (pipelines.txt) and
OpenSlide's own examples; with it, in about 1 GB, also the programs that have plug-ins (hosts.txt).
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tarfile
import venv
from pathlib import Path

HERE = Path(__file__).parent
OPENSLIDE = "openslide-python==1.4.7"
"""Whose source distribution has the examples."""


def main(folder: Path, lists: list[str]) -> None:
    venv.create(folder, with_pip=True, clear=True)
    python = str(interpreter(folder))
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = subprocess.run([python, "-c", where], check=True, capture_output=True, text=True).stdout.strip()
    Path(packages, "below.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    # Their dependencies are in the lists: some programs declare narrower ranges than what they run with.
    wanted = [argument for name in lists for argument in ("-r", str(HERE / name))]
    subprocess.run([*pip, "install", "--no-deps", *wanted], check=True)
    sources = folder / "sources"
    subprocess.run([*pip, "download", "--no-deps", "--no-binary", ":all:", "-d", str(sources), OPENSLIDE], check=True)
    for archive in sources.glob("*.tar.gz"):
        with tarfile.open(archive) as files:
            files.extractall(sources, filter="data")


def interpreter(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


if __name__ == "__main__":
    main(Path(sys.argv[1]), ["pipelines.txt", *(["hosts.txt"] if "--all" in sys.argv else [])])
