"""Build the single file: `python3 build_zipapp.py` makes `dist/bty.pyz`.

Needs a bare Python >= 3.11 with pip, nothing else. Third-party wheels are those of
`container/wheels.lock`, by hash, fetched with pip from wherever pip is configured to look, and
kept in `dist/wheels/`. The same tree built twice by the same Python gives the same bytes.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - the first thing a newcomer runs
    sys.exit("build_zipapp.py needs Python 3.11 or newer: run it with python3.11 (or newer).")

import argparse
import base64
import hashlib
import json
import lzma
import os
import re
import subprocess
import time
import tomllib
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parent
LOCK = ROOT / "container" / "wheels.lock"
CACHE = ROOT / "dist" / "wheels"

PURE = ("falcon", "jinja2", "tomli_w", "urllib3", "waitress")
# No pure wheel exists: any wheel has the Python source beside its optional extension.
HALF_PURE = ("markupsafe",)
NATIVE = "apsw"
PYTHONS = ("311", "312", "313", "314")
MACHINES = ("x86_64", "aarch64")
LIBCS = {"gnu": ("manylinux_2_17", "manylinux_2_28", "manylinux2014"), "musl": ("musllinux_1_2",)}

# Parts of the packages that a server or a flasher never imports.
UNUSED = re.compile(
    r"^(falcon/(bench|cmd|cyutil|testing|asgi|inspect\.py)|urllib3/contrib/(emscripten|pyopenssl)"
    r"|waitress/tests)\b"
)
# sysexits.h: UNAVAILABLE, CONFIG, DATAERR, IOERR
UNREACHABLE, UNUSABLE, DAMAGED, UNWRITABLE = 69, 78, 65, 74

Task = TypeVar("Task")
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold

TOP = """\
import sys

sys.dont_write_bytecode = True
if sys.version_info < (3, 11):
    sys.stderr.write(
        "bty needs Python 3.11 or newer and this is %d.%d:"
        " run it as `python3.11 bty.pyz`, or with any newer one.\\n"
        % sys.version_info[:2]
    )
    sys.exit(78)
for minor in MINORS:
    if sys.version_info[1] == minor:
        sys.path.insert(0, sys.path[0] + "/python3%d" % minor)

from bty_app.__main__ import run

run()
"""

# Runs in each interpreter whose bytecode goes in: {name: source} to {name: bytecode}. The hash in
# the header is never checked again (PEP 552): the source lies in the same zip.
COMPILE = """
import base64, importlib.util, json, marshal, sys
def compiled(name, text):
    source = base64.b64decode(text)
    code = compile(source, name, "exec", dont_inherit=True, optimize=0)
    head = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little")
    body = head + importlib.util.source_hash(source) + marshal.dumps(code)
    return base64.b64encode(body).decode()
sources = json.load(sys.stdin)
json.dump([sys.version_info[1], {n: compiled(n, t) for n, t in sources.items()}], sys.stdout)
"""


@dataclass(frozen=True, slots=True, order=True)
class Wheel:
    """One line of the lock."""

    name: str
    version: str
    file: str
    sha256: str

    @property
    def python(self) -> str:
        """The CPython a compiled wheel is for: `312`; empty for a pure one."""
        tag = self.file.split("-")[-3]
        return tag.removeprefix("cp") if tag.startswith("cp") else ""

    @property
    def platforms(self) -> list[str]:
        """The platform tags: `manylinux_2_28_x86_64`…"""
        return self.file.removesuffix(".whl").split("-")[-1].split(".")

    @property
    def target(self) -> str:
        """Machine and C library of a compiled wheel: `x86_64-linux-gnu`."""
        machine = next(m for m in MACHINES if self.platforms[0].endswith(m))
        return f"{machine}-linux-{'musl' if self.platforms[0].startswith('musl') else 'gnu'}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the zip."""

    name: str
    body: bytes
    stored: bool = False


