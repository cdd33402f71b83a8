"""Archives by a real cluster: on this machine, and over TCP with workers, client and scheduler that are killed."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from histocodec.archive.catalogue import Catalogue
from histocodec.archive.cluster import Cluster
from histocodec.archive.records import Task
from histocodec.archive.run import Ended, Limits, Repeated, run
from histocodec.archive.verification import verify
from histocodec.archive.work import do_task
from histocodec.errors import ClusterError
from histocodec.runtime.digest import sha256_of
from tests.archive.inputs import QUICK, catalogued, lasting, write_slides
from tests.places import REPOSITORY

SLIDES = 8
OPTIONS = ("--recursive", "--codec", "jp2k", "--quality", "32", "--generator", "bicubic-x4")

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="signals of POSIX"),
    # Of a cluster that is killed, or closed while it still talks.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def process(*arguments: object, **more: object) -> subprocess.Popen[str]:
    places = os.pathsep.join([str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])])
    started: subprocess.Popen[str] = subprocess.Popen(
        [sys.executable, "-m", *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": places, "SOURCE_DATE_EPOCH": "1772271000"},
        text=True,
        **more,  # type: ignore[call-overload]
    )
    return started


class Tcp:
    """A scheduler and two workers, each a process, over TCP on loopback."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[str]] = []
        self.start_scheduler()
        self.workers = [self.start_worker(), self.start_worker()]

    def start_scheduler(self) -> None:
        stated = self.folder / f"scheduler-{len(self.processes)}.json"
        self.scheduler = process(
            *("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", 0, "--no-dashboard"),
            *("--no-show", "--scheduler-file", stated),
            stderr=subprocess.DEVNULL,
        )
        self.processes.append(self.scheduler)
        while not stated.exists() or not stated.read_text().endswith("}"):
            assert self.scheduler.poll() is None
            time.sleep(0.1)
        self.address = json.loads(stated.read_text())["address"]

    def start_worker(self) -> subprocess.Popen[str]:
        worker = process(
            *("distributed.cli.dask_worker", self.address, "--nthreads", 1, "--no-nanny", "--no-dashboard"),
            *("--local-directory", self.folder, "--memory-limit", 0, "--death-timeout", 60, "--resources", "SLIDE=1"),
            stderr=subprocess.DEVNULL,
        )
        self.processes.append(worker)
        return worker

    def close(self) -> None:
        for each in self.processes:
            each.kill()
            each.wait()


@pytest.fixture
def tcp(tmp_path: Path) -> Iterator[Tcp]:
    (tmp_path / "dask").mkdir()
    cluster = Tcp(tmp_path / "dask")
    yield cluster
    cluster.close()


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    write_slides(folder, SLIDES)[1].write_text("no slide")
    return folder


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, sources: Path) -> tuple[list[object], dict[str, str]]:
    """Catalogue and files of slides that were encoded here, one after the other."""
    folder = tmp_path_factory.mktemp("expected")
    catalogue, _ = catalogued(folder, sources)
    with catalogue:
        while (row := catalogue.claim()) is not None:
            Path(catalogue.output(row)).parent.mkdir(exist_ok=True)
            output = catalogue.output(row)
            catalogue.finish(
                do_task(Task(number=row["id"], kind="encode", source=row["source"], output=output, choices=QUICK))
            )
        return list(lasting(catalogue)), digests(folder)


def digests(folder: Path) -> dict[str, str]:
    """Every file but the catalogue, hidden ones too."""
    files = (path for path in folder.rglob("*") if path.is_file() and "histocodec-archive" not in path.name)
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def check(folder: Path, expected: tuple[list[object], dict[str, str]]) -> None:
    assert digests(folder) == expected[1]
    with Catalogue.open(folder) as catalogue:
        assert list(lasting(catalogue)) == expected[0]


def test_a_cluster_of_this_machine(
    sources: Path, expected: tuple[list[object], dict[str, str]], tmp_path: Path
) -> None:
    catalogue, _ = catalogued(tmp_path, sources)
    with catalogue, Cluster("local", processes=2) as cluster:
        assert cluster.slots == 4
        told = [*run(catalogue, cluster, Limits(jobs=2))]
        assert sorted(event.row["id"] for event in told if isinstance(event, Ended)) == [*range(1, SLIDES + 1)]
        assert {ended.row["verify_problem"] for ended in verify(catalogue, cluster, Limits())} == {None}
        files = [str(tmp_path / name) for name in expected[1]]
        assert dict(cluster.each(sha256_of, files)) == {str(tmp_path / name): sha for name, sha in expected[1].items()}
        (failed,) = [result for _, result in cluster.each(sha256_of, ["/none"])]
        assert isinstance(failed, FileNotFoundError)
    check(tmp_path, expected)


