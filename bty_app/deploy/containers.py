"""bty in a container, whoever starts it: what both kinds of deployment ask and do alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bty_app import __version__
from bty_app.deploy import answers, files
from bty_app.deploy.choices import Choices
from bty_app.deploy.engines import Engine
from bty_app.deploy.files import ENVVARS
from bty_app.deploy.generations import Generations
from bty_app.deploy.images import CONFINED, Images
from bty_app.deploy.programs import Programs
from bty_app.deploy.stack import Done, Release
from bty_app.errors import ConfigError

STATE = "/var/lib/bty"
# Not relabelled: a server that runs beside it keeps its label.
_BESIDE = ("--security-opt=label=disable", "--network=none")


@dataclass(frozen=True, slots=True)
class Deployment:
    """A directory with `envvars`, the choices in there, and what runs containers on this host."""

    directory: Path
    choices: Choices
    engine: Engine
    programs: Programs

    @property
    def images(self) -> Images:
        """The images of this host."""
        return Images(self.programs, self.engine, self.directory)

    @property
    def generations(self) -> Generations:
        """The generated files of the deployment."""
        return Generations(self.directory, self.choices)

    def fetched(self, version: str) -> Release:
        """The images of that release on this host; nothing that runs is touched.

        Raises:
            ChangedFileError: a generated file was changed, and an upgrade would write over it.
            BtyError: they cannot be had.
        """
        self.choices.check_release(version)
        if version == __version__:
            self.generations.check()
            self.images.withcache(self.choices, files.withcache_image(self.choices))
        found = self.images.bty(self.choices, version)
        if found.version != version:
            raise ConfigError(
                f"the image {self.choices.image} has bty {found.version} in it, and not {version}:"
                f" set BTY_IMAGE in {self.directory / ENVVARS} to the image of {version}"
            )
        return found

    @property
    def state(self) -> Path:
        """The state directory of bty, as this host sees it."""
        return self.choices.data_dir / "bty"

    def inspected(self, container: str, form: str) -> str:
        """What the engine says of a container by a Go template; empty where there is none."""
        if not container:
            return ""
        done = self.programs.ask(
            self.engine.name, "container", "inspect", "--format", form, container
        )
        return "" if done.status else done.stdout.strip()

    def run(self, container: str, release: Release, words: Sequence[str]) -> Done:
        """`bty words…` of that release: inside of the container where it runs that, else in one of
        its own on the same state.
        """
        runs = self.inspected(container, "{{.State.Running}} {{.Image}}").split()
        if runs[:1] == ["true"] and f"sha256:{runs[1].removeprefix('sha256:')}" == (
            self.images.identity(release.reference)
        ):
            return self.programs.ask(
                self.engine.name, "exec", container, "bty", *words, seconds=None
            )
        place = f"--volume={self.state}:{STATE}"
        beside = ("run", "--rm", "--pull=never", *CONFINED, *_BESIDE, place, release.reference)
        return self.programs.ask(self.engine.name, *beside, *words, seconds=None)

    def logged(self, container: str, lines: int = 20) -> str:
        """The last lines of a container's output."""
        done = self.programs.ask(self.engine.name, "logs", "--tail", str(lines), container)
        return (done.stdout + done.stderr).strip()

    def ready(self, version: str) -> str:
        """Empty when this release answers here and can serve; else what it said instead."""
        return answers.ready(f"http://127.0.0.1:{self.choices.port}", version)