class BuildError(Exception):
    """What stops the build: an exit status and one line."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


# The lock and the wheels -------------------------------------------------------------------------


def read_lock() -> list[Wheel]:
    """The wheels of the lock file, sorted."""
    lines = (line.split("#")[0].split() for line in LOCK.read_text("utf-8").splitlines())
    try:
        return sorted(Wheel(*words) for words in lines if words)
    except TypeError as error:
        raise BuildError(
            DAMAGED, f"{LOCK}: each line is name, version, wheel and sha256; see --update-lock."
        ) from error


def fetch(wheels: Iterable[Wheel]) -> None:
    """Have each of `wheels` in the cache with the locked content; pip fetches what is missing."""
    missing = [wheel for wheel in wheels if digest(CACHE / wheel.file) != wheel.sha256]
    if not missing:
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    groups: dict[tuple[str, str], list[Wheel]] = {}
    for wheel in missing:
        (CACHE / wheel.file).unlink(missing_ok=True)
        groups.setdefault((wheel.python, wheel.target) if wheel.python else ("", ""), []).append(
            wheel
        )
    if ("", "") in groups and len(groups) > 1:  # pure wheels fit any group: one start of pip less
        pure = groups.pop(("", ""))
        next(iter(groups.values())).extend(pure)
    in_parallel(pip_download, list(groups.values()))
    for wheel in missing:
        if digest(CACHE / wheel.file) != wheel.sha256:
            raise BuildError(
                DAMAGED, f"{wheel.file}: what pip fetched is not what {LOCK.name} names."
            )


def pip_download(wheels: Sequence[Wheel]) -> None:
    """Fetch `wheels`, all of one Python and platform, into the cache with one start of pip."""
    compiled = next((wheel for wheel in wheels if wheel.python), None)
    wanted = "".join(f"{w.name}=={w.version} --hash=sha256:{w.sha256}\n" for w in wheels)
    name = f"{compiled.python}-{compiled.target}" if compiled else "pure"
    requirements = CACHE / f"{name}.txt"
    requirements.write_text(wanted, "utf-8")
    tags = ["--implementation", "py", "--abi", "none", "--platform", "any"]
    if compiled:
        platforms = sorted({tag for wheel in wheels if wheel.python for tag in wheel.platforms})
        tags = tags_for(compiled.python, platforms)
    pip([*tags, "--require-hashes", "--dest", str(CACHE), "-r", str(requirements)])
    requirements.unlink()


def tags_for(python: str, platforms: Iterable[str]) -> list[str]:
    """pip's options that choose a compiled wheel of another Python and platform."""
    tags = ["--implementation", "cp", "--python-version", python, "--abi", f"cp{python}"]
    return tags + [word for platform in platforms for word in ("--platform", platform)]


def pip(arguments: Sequence[str]) -> None:
    """Run `pip download` with the user's own configuration, wheels only."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    command += ["download", "--quiet", "--no-deps", "--only-binary=:all:", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if "No module named pip" in done.stderr:
        raise BuildError(
            UNUSABLE,
            f"{sys.executable} has no pip, which fetches the wheels. Install it"
            " (Debian: apt-get install python3-pip; elsewhere: python3 -m ensurepip), or build"
            " with another Python.",
        )
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["?"]
        raise BuildError(
            UNREACHABLE,
            f"pip could not fetch the wheels ({said[-1]}). Check the network and `python3 -m pip"
            " config list`, and start again; what was fetched is kept in dist/wheels.",
        )


def update_lock() -> None:
    """Write the lock anew with the newest versions of the same packages."""
    fresh = CACHE / "newest"
    fresh.mkdir(parents=True, exist_ok=True)
    for old in fresh.iterdir():
        old.unlink()
    to_fresh = ["--dest", str(fresh)]
    calls = [["--implementation", "py", "--abi", "none", "--platform", "any", *to_fresh, *PURE]]
    for python in PYTHONS:
        for libc, prefixes in LIBCS.items():
            for machine in MACHINES:
                names = [NATIVE]
                if (python, libc, machine) == (PYTHONS[0], "gnu", MACHINES[0]):
                    names += HALF_PURE
                platforms = [f"{prefix}_{machine}" for prefix in prefixes]
                calls.append([*tags_for(python, platforms), *to_fresh, *names])
    in_parallel(pip, calls)
    wheels = sorted(wheel_of(path) for path in fresh.iterdir())
    if len({wheel.version for wheel in wheels if wheel.name == NATIVE}) != 1:
        raise BuildError(
            UNREACHABLE, f"the newest {NATIVE} is not there for every platform yet; try later."
        )
    head = "# Wheels of the single file: name, version, wheel, sha256. Written by\n"
    head += "# `python3 build_zipapp.py --update-lock`; read the difference before you commit it.\n"
    lines = (f"{w.name} {w.version} {w.file} {w.sha256}\n" for w in wheels)
    LOCK.write_text(head + "".join(lines), "utf-8")
    for wheel in wheels:
        (fresh / wheel.file).replace(CACHE / wheel.file)
    fresh.rmdir()
    print(f"{LOCK.relative_to(ROOT)}: {len(wheels)} wheels")


def wheel_of(path: Path) -> Wheel:
    """The lock's line for a wheel on disk."""
    name, version = path.name.split("-")[:2]
    return Wheel(name.lower(), version, path.name, digest(path) or "")


