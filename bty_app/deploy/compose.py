"""bty under compose: podman-compose, `podman compose` or `docker compose`."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bty_app import __version__
from bty_app.deploy import files, projects, writing
from bty_app.deploy.choices import VARIABLES
from bty_app.deploy.containers import Deployment
from bty_app.deploy.files import COMPOSE, ENVVARS, LITESTREAM, OVERRIDE, File
from bty_app.deploy.programs import Programs, last_lines
from bty_app.deploy.secret_files import SERVICES, SecretFiles
from bty_app.deploy.stack import Condition, Done, Release
from bty_app.errors import ConfigError, NotFoundError, UnavailableError

_REQUIRED = ("HOST_ADDR", "WITHCACHE_ADMIN_PASSWORD")
_PROJECT = "com.docker.compose.project"
_DIRECTORY = f"{_PROJECT}.working_dir"
STOP_SECONDS = 60.0
_PIN = re.compile(r'^# release: (\S+)\n(?:.*\n)*?    image: "(\S+)"$', re.M)


@dataclass(frozen=True, slots=True)
class ComposeStack:
    """The services of DIR/compose.yml; the release is pinned by DIR/compose.override.yml."""

    at: Deployment

    def current(self) -> Release:
        """See `Stack`.

        Raises:
            NotFoundError: nothing was deployed there.
            ConfigError: the pin cannot be read.
        """
        path = self.at.directory / OVERRIDE
        text = writing.text_of(path)
        if text is None:
            raise NotFoundError(f"{path} is not there: nothing is deployed; run bty deploy")
        found = _PIN.search(text)
        if found is None:
            raise ConfigError(f"{path}: does not name a release; take it away and run bty deploy")
        return Release(found[1], found[2])

    def fetch(self, version: str) -> Release:
        """See `Stack`.

        Raises:
            ConflictError: compose would take the containers of another deployment for ours, or
                would not find ours under the name that it has now.
        """
        projects.chosen(self.at.directory, self.project, self.seen())
        return self.at.fetched(version)

    def run(self, release: Release, words: Sequence[str]) -> Done:
        """See `Stack`."""
        return self.at.run(self.container("bty"), release, words)

    def install(self, release: Release) -> None:
        """See `Stack`. The generated files become those of that release, where we have them."""
        if release.version == __version__:
            self.secrets.write()
        self.at.generations.take(release.version)
        self.pin(release)

    def pin(self, release: Release) -> None:
        """Have this release started from now on, with the other files as they are; durable.

        Raises:
            StorageError: it cannot be written.
        """
        file = File(OVERRIDE, files.override(release.reference, release.version))
        writing.write(writing.changes(self.at.directory, [file]))

    def changes(self, version: str) -> str:
        """See `Stack`."""
        pin = File(OVERRIDE, files.override(f"the image of bty {version}", version))
        generated = self.at.generations.changes() if version == __version__ else []
        return writing.difference([*generated, *writing.changes(self.at.directory, [pin])])

    def stop(self) -> None:
        """See `Stack`. Litestream, which has the database open, is stopped first.

        Raises:
            UnavailableError: bty did not end.
        """
        if (self.at.directory / LITESTREAM).exists():
            self._stop("litestream")
        self._stop("bty")

    def _stop(self, service: str) -> None:
        """A container that is gone cannot come back: one that had just ended by itself counts as
        stopped for podman, and its restart policy may start it again a moment later.
        """
        until = time.monotonic() + STOP_SECONDS
        while container := self.container(service):
            self.compose("stop", service)
            gone = self.at.programs.ask(self.at.engine.name, "rm", container)
            if gone.status and time.monotonic() > until:
                if self.at.inspected(container, "{{.State.Running}}") != "true":
                    return  # something else keeps it from being removed
                said = last_lines(gone.stderr)
                raise UnavailableError(
                    f"{service} did not stop within {STOP_SECONDS:.0f} s ({said}); look at it"
                )

    def start(self) -> None:
        """See `Stack`. What runs with an older password is started anew."""
        self.compose("up", "-d")
        for service in SERVICES:
            if self.secrets.changed(service) > self._began(service):
                self.compose("restart", service)

    def condition(self) -> Condition:
        """See `Stack`."""
        container = self.container("bty")
        told = self.at.inspected(container, "{{.State.Running}} {{.RestartCount}}").split()
        if len(told) != 2:
            return Condition(running=False, restarts=0)
        restarts = int(told[1]) if told[1].isdigit() else 0
        return Condition(told[0] == "true", restarts)

    def said(self) -> str:
        """See `Stack`."""
        container = self.container("bty")
        return self.at.logged(container) if container else "there is no container of it"

    def ready(self) -> str:
        """See `Stack`."""
        return self.at.ready(self.current().version)

    def container(self, service: str) -> str:
        """The container of a service of ours; empty where there is none."""
        found = self.containers(f"com.docker.compose.service={service}")
        return found[0] if found else ""

    def containers(self, *labels: str) -> list[str]:
        """The containers of this directory, by their ids."""
        return self._labelled(f"{_DIRECTORY}={self.at.directory.resolve()}", *labels)

    @property
    def secrets(self) -> SecretFiles:
        """The passwords that its containers are shown."""
        return SecretFiles(self.at.directory, self.at.choices)

    @property
    def project(self) -> str:
        """The name that compose has for this deployment."""
        return self.at.choices.project or projects.default(self.at.directory)

    def seen(self) -> projects.Seen:
        """What is there of this deployment, and of others that might be taken for it."""
        directory = self.at.directory
        ours = {self._label(container, _PROJECT) for container in self.containers()} - {""}
        others = {}
        for name in {self.project, projects.default(directory)} - {""}:
            found = {self._label(c, _DIRECTORY) for c in self._labelled(f"{_PROJECT}={name}")}
            others[name] = frozenset(found - {"", str(directory.resolve())})
        before = (directory / COMPOSE).exists()
        return projects.Seen(before, frozenset(ours), others)

    def _labelled(self, *labels: str) -> list[str]:
        filters = [word for label in labels for word in ("--filter", f"label={label}")]
        done = self.at.programs.ask(self.at.engine.name, "ps", "--all", "--quiet", *filters)
        return done.stdout.split() if done.status == 0 else []

    def _label(self, container: str, label: str) -> str:
        return self.at.inspected(container, f'{{{{index .Config.Labels "{label}"}}}}')

    def _began(self, service: str) -> float:
        """When it was started, in Unix seconds; endless where there is no container of it."""
        told = self.at.inspected(self.container(service), "{{json .State.StartedAt}}")
        try:
            return datetime.fromisoformat(json.loads(told)).timestamp()
        except (ValueError, TypeError):
            return math.inf

    def take_down(self) -> None:
        """Stop all and remove the containers, also where a variable that they need is gone.

        Raises:
            UnavailableError: it failed; the sentence has what it said.
        """
        if not self.seen().others.get(self.project):  # else compose would take theirs down, too
            programs = _with(self.at.programs, dict.fromkeys(_REQUIRED, "none"))
            programs.do(*self.at.engine.compose, *self._files(), "down")
            if programs.dry:
                return
        for container in self.containers():  # also what came back while it was taken down
            self.at.programs.do(self.at.engine.name, "rm", "--force", container)

    def compose(self, *words: str) -> None:
        """Run compose on the files of this directory.

        Raises:
            UnavailableError: it failed; the sentence has what it said.
        """
        _with(self.at.programs, {}).do(*self.at.engine.compose, *self._files(), *words)

    def _files(self) -> list[str]:
        directory = self.at.directory
        # The override is last: what it says counts.
        names = [COMPOSE, LITESTREAM, OVERRIDE]
        found = [name for name in names if name == COMPOSE or (directory / name).exists()]
        listed = [word for name in found for word in ("-f", str(directory / name))]
        return [*listed, "--env-file", str(directory / ENVVARS)]


def _with(programs: Programs, told: Mapping[str, str]) -> Programs:
    """With this environment alone of our variables: compose prefers it to `envvars`."""
    kept = {
        name: value
        for name, value in programs.environment.items()
        if name not in VARIABLES and not name.startswith("COMPOSE_")
    }
    return replace(programs, environment={**kept, **told})
