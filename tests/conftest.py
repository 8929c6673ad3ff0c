"""A server for every test that asks for one."""

from __future__ import annotations

import compileall
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import settings

from tests import places, serving

# How long an example takes says nothing where tests share a machine.
settings.register_profile("bty", deadline=None)
settings.load_profile("bty")

PROGRAM = Path(__file__).parents[1] / "bty_app"
MEMORY = Path("/dev/shm")  # noqa: S108 - below it, each test has a directory of its own


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--screenshots DIR`: where the tests in a browser leave pictures of all pages.
    `--every-kill`: kill an upgrade at each of its points, and not at a few.
    """
    parser.addoption("--screenshots", type=Path, metavar="DIR", help="keep pictures of pages there")
    parser.addoption("--every-kill", action="store_true", help="kill an upgrade at every point")


def pytest_configure() -> None:
    """Compile the program: it writes no bytecode itself, so that each of the many commands that
    tests start would compile it anew, which takes longer than what they do. And have ^C mean
    something: a shell that runs the tests in the background has it ignored.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    compileall.compile_dir(PROGRAM, quiet=1)


@contextmanager
def in_memory() -> Iterator[Path]:
    """A directory in memory where there is one: each write of a database waits for its disk."""
    where = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="bty-test-", dir=where) as path:
        yield Path(path)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Each test begins with the usual umask: the program sets its own, also where a test calls it,
    and what a test writes for other users would be closed to them.
    """
    os.umask(0o022)


@pytest.fixture
def quick_dir() -> Iterator[Path]:
    """A directory in memory."""
    with in_memory() as path:
        yield path


@pytest.fixture
def server(quick_dir: Path) -> Iterator[serving.Site]:
    """A server with an image, a kernel and an initrd, and no machines."""
    with serving.site(quick_dir / "state") as site:
        yield site


@pytest.fixture
def own_tempdir() -> Iterator[None]:
    """The HTTP worker points `tempfile` at its spool directory; put it back."""
    before = tempfile.tempdir
    yield
    tempfile.tempdir = before


@pytest.fixture(scope="session")
def s3() -> Iterator[places.S3]:
    """A server that speaks S3, with one bucket for all tests: each takes a prefix of its own."""
    with tempfile.TemporaryDirectory(prefix="bty-s3-") as path, places.s3_server(Path(path)) as at:
        yield at


@pytest.fixture(scope="session")
def dav() -> Iterator[places.Dav]:
    """A WebDAV server for all tests: each takes a folder of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="bty-dav") as path,
        places.dav_server(Path(path)) as at,
    ):
        yield at