def digest(path: Path) -> str | None:
    """The SHA-256 of a file, None when there is none."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def in_parallel(work: Callable[[Task], object], tasks: Sequence[Task]) -> None:
    """Do `work` for each task, several at once; the first failure is raised."""
    with ThreadPoolExecutor((os.cpu_count() or 1) + 1) as pool:
        try:
            for _ in pool.map(work, tasks):
                pass
        except BuildError:
            pool.shutdown(cancel_futures=True)
            raise


# What goes into the file -------------------------------------------------------------------------


def own_files() -> Iterator[Entry]:
    """Our package: its Python, and the data that pyproject.toml names."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]["bty_app"]
    package = ROOT / "bty_app"
    paths = {path for pattern in ("**/*.py", *patterns) for path in package.glob(pattern)}
    for path in sorted(paths):
        if path.is_file() and "__pycache__" not in path.parts:
            yield Entry(path.relative_to(ROOT).as_posix(), path.read_bytes())
    for path in sorted(ROOT.glob("LICENSE*")):
        yield Entry(f"licenses/bty/{path.name}", path.read_bytes())


def package_files(wheel: Wheel) -> Iterator[Entry]:
    """The Python of a third-party package, without what is never imported, and its licences."""
    with zipfile.ZipFile(CACHE / wheel.file) as archive:
        for name in archive.namelist():
            licence = re.search(r"\.dist-info/(?:.*/)?((?:LICEN[CS]E|COPYING|NOTICE)[^/]*)$", name)
            if licence:
                yield Entry(f"licenses/{wheel.name}/{licence[1]}", archive.read(name))
            elif wheel.name != NATIVE and name.endswith(".py") and not UNUSED.match(name):
                yield Entry(name, archive.read(name))


def native_files(wheels: Sequence[Wheel]) -> tuple[list[Entry], dict[str, dict[str, object]]]:
    """APSW's extensions in packs, and the manifest's rows for them by extension suffix.

    The commonest platform starts fastest: its builds lie one by one, unpacked in 15 ms. Those of
    the others, nearly the same SQLite four times, share a solid pack: a third of the size, 65 to
    145 ms to unpack.
    """
    entries: list[Entry] = []
    rows: dict[str, dict[str, object]] = {}
    solid: dict[str, bytes] = {}
    for wheel in wheels:
        suffix, body = extension(wheel)
        if wheel.target == "x86_64-linux-gnu" or len(wheels) == 1:
            pack, offset = f"native/apsw{suffix}", 0
            entries.append(Entry(pack, body))
        else:
            pack = f"native/apsw-{wheel.target}.xz"
            offset = len(solid.setdefault(pack, b""))
            solid[pack] += body
        sha256 = hashlib.sha256(body).hexdigest()
        rows[suffix] = {"pack": pack, "offset": offset, "size": len(body), "sha256": sha256}
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        packed = pool.map(packed_once, solid.values())
        entries += [
            Entry(name, body, stored=True) for name, body in zip(solid, packed, strict=True)
        ]
    return entries, rows


