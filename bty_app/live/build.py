"""Builds the live environment: kernel, initrd and manifest, as a set of netboot artifacts."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bty_app.client_zip import client_files, client_zip
from bty_app.errors import NotFoundError, StorageError, UnavailableError
from bty_app.live import cpio, modules
from bty_app.live.recipe import NEEDED_MIB, Recipe, listed, text
from bty_app.live.tree import Tree
from bty_app.store.directories import disk_failures

TOOLS = {
    "mmdebstrap": "mmdebstrap",
    "depmod": "kmod",
    "zstd": "zstd",
}
SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))
_HOME = "usr/lib/bty"
_EMPTY = ("dev", "etc", "proc", "root", "run", "sys", "tmp", "var", "usr/lib/bty/bin")
_PASSWD = b"root:*:0:0:root:/root:/bin/sh\n"
_GROUPS = ("root", "tty", "disk", "kmem", "dialout", "cdrom", "tape", "video", "audio", "input")

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Built:
    """A set in a directory. Sizes are bytes: of the kernel, of the initrd, and unpacked."""

    directory: Path
    version: str
    kernel_bytes: int
    initrd_bytes: int
    unpacked_bytes: int


def build(recipe: Recipe, directory: Path, scratch: Path, say: Say) -> Built:
    """Make the set in `directory`, which is there and empty; `scratch` is for what lies between.

    Raises:
        NotFoundError: a program is missing; the sentence says which package has it.
        StorageError: the disk does not take it.
        UnavailableError: the packages cannot be fetched.
    """
    _check_tools()
    root = scratch / "root"
    say(f"fetching and unpacking the packages of {recipe.suite} for {recipe.arch}")
    _unpack(recipe, root)
    with disk_failures(directory):
        return _assemble(recipe, Tree(root), directory, scratch, say)


def _assemble(recipe: Recipe, tree: Tree, directory: Path, scratch: Path, say: Say) -> Built:
    release = next((tree.root / "usr/lib/modules").iterdir()).name
    say(f"choosing what is kept, for the kernel {release}")
    compiled = _compiled(tree.root, scratch)
    kept = tree.kept(recipe.kept, listed("dropped"))
    python = [path for path in kept if path in compiled]
    entries = [
        *tree.entries(path for path in kept if path not in compiled),
        *(cpio.Entry(f"{path}c", cpio.FILE, compiled[path]) for path in python),
        *_modules(tree.root, release, scratch, _level(recipe)),
        *_own(recipe, tree.root, scratch),
    ]
    archive = list(cpio.with_directories(entries))
    # The kernel unpacks in this order: without the last file it did not have the room.
    archive.append(cpio.Entry(f"{_HOME}/last", cpio.FILE))
    initrd = directory / recipe.file("initrd")
    say("packing the initrd")
    unpacked = _pack(archive, initrd, _level(recipe))
    kernel = directory / recipe.file("vmlinuz")
    shutil.copyfile(next((tree.root / "boot").glob("vmlinuz-*")), kernel)
    lines = (f"{_sha256(path)}  {path.name}\n" for path in (kernel, initrd))
    (directory / recipe.file("sha256")).write_text("".join(lines), "ascii")
    sizes = (kernel.stat().st_size, initrd.stat().st_size)
    return Built(directory, recipe.version, *sizes, unpacked)


def _check_tools() -> None:
    for program, package in TOOLS.items():
        if shutil.which(program) is None:
            raise NotFoundError(f"the program {program} is missing: apt-get install {package}")
    version = ["depmod", "--version"]
    said = subprocess.run(version, capture_output=True, text=True, check=False)  # noqa: S603
    if "+ZSTD" not in said.stdout:
        raise NotFoundError(
            "the program depmod of this system reads no modules packed with zstd: build on a newer"
            " system (Debian 12, Ubuntu 22.04 or later)"
        )


def _unpack(recipe: Recipe, root: Path) -> None:
    sources = next((path for path in SOURCES if path.exists()), None)
    if sources is None:
        raise NotFoundError("there are no sources of Debian packages below /etc/apt")
    mode = "root" if os.geteuid() == 0 else "unshare"
    command = [
        *("mmdebstrap", f"--mode={mode}", "--variant=extract", f"--architectures={recipe.arch}"),
        f"--include={','.join(recipe.packages)}",
        "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
        *(recipe.suite, str(root), str(sources)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith(("E:", "W:"))]
        why = "; ".join(said[:3]) or done.stderr.strip()[-300:]
        raise UnavailableError(f"the packages cannot be unpacked: {why}")


def _compiled(root: Path, scratch: Path) -> dict[str, bytes]:
    """Python's library and the client as bytecode, by the paths of their sources.

    The guest's own interpreter compiles. Where this machine cannot run it, ours does, if it is of
    the same version: bytecode is the same for every architecture. Else the sources go in.
    """
    client = scratch / "client"
    for name, data in client_files():
        path = client / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    target = root / _HOME / "client"
    shutil.copytree(client, target)
    library = next((root / "usr/lib").glob("python3.*"))
    loader = next((root / "usr/lib").glob("*-linux-gnu/ld-linux-*"))
    guest = (str(loader), "--library-path", str(loader.parent), f"{root}/usr/bin/{library.name}")
    compiling = (
        *("-B", "-m", "compileall", "-b", "-q", "-j", "2"),
        *("--invalidation-mode", "unchecked-hash", "-s", str(root), str(library), str(target)),
    )
    environment = {"PATH": os.environ.get("PATH", "")}
    home = {"PYTHONHOME": str(root / "usr")}
    try:
        _run_quietly((*guest, *compiling), environment | home)
    except OSError:
        if library.name != f"python{sys.version_info.major}.{sys.version_info.minor}":
            return {}
        _run_quietly((sys.executable, "-I", *compiling), environment)
    found = {}
    for path in (*library.rglob("*.pyc"), *target.rglob("*.pyc")):
        if path.parent.name != "__pycache__":
            found[path.relative_to(root).as_posix().removesuffix("c")] = path.read_bytes()
    return found


def _run_quietly(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """What it says is of no interest: some files of the library are for tests, and do not compile.

    Raises:
        OSError: this machine cannot run it.
    """
    subprocess.run(command, env=environment, capture_output=True, check=False)  # noqa: S603


def _modules(root: Path, release: str, scratch: Path, level: str) -> Iterator[cpio.Entry]:
    """The chosen kernel modules, and the indexes that `modprobe` reads.

    Each is packed by itself: a machine unpacks the few that it loads, and not all of them, which
    were most of the archive, before its first program runs.
    """
    base = root / "usr/lib/modules" / release
    kernel = base / "kernel"
    paths = sorted(path.relative_to(kernel).as_posix() for path in kernel.rglob("*.ko*"))
    stage = scratch / "modules" / "lib" / "modules" / release

    def needed(path: str) -> tuple[str, ...]:
        return modules.needs((kernel / path).read_bytes())

    for path in modules.closure(paths, listed("modules"), needed):
        target = stage / "kernel" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(kernel / path, target)
    _zstd_each(sorted(str(path) for path in stage.rglob("*.ko")), level)
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        shutil.copyfile(base / name, stage / name)
    _run(["depmod", "-b", str(scratch / "modules"), release])
    for file in sorted(stage.rglob("*")):
        if file.is_file():
            name = f"usr/lib/modules/{release}/{file.relative_to(stage).as_posix()}"
            yield cpio.Entry(name, cpio.FILE, file.read_bytes())


def _zstd_each(files: Sequence[str], level: str) -> None:
    at_once = os.cpu_count() or 1
    shares = filter(None, (files[n::at_once] for n in range(at_once)))
    commands = (["zstd", "-q", "-T1", "--rm", level, *share] for share in shares)
    with ThreadPoolExecutor(at_once) as pool:
        for _ in pool.map(_run, commands):
            pass


def _own(recipe: Recipe, root: Path, scratch: Path) -> Iterator[cpio.Entry]:
    """What no package has: our scripts, the client, and the few files that programs expect."""
    yield from (cpio.Entry(name, cpio.DIRECTORY) for name in _EMPTY)
    # The kernel opens it before anything is mounted.
    yield cpio.Entry("dev/console", cpio.CONSOLE, device=(5, 1))
    yield cpio.Entry("init", cpio.PROGRAM, text("init").encode())
    yield cpio.Entry("usr/bin/sh", cpio.LINK, b"busybox")
    yield cpio.Entry(f"{_HOME}/media", cpio.PROGRAM, text("media").encode())
    yield cpio.Entry("usr/bin/bty", cpio.PROGRAM, text("bty").encode())
    yield cpio.Entry(f"{_HOME}/udhcpc", cpio.PROGRAM, text("udhcpc").encode())
    digest = hashlib.sha256(client_zip()).hexdigest()
    yield cpio.Entry(f"{_HOME}/client.sha256", cpio.FILE, f"{digest}\n".encode())
    told = f"VERSION={recipe.version}\nNEEDED_MIB={NEEDED_MIB}\n"
    yield cpio.Entry(f"{_HOME}/release", cpio.FILE, told.encode())
    yield cpio.Entry("etc/passwd", cpio.FILE, _PASSWD)
    groups = "".join(f"{name}:x:{number}:\n" for number, name in enumerate(_GROUPS))
    yield cpio.Entry("etc/group", cpio.FILE, groups.encode())
    if recipe.ssh_key:
        yield cpio.Entry("root/.ssh", 0o40700)
        yield cpio.Entry("root/.ssh/authorized_keys", 0o100600, f"{recipe.ssh_key}\n".encode())
    if not (scratch / "client").exists():
        return
    target = root / _HOME / "client"
    for path in sorted(target.rglob("*.py*")):
        name = path.relative_to(root).as_posix()
        if path.suffix == ".pyc" or not path.with_suffix(".pyc").exists():
            yield cpio.Entry(name, cpio.FILE, path.read_bytes())


def _level(recipe: Recipe) -> str:
    return "-3" if recipe.fast else "-19"


def _pack(entries: Sequence[cpio.Entry], path: Path, level: str) -> int:
    """Write the archive compressed; return its size unpacked."""
    command = ["zstd", "-q", "-f", "-T0", level, "-o", str(path)]
    size = 0
    with subprocess.Popen(command, stdin=subprocess.PIPE) as packer:  # noqa: S603
        assert packer.stdin is not None  # noqa: S101 - asked for
        for part in cpio.archive(entries):
            packer.stdin.write(part)
            size += len(part)
        packer.stdin.close()
        if packer.wait():
            raise StorageError(f"{path}: zstd cannot write it")
    return size


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise StorageError(f"{command[0]} failed: {done.stderr.strip()[-300:]}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
