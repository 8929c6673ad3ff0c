"""What the live environment is made of: the lists and scripts of `container/live`."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

from bty_app.domain.artifacts import ARM64, X86_64, live_file
from bty_app.live.patterns import lines

# What a machine needs in all, measured: the archive, unpacked, and room to work.
NEEDED_MIB = 384
SUITE = "bookworm"
NAMED = {"amd64": X86_64, "arm64": ARM64}  # Debian's names of architectures, and those of files
KERNELS = {"amd64": "linux-image-amd64", "arm64": "linux-image-arm64"}
_FILES = resources.files("bty_app.live") / "files"


@dataclass(frozen=True, slots=True)
class Recipe:
    """One build. `ssh_key` is the public key that may log in, if any may."""

    version: str
    arch: str = "amd64"
    suite: str = SUITE
    firmware: bool = False
    ssh_key: str = ""
    fast: bool = False

    def file(self, suffix: str) -> str:
        """The name of a file of the set."""
        return live_file(self.version, suffix, NAMED[self.arch])

    @property
    def packages(self) -> tuple[str, ...]:
        """The Debian packages."""
        more = listed("firmware") if self.firmware else ()
        ssh = ("dropbear-bin",) if self.ssh_key else ()
        return (*listed("packages"), KERNELS[self.arch], *more, *ssh)

    @property
    def kept(self) -> tuple[str, ...]:
        """Patterns of the files that are kept."""
        return (*listed("files"), *(("usr/sbin/dropbear",) if self.ssh_key else ()))


def listed(name: str) -> tuple[str, ...]:
    """The lines of one of the lists."""
    return lines(text(name))


def text(name: str) -> str:
    """One of the files."""
    return (_FILES / name).read_text("utf-8")