def test_a_worker_is_killed(
    tcp: Tcp, sources: Path, expected: tuple[list[object], dict[str, str]], tmp_path: Path
) -> None:
    catalogue, _ = catalogued(tmp_path / "archive", sources)
    ended: list[int] = []
    with catalogue, Cluster(tcp.address, resources={"SLIDE": 1}) as cluster:
        for event in run(catalogue, cluster, Limits(cores=None)):
            assert not isinstance(event, Repeated), "the scheduler gives it to the other worker"
            if isinstance(event, Ended):
                ended.append(event.row["id"])
                if len(ended) == 2:
                    tcp.workers[0].send_signal(signal.SIGKILL)
    assert sorted(ended) == [*range(1, SLIDES + 1)], "none is done twice"
    check(tmp_path / "archive", expected)


def test_the_client_is_killed(
    tcp: Tcp, sources: Path, expected: tuple[list[object], dict[str, str]], tmp_path: Path
) -> None:
    command = ("histocodec", "archive", sources, "--to", tmp_path / "archive", *OPTIONS, "--scheduler", tcp.address)
    with process(*command, stderr=subprocess.PIPE) as client:
        assert client.stderr is not None
        for line in client.stderr:
            if line.startswith("2 of "):
                break
        client.kill()
    with process(*command, stderr=subprocess.PIPE) as client:
        _, err = client.communicate()
    assert client.returncode == 3, err
    check(tmp_path / "archive", expected)
    told = process("histocodec", "validate", tmp_path / "archive", "--recursive", "--scheduler", tcp.address, "--json",
                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    out, err = told.communicate()
    assert told.returncode == 0, err
    assert sorted(len(each["problems"]) for each in json.loads(out)) == [0] * (SLIDES - 1)
    told = process("histocodec", "decode", tmp_path / "archive", "--recursive", "--scheduler", tcp.address,
                   "--output-dir", tmp_path / "decoded", "--level", 1, stdout=subprocess.PIPE)  # fmt: skip
    assert len(told.communicate()[0].splitlines()) == SLIDES - 1
    assert len([*(tmp_path / "decoded").rglob("*.tif")]) == SLIDES - 1


def test_the_scheduler_is_killed(
    tcp: Tcp, sources: Path, expected: tuple[list[object], dict[str, str]], tmp_path: Path
) -> None:
    catalogue, _ = catalogued(tmp_path / "archive", sources)
    with catalogue, Cluster(tcp.address) as cluster:
        told = run(catalogue, cluster, Limits(cores=None))
        while not (isinstance(event := next(told), Ended) and event.row["state"] == "done"):
            pass
        tcp.scheduler.kill()
        with pytest.raises(ClusterError, match="the scheduler of the cluster is gone"):
            list(told)
    with Catalogue.open(tmp_path / "archive") as catalogue:
        assert catalogue.count("running") == 0
        assert catalogue.count("waiting") > 0
    for worker in tcp.workers:
        worker.kill()
    tcp.start_scheduler()
    tcp.start_worker()
    catalogue, _ = catalogued(tmp_path / "archive", sources)
    with catalogue, Cluster(tcp.address) as cluster:
        assert [event for event in run(catalogue, cluster, Limits(cores=None)) if isinstance(event, Ended)]
    check(tmp_path / "archive", expected)


def test_sources_and_files_by_url(sources: Path, expected: tuple[list[object], dict[str, str]], tmp_path: Path) -> None:
    """Workers fetch the slide, and send the file; the catalogue is the client's alone."""
    (tmp_path / "archive").mkdir()
    with Catalogue.create(tmp_path / "archive") as catalogue:
        catalogue.keep_files(f"file://{tmp_path}/far")
    command = ("histocodec", "archive", f"file://{sources}/", "--to", tmp_path / "archive", *OPTIONS)
    with process(*command, "--scheduler", "local", stderr=subprocess.PIPE) as client:
        _, err = client.communicate()
    assert client.returncode == 3, err
    assert digests(tmp_path / "far") == expected[1]
    beside = {path.name for path in (tmp_path / "archive").iterdir()}
    assert beside <= {"histocodec-archive.sqlite", ".histocodec-archive.lock"}


def test_no_scheduler_there() -> None:
    with pytest.raises(ClusterError, match="no scheduler of a cluster at nonsense"):
        Cluster("nonsense://127.0.0.1")
