"""bty as a single file of this host, run by systemd."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bty_app.deploy.host_files import HostFiles
from bty_app.deploy.host_service import HostService
from bty_app.deploy.stack import Condition, Done, Release
from bty_app.errors import ConfigError, InvalidInputError, StorageError

_ASK_SECONDS = 10.0
_MOST_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class HostStack:
    """A `Stack`. `url` is where it answers on this host; `offered` the file of a newer release."""

    files: HostFiles
    service: HostService
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

    def ready(self) -> str:
        installed = self.current().version
        try:
            status, said = self._asked("/readyz")
            if status != http.client.OK:
                return said[:200] or f"/readyz answers {status}"
            version = json.loads(self._asked("/version")[1]).get("version")
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            return f"{self.url} does not answer: {error}"
        return "" if version == installed else f"bty {version} answers, and not {installed}"

    def _asked(self, path: str) -> tuple[int, str]:
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(
            parts.hostname or "", parts.port or 80, timeout=_ASK_SECONDS
        )
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read(_MOST_BYTES).decode("utf-8", "replace").strip()
        finally:
            connection.close()

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