def packed_once(body: bytes) -> bytes:
    """`body` as xz; kept beside the wheels, since packing takes longer than all the rest."""
    kept = CACHE / f"{hashlib.sha256(body).hexdigest()}.xz"
    if not kept.is_file():
        temporary = kept.with_suffix(f".{os.getpid()}")
        temporary.write_bytes(lzma.compress(body, preset=7))
        temporary.replace(kept)
    return kept.read_bytes()


def extension(wheel: Wheel) -> tuple[str, bytes]:
    """The extension in a wheel of APSW: its suffix, which names Python, machine and libc."""
    with zipfile.ZipFile(CACHE / wheel.file) as archive:
        for name in archive.namelist():
            if name.startswith("apsw/__init__.") and name.endswith(".so"):
                return name.removeprefix("apsw/__init__"), archive.read(name)
    raise BuildError(DAMAGED, f"{wheel.file} has no apsw/__init__.*.so in it.")


def compiled(python: str, sources: Sequence[Entry]) -> tuple[int, list[Entry]]:
    """The bytecode of `sources` by the interpreter `python`, and its minor version."""
    task = {entry.name: base64.b64encode(entry.body).decode() for entry in sources}
    command = [python, "-S", "-c", COMPILE]
    # Without randomness and the user's environment, bytecode depends on the sources alone.
    done = subprocess.run(  # noqa: S603
        command,
        input=json.dumps(task),
        env={"PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BuildError(
            UNUSABLE, f"{python} cannot compile our sources: {done.stderr.strip()[-300:]}"
        )
    minor, bodies = json.loads(done.stdout)
    return minor, [
        Entry(f"{name}c", base64.b64decode(body), stored=True) for name, body in bodies.items()
    ]


def contents(wheels: Sequence[Wheel], pythons: Sequence[str]) -> list[Entry]:
    """Every file of the zip.

    The first Python's bytecode lies beside the sources, that of a further one in a tree of its
    own with the data files, since a package's data is looked for beside its code.
    """
    packages = [entry for wheel in wheels if wheel.name != NATIVE for entry in package_files(wheel)]
    natives = [wheel for wheel in wheels if wheel.name == NATIVE]
    packages += package_files(natives[0])
    own = list(own_files())
    sources = [entry for entry in (*packages, *own) if entry.name.endswith(".py")]
    entries, minors = [*packages, *own], []
    for position, python in enumerate(pythons):
        minor, bytecode = compiled(python, sources)
        prefix = f"python3{minor}/" if position else ""
        data = [e for e in own if not e.name.endswith(".py") and e.name.startswith("bty_app/")]
        entries += [
            Entry(prefix + entry.name, entry.body, entry.stored)
            for entry in (*bytecode, *(data if position else ()))
        ]
        minors.append(minor)
    builds, rows = native_files(natives)
    entries += builds
    entries.append(Entry("native/manifest.json", manifest(wheels, rows, minors)))
    entries.append(Entry("__main__.py", TOP.replace("MINORS", repr(tuple(minors[1:]))).encode()))
    return sorted(entries, key=lambda entry: entry.name)


def manifest(wheels: Iterable[Wheel], rows: Mapping[str, object], minors: Iterable[int]) -> bytes:
    """What the file is made of, for the loader, for people and for scanners."""
    facts = {
        "builds": dict(sorted(rows.items())),
        "bytecode": [f"3.{minor}" for minor in minors],
        "wheels": [asdict(wheel) for wheel in wheels],
    }
    return json.dumps(facts, indent=1, sort_keys=True).encode()


def write(entries: Iterable[Entry], output: Path) -> None:
    """Make the executable zip at `output`; it appears whole or not at all."""
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(b"#!/usr/bin/env python3\n")
            with zipfile.ZipFile(file, "w") as archive:
                for entry in entries:
                    add(archive, entry)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o755)
        temporary.replace(output)
    finally:
        temporary.unlink(missing_ok=True)


