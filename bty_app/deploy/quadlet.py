"""bty under systemd, with podman's Quadlet units."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bty_app import __version__
from bty_app.deploy import files, writing
from bty_app.deploy.containers import Deployment
from bty_app.deploy.files import BTY_UNIT, WITHCACHE_UNIT, File
from bty_app.deploy.marks import Origin, origin, writer
from bty_app.deploy.programs import Programs, last_lines
from bty_app.deploy.stack import Condition, Done, Release
from bty_app.deploy.systemd import Unit
from bty_app.errors import (
    ConfigError,
    ConflictError,
    NotAllowedError,
    NotFoundError,
    UnavailableError,
)

UNITS = Path("/etc/containers/systemd")
GENERATORS = (
    Path("/usr/lib/systemd/system-generators/podman-system-generator"),
    Path("/usr/libexec/podman/quadlet"),
)
SERVICES = ("withcache.service", "bty.service")
_RELEASE = re.compile(r"^# release: (\S+)$", re.M)
_IMAGE = re.compile(r"^Image=(\S+)$", re.M)


@dataclass(frozen=True, slots=True)
class QuadletStack:
    """The services of the units in `units`; the release is pinned by the unit of bty there."""

    at: Deployment
    units: Path = UNITS

    def current(self) -> Release:
        """See `Stack`.

        Raises:
            NotFoundError: nothing was deployed there.
            ConflictError: the unit is of somebody else.
            ConfigError: the unit cannot be read.
        """
        self.check_units()
        path = self.units / BTY_UNIT
        text = writing.text_of(path)
        if text is None:
            raise NotFoundError(f"{path} is not there: nothing is deployed; run bty deploy")
        version, image = _RELEASE.search(text), _IMAGE.search(text)
        if version is None or image is None:
            raise ConfigError(f"{path}: does not name a release; run bty deploy --force")
        if self.at.choices.auto_update:  # podman moves on by itself
            return self.at.images.release(image[1])
        return Release(version[1], image[1])

    def fetch(self, version: str) -> Release:
        """See `Stack`."""
        return self.at.fetched(version)

    def run(self, release: Release, words: Sequence[str]) -> Done:
        """See `Stack`."""
        return self.at.run("bty", release, words)

    def install(self, release: Release) -> None:
        """See `Stack`. The generated files become those of that release, where we have them."""
        self.at.generations.take(release.version)
        writing.write(writing.changes(self.units, self.units_of(release)))
        self.systemctl("daemon-reload")

    def changes(self, version: str) -> str:
        """See `Stack`."""
        units = self.units_of(Release(version, f"the image of bty {version}"))
        generated = self.at.generations.changes() if version == __version__ else []
        return writing.difference([*generated, *writing.changes(self.units, units)])

    def stop(self) -> None:
        """See `Stack`. Litestream's unit stops before bty's, as it says itself."""
        self.systemctl("stop", "bty.service")

    def start(self) -> None:
        """See `Stack`.

        Raises:
            UnavailableError: one does not start; with the last lines of its journal.
        """
        for service in SERVICES:
            self._act("start", service)

    def take_up(self) -> None:
        """Start what does not run, and start anew what runs with an older unit or environment."""
        for service in SERVICES:
            began = self._began(service)
            name = service.removesuffix(".service")
            read = (self.units / f"{name}.container", self.at.directory / f"quadlet/{name}.env")
            is_older = any(path.exists() and int(path.stat().st_mtime) > began for path in read)
            self._act("restart" if began and is_older else "start", service)

    def condition(self) -> Condition:
        """See `Stack`."""
        return self._unit("bty.service").condition()

    def said(self) -> str:
        """See `Stack`."""
        return self._unit("bty.service").journal()

    def ready(self) -> str:
        """See `Stack`."""
        return self.at.ready(self.current().version)

    def _act(self, act: str, service: str) -> None:
        """Start a service, or start it anew; its own last words are what explains a failure."""
        try:
            self.systemctl(act, service)
        except UnavailableError as error:
            said = last_lines(self._unit(service).journal())
            raise UnavailableError(f"{error.message}; the journal of {service}: {said}") from error

    def _unit(self, service: str) -> Unit:
        return Unit(service, self.at.programs)

    def check_units(self) -> None:
        """Refuse where a unit of somebody else has the name of one of ours.

        Raises:
            ConflictError: it has.
        """
        for name in (BTY_UNIT, WITHCACHE_UNIT):
            text = writing.text_of(self.units / name)
            if text is not None and origin(text) is Origin.FOREIGN:
                raise ConflictError(
                    f"{self.units / name} is not of bty: move it away; it is left as it is"
                )

    def _began(self, service: str) -> int:
        """When it was started, in Unix seconds; 0 when it does not run."""
        asked = ("systemctl", "show", service, "--property=ActiveEnterTimestamp")
        told = self.at.programs.ask(*asked, "--property=ActiveState", "--timestamp=unix").stdout
        found = re.search(r"^ActiveEnterTimestamp=@([0-9]+)", told, re.M)
        return int(found[1]) if found and "ActiveState=active" in told else 0

    def units_of(self, release: Release) -> list[File]:
        """The units that start this release: ours, or in a deployment that was put back to another
        release, that one's own.
        """
        choices, directory = self.at.choices, self.at.directory
        image = choices.image_of(release.version) if choices.auto_update else release.reference
        bty = files.bty_unit(choices, directory, image, release.version)
        cache = files.withcache_unit(choices, directory)
        if release.version != __version__:
            former = self._former(BTY_UNIT)
            bty = files.with_release(former, image, release.version) if former else bty
            cache = self._former(WITHCACHE_UNIT) or cache
        return [File(BTY_UNIT, bty), File(WITHCACHE_UNIT, cache)]

    def _former(self, name: str) -> str:
        """The unit as another release wrote it into the directory; empty where ours is there."""
        text = writing.text_of(self.at.directory / files.UNITS / name) or ""
        return text if writer(text) not in {"", __version__} else ""

    def systemctl(self, *words: str) -> None:
        """Run systemctl.

        Raises:
            UnavailableError: it failed; the sentence has what it said.
        """
        self.at.programs.do("systemctl", *words)


def check_host(programs: Programs, user: int) -> None:
    """Refuse where systemd does not start containers for us.

    Raises:
        NotAllowedError: we are not root.
        NotFoundError: something is missing on this host, and what.
    """
    if user != 0:
        raise NotAllowedError(
            "units of the system are root's: run it with sudo, or without --systemd"
        )
    if not programs.has("systemctl"):
        raise NotFoundError(
            "the program systemctl is missing: without systemd, leave --systemd out"
        )
    if not any(path.exists() for path in GENERATORS):
        raise NotFoundError(
            "this podman has no Quadlet: it takes podman 4.4 or newer; or leave --systemd out"
        )
