"""bty as a single file of this host, run by systemd."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bty_app.deploy import answers
from bty_app.deploy.host_files import HostFiles
from bty_app.deploy.stack import Condition, Done, Release
from bty_app.deploy.systemd import Unit
from bty_app.errors import ConfigError, InvalidInputError, StorageError


@dataclass(frozen=True, slots=True)
class HostStack:
    """A `Stack`. `url` is where it answers on this host; `offered` the file of a newer release."""

    files: HostFiles
    service: Unit
    state_dir: Path
    url: str
    offered: Path | None

    def current(self) -> Release:
        return self.files.current()

    def changes(self, version: str) -> str:
        link, named = self.files.link, self.files.named(version)
        return f"{link} -> {named.name} (now {Path(self.current().reference).name})"

    def fetch(self, version: str) -> Release:
        if self.offered is None:
            raise InvalidInputError("--pyz FILE: say which file is the new release")
        self.files.keep_current()
        return self.files.add(self.offered, version)

    def run(self, release: Release, words: Sequence[str]) -> Done:
        """As the owner of the state directory, so that its files stay the service's own."""
        environment = {
            **os.environ,
            **self.service.environment(),
            "BTY_PATHS_STATE_DIR": str(self.state_dir),
            "BTY_AT": "",
        }
        try:
            done = subprocess.run(  # noqa: S603 - a release of ours
                [self.files.python, str(self.files.path_of(release)), *words],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                cwd="/",
                env=environment,
                **self._owner(),
            )
        except OSError as error:
            raise ConfigError(f"bty {release.version} cannot be run: {error.strerror}") from error
        return Done(done.returncode, done.stdout, done.stderr)

    def install(self, release: Release) -> None:
        self.files.choose(release)

    def stop(self) -> None:
        self.service.stop()

    def start(self) -> None:
        self.service.start()

    def condition(self) -> Condition:
        return self.service.condition()

    def said(self) -> str:
        return self.service.journal()

    def ready(self) -> str:
        return answers.ready(self.url, self.current().version)

    def _owner(self) -> dict[str, Any]:
        if os.geteuid() != 0:
            return {}
        try:
            found = self.state_dir.stat()
        except OSError as error:
            raise StorageError(f"{self.state_dir}: cannot be read: {error.strerror}") from error
        if found.st_uid == 0:
            return {}
        return {"user": found.st_uid, "group": found.st_gid, "extra_groups": []}