def add(archive: zipfile.ZipFile, entry: Entry) -> None:
    """Append one entry, with nothing in it of when and by whom it was made."""
    info = zipfile.ZipInfo(entry.name, EPOCH)
    info.create_system = 3  # Unix
    info.external_attr = 0o100644 << 16
    kind = zipfile.ZIP_STORED if entry.stored else zipfile.ZIP_DEFLATED
    archive.writestr(info, entry.body, kind, compresslevel=None if entry.stored else 9)


# The command -------------------------------------------------------------------------------------


def summary(output: Path, wheels: Sequence[Wheel], seconds: float) -> str:
    """Size and content, as printed at the end."""
    sizes: dict[str, tuple[int, int]] = {}
    with zipfile.ZipFile(output) as archive:
        for info in archive.infolist():
            part = part_of(info.filename)
            packed, plain = sizes.get(part, (0, 0))
            sizes[part] = (packed + info.compress_size, plain + info.file_size)
    versions = {wheel.name: wheel.version for wheel in wheels}
    rows = ((part, versions.get(part, ""), *sizes[part]) for part in sorted(sizes))
    lines = [
        f"  {part:46} {version:9} {packed / 1e3:8,.0f} kB  (plain {plain / 1e3:8,.0f} kB)"
        for part, version, packed, plain in rows
    ]
    total = f"{output}: {output.stat().st_size / 1e6:.2f} MB in {seconds:.1f} s"
    return "\n".join([*lines, f"  sha256 {digest(output)}", total])


def part_of(name: str) -> str:
    """The line of the summary that an entry counts under."""
    first, _, rest = name.partition("/")
    if first == "native":
        return f"native/{rest}"
    return "bytecode" if name.endswith(".pyc") else first


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Build the single file, dist/bty.pyz.")
    parser.add_argument(
        "--native",
        choices=("all", "host"),
        default="all",
        help="SQLite for every platform, or quick and small: for this interpreter alone",
    )
    parser.add_argument("--output", type=Path, default=ROOT / "dist" / "bty.pyz", metavar="PATH")
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="EXE",
        help="another Python whose bytecode goes in, so that it starts as fast as this one;"
        " any Python >= 3.11 works without",
    )
    parser.add_argument(
        "--update-lock",
        action="store_true",
        help="write container/wheels.lock anew with the newest versions, and build nothing",
    )
    return parser.parse_args()


def chosen(lock: Sequence[Wheel], native: str) -> list[Wheel]:
    """The wheels that the file is made of."""
    if native == "all":
        return list(lock)
    # The suffix is that of an extension: `.cpython-312-x86_64-linux-gnu.so`.
    host = EXTENSION_SUFFIXES[0].removesuffix(".so")
    return [
        wheel
        for wheel in lock
        if wheel.name != NATIVE or host == f".cpython-{wheel.python}-{wheel.target}"
    ]


def build(options: argparse.Namespace) -> None:
    """Make the file that the options describe and say what is in it."""
    started = time.monotonic()
    wheels = chosen(read_lock(), options.native)
    if not any(wheel.name == NATIVE for wheel in wheels):
        raise BuildError(
            UNUSABLE,
            f"the lock has no SQLite build for this Python ({EXTENSION_SUFFIXES[0]});"
            " build with --native all, or with CPython 3.11 to 3.14.",
        )
    fetch(wheels)
    write(contents(wheels, [sys.executable, *options.python]), options.output)
    print(summary(options.output, wheels, time.monotonic() - started))


def main() -> int:
    """Do what the command line says; the exit status."""
    options = arguments()
    try:
        if options.update_lock:
            update_lock()
        else:
            build(options)
    except BuildError as error:
        print(f"build_zipapp.py: {error}", file=sys.stderr)
        return error.status
    except OSError as error:
        print(f"build_zipapp.py: cannot read or write: {error}", file=sys.stderr)
        return UNWRITABLE
    return 0


if __name__ == "__main__":
    sys.exit(main())
