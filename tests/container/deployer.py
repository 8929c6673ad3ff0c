"""Somebody at the host with the single file, and a directory to deploy into."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.container import lab
from tests.container.lab import Host


@dataclass(frozen=True, slots=True)
class Operator:
    """Somebody at that host, with the single file and a directory to deploy into."""

    host: Host
    pyz: Path
    directory: Path

    def bty(
        self, *words: str | Path, check: bool = True, path: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run the single file there; `path` is its PATH."""
        tools = str(Path(lab.podman_compose()).parent)
        path = path or f"{tools}:{os.environ['PATH']}"
        start = ("env", f"PATH={path}", sys.executable, self.pyz)
        return self.host.run(*start, *words, check=check)

    def deploy(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`bty deploy` into the directory."""
        return self.bty("deploy", *words, self.directory, check=check)

    def containers(self) -> list[str]:
        """The ids of all containers there, with when they were started."""
        listed = self.host.podman("ps", "--all", "--format", "{{.ID}} {{.StartedAt}}")
        return sorted(listed.splitlines())

    def named(self, service: str) -> list[str]:
        """The containers of a service."""
        label = f"label=com.docker.compose.service={service}"
        return self.host.podman("ps", "--all", "--quiet", "--filter", label).split()

    def listed(self) -> list[str]:
        """The names in the directory."""
        return sorted(path.name for path in self.directory.iterdir())

    def envvars(self) -> dict[str, str]:
        """What stands in `envvars`."""
        text = (self.directory / "envvars").read_text()
        return dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))

    def written(self) -> dict[str, tuple[bytes, int]]:
        """Every file that bty wrote, with its time."""
        files = [path for path in self.directory.iterdir() if path.is_file()]
        return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}
