"""Import APSW, a C extension, from inside the single file, with or without a writable disk.

Python cannot load a shared object out of a zip. The finder below answers `import apsw`, and acts
only then: a command without a database unpacks nothing. It climbs a ladder: an installed apsw
that is new enough, a sealed memory file, a file under the state directory, one line that says
what is missing.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import stat
import sys
import zipimport
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

from bty_app.errors import BtyError, ConfigError

FLOOR = (3, 51, 3)
"""The oldest SQLite we run on: its WAL-reset repair. APSW's own version starts with SQLite's."""

_MANIFEST = "native/manifest.json"
_PIP = "install apsw >= 3.51.3 for this Python (python3 -m pip install apsw)"
_READ_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Build:
    """One compiled extension inside the file: `size` bytes at `offset` of the entry `pack`."""

    pack: str
    offset: int
    size: int
    sha256: str


class ApswFinder(MetaPathFinder):
    """Finds `apsw`; `state_dir` is where the second rung may keep a copy.

    `read` gives the bytes of an entry of the single file.
    """

    def __init__(self, read: Callable[[str], bytes]) -> None:
        self._read = read
        self.state_dir: Path | None = None

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the import system's signature
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """The spec of an installed apsw that is new enough, else of ours.

        Raises:
            ConfigError: this file carries no build for the running Python.
        """
        if fullname != "apsw":
            return None
        installed = _installed()
        if installed is not None:
            return installed
        build = choose(json.loads(self._read(_MANIFEST)), EXTENSION_SUFFIXES)
        loader = ApswLoader(build, self._read, self.state_dir or default_state_dir())
        # APSW is a package by name; none of its Python parts are in the file.
        return ModuleSpec("apsw", loader, origin=build.pack, is_package=True)


class ApswLoader(Loader):
    """Loads one verified build by the first rung that the host allows."""

    def __init__(self, build: Build, read: Callable[[str], bytes], state_dir: Path) -> None:
        self._build = build
        self._read = read
        self._folder = state_dir / "native"

    def create_module(self, spec: ModuleSpec) -> ModuleType:  # noqa: ARG002
        """The extension's module.

        Raises:
            ConfigError: no rung holds; the sentence says why each did not.
        """
        body = unpacked(self._build, self._read)
        refused = []
        for rung, load in (("a memory file", self._in_memory), (str(self._folder), self._on_disk)):
            try:
                return load(body)
            except (OSError, ImportError, BtyError) as error:
                refused.append(f"{rung}: {error}")
        raise ConfigError(
            f"SQLite for {EXTENSION_SUFFIXES[0].strip('.')} cannot be loaded from"
            f" {'; nor from '.join(refused)}. Allow memfd_create and mount /proc,"
            f" or make the state directory writable and executable, or {_PIP}."
        )

    def exec_module(self, module: ModuleType) -> None:
        """Run what the extension does on import."""
        ExtensionFileLoader("apsw", str(module.__file__)).exec_module(module)

    def _in_memory(self, body: bytes) -> ModuleType:
        if not hasattr(os, "memfd_create"):  # a Python built against an old libc
            raise OSError("this Python has no memfd_create")
        descriptor = os.memfd_create("apsw", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            _write_all(descriptor, body)
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals | fcntl.F_SEAL_SEAL)
            # glibc knows a loaded object by its path: the descriptor stays open for the life of
            # the process, so that its number never stands for another file.
            return _created(f"/proc/self/fd/{descriptor}")
        except BaseException:
            os.close(descriptor)
            raise

    def _on_disk(self, body: bytes) -> ModuleType:
        # Only this rung needs it: a start from memory is spared the import.
        from bty_app.store.publish import publish_file

        _private_folder(self._folder)
        path = self._folder / f"{self._build.sha256}.so"
        if _content(path) != body:
            publish_file(path, body)
        return _created(str(path))


def install() -> None:
    """Answer `import apsw` from the single file; nothing when the code runs from a folder."""
    loader = globals().get("__loader__")
    if not isinstance(loader, zipimport.zipimporter) or _finder() is not None:
        return

    def read(name: str) -> bytes:
        return loader.get_data(f"{loader.archive}/{name}")

    sys.meta_path.insert(0, ApswFinder(read))


def use_state_dir(state_dir: Path) -> None:
    """Say where the state directory is, once the configuration is read."""
    finder = _finder()
    if finder is not None:
        finder.state_dir = state_dir


def choose(manifest: Mapping[str, object], suffixes: Sequence[str]) -> Build:
    """The build for the interpreter whose extension suffixes are given.

    Raises:
        ConfigError: there is none.
    """
    builds = manifest["builds"]
    if not isinstance(builds, Mapping):
        raise ConfigError("native/manifest.json in the program is not ours; download bty again.")
    for suffix in suffixes:
        if suffix in builds:
            return Build(**builds[suffix])
    tags = ", ".join(sorted(suffix.strip(".").removesuffix(".so") for suffix in builds))
    raise ConfigError(
        f"This file has no SQLite build for {suffixes[0].strip('.').removesuffix('.so')}"
        f" (it has {tags}); run it with one of those, or {_PIP}."
    )


def unpacked(build: Build, read: Callable[[str], bytes]) -> bytes:
    """The extension's bytes, compared with the manifest.

    Raises:
        ConfigError: they differ, or this Python lacks `lzma` to unpack them.
    """
    data = read(build.pack)
    if build.pack.endswith(".xz"):
        data = _decompressed(data, build.offset + build.size)
    body = data[build.offset : build.offset + build.size]
    if hashlib.sha256(body).hexdigest() != build.sha256:
        raise ConfigError(f"{build.pack} in the program is damaged; download bty again.")
    return body


def default_state_dir() -> Path:
    """Where state is kept when no configuration was read (SPEC 2)."""
    configured = os.environ.get("BTY_PATHS_STATE_DIR")
    if configured:
        return Path(configured)
    system = Path("/var/lib/bty")
    if os.access(system if system.exists() else system.parent, os.W_OK):
        return system
    home = os.environ.get("XDG_STATE_HOME") or Path("~/.local/state").expanduser()
    return Path(home) / "bty"


def new_enough(version: str) -> bool:
    """Whether an APSW `version` brings an SQLite at or over `FLOOR`; unreadable is no."""
    parts = version.split(".")[:3]
    if not all(part.isdecimal() for part in parts):
        return False
    return tuple(int(part) for part in parts) >= FLOOR


def _finder() -> ApswFinder | None:
    return next((finder for finder in sys.meta_path if isinstance(finder, ApswFinder)), None)


def _installed() -> ModuleSpec | None:
    spec = PathFinder.find_spec("apsw")
    if spec is None or spec.origin is None:
        return None
    # Slow to import, and wanted only where an apsw is installed.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return spec if new_enough(version("apsw")) else None
    except PackageNotFoundError:
        return None


def _created(path: str) -> ModuleType:
    loader = ExtensionFileLoader("apsw", path)
    spec = ModuleSpec("apsw", loader, origin=path)
    module = loader.create_module(spec)
    module.__file__ = path
    return module


def _decompressed(data: bytes, size: int) -> bytes:
    try:
        import lzma  # an optional part of Python, and needed for some platforms only
    except ImportError as error:
        raise ConfigError(f"This Python has no lzma module to unpack SQLite; {_PIP}.") from error
    # A pack holds the builds of all Pythons one after the other: stop behind the wanted one.
    return lzma.LZMADecompressor().decompress(data, max_length=size)


def _write_all(descriptor: int, body: bytes) -> None:
    left = memoryview(body)
    while left:
        left = left[os.write(descriptor, left) :]


def _private_folder(folder: Path) -> None:
    """Make `folder`, or make sure that nobody but us can have put a file there."""
    with contextlib.suppress(FileExistsError):  # what is there is judged below
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise PermissionError(f"{folder} is not a directory that only we can write to")


def _content(path: Path) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:  # missing, or a link: replaced either way
        return None
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor
        return file.read()
