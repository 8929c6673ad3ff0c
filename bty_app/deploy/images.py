"""The images of a deployment: those of this host are built from this program, others pulled."""

from __future__ import annotations

import re
import secrets
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bty_app import __version__
from bty_app.deploy.choices import LOCAL, Choices
from bty_app.deploy.engines import Engine
from bty_app.deploy.files import template
from bty_app.deploy.own_file import own_file
from bty_app.deploy.programs import Programs, last_lines
from bty_app.deploy.stack import Done, Release
from bty_app.errors import ConfigError, NotFoundError, UnavailableError
from bty_app.store.directories import disk_failures
from bty_app.store.publish import scratch_directory, write_file

VERSION_SECONDS = 60.0
CONFINED = ("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges")
_VERSION = re.compile(r"^bty\S* (\S+)$", re.M)


@dataclass(frozen=True, slots=True)
class Images:
    """The images of one host. `directory` is where a build may put its context for a while."""

    programs: Programs
    engine: Engine
    directory: Path

    def identity(self, reference: str) -> str:
        """The image that has this name now, as `sha256:…`; empty where none has."""
        words = ("image", "inspect", "--format", "{{.Id}}", reference)
        done = self.programs.ask(self.engine.name, *words)
        found = done.stdout.strip()
        return "" if done.status else f"sha256:{found.removeprefix('sha256:')}"

    def release(self, reference: str) -> Release:
        """The release in an image of this host, pinned.

        Raises:
            ConfigError: it is no image of bty.
            NotFoundError: there is no such image.
        """
        identity = self.identity(reference)
        if not identity:
            raise NotFoundError(f"there is no image {reference} on this host")
        done = self._version_of(reference, identity)
        found = _VERSION.search(done.stdout)
        if done.status or not found:
            said = last_lines(done.stderr + done.stdout)
            raise ConfigError(
                f"the image {reference} is none of bty, set BTY_IMAGE in envvars to one that is:"
                f" its --version says {said}"
            )
        return Release(found[1], self._pinned(reference, identity))

    def bty(self, choices: Choices, version: str) -> Release:
        """The image of bty in that release: built or pulled where it is not there.

        Raises:
            ConfigError: it cannot be built here, or is another release.
            UnavailableError: the build or the pull failed.
        """
        reference = choices.image_of(version)
        if not reference.startswith(LOCAL):
            self._pull(reference)
        elif not self.identity(reference):
            self._build_bty(choices, reference, version)
        if self.programs.dry and not self.identity(reference):
            return Release(version, reference)
        found = self.release(reference)
        if found.version != version and (not choices.image or choices.image_version):
            raise ConfigError(
                f"the image {reference} has bty {found.version} in it, and not {version}:"
                f" remove it, or set BTY_IMAGE in envvars"
            )
        return found

    def again(self, choices: Choices, release: Release) -> Release:
        """The image of a deployment that is gone from this host: the very same one, whatever its
        name means in the registry by now.

        Raises:
            ConfigError: it cannot be built here.
            UnavailableError: it is not to be had.
        """
        if "@" not in release.reference:
            return self.bty(choices, release.version)
        self._pull(release.reference)
        return release

    def withcache(self, choices: Choices, reference: str) -> None:
        """Have the image of withcache: built or pulled where it is not there.

        Raises:
            UnavailableError: the build or the pull failed.
        """
        if self.identity(reference):
            return
        if not reference.startswith(LOCAL):
            self._pull(reference)
            return
        self._build(choices, reference, "withcache/Containerfile", None)

    def _version_of(self, reference: str, identity: str) -> Done:
        """Somebody else's image may do anything: it gets no right, and not for long."""
        name = f"bty-version-{secrets.token_hex(6)}"
        words = ("run", "--rm", f"--name={name}", "--pull=never", "--network=none", *CONFINED)
        try:
            return self.programs.ask(
                self.engine.name, *words, identity, "--version", seconds=VERSION_SECONDS
            )
        except UnavailableError as error:
            self.programs.ask(self.engine.name, "rm", "--force", name)
            raise ConfigError(
                f"the image {reference} is none of bty: it does not say its --version within"
                f" {VERSION_SECONDS:.0f} s; set BTY_IMAGE in envvars to one that is"
            ) from error

    def _pull(self, reference: str) -> None:
        engine = self.engine.name
        try:
            self.programs.do(engine, "pull", reference, shown=True)
        except UnavailableError as error:
            first, _, rest = reference.partition("/")
            is_host = rest and (set(first) & {".", ":"} or first == "localhost")
            registry = first if is_host else "docker.io"
            raise UnavailableError(
                f"{error.message}. Look whether the registry {registry} can be reached and has it;"
                f" where it wants a login, run `{engine} login {registry}` as this user"
            ) from error

    def _build_bty(self, choices: Choices, reference: str, version: str) -> None:
        program = own_file()
        if version != __version__ or program is None:
            why = f"only bty {__version__} can be built by this program"
            if program is None:
                why = "one is built of the single file bty.pyz, and this program is not run as it"
            raise ConfigError(
                f"there is no image {reference}, and {why}: run `python3 bty.pyz` of that release"
                " (build_zipapp.py makes it), or set BTY_IMAGE in envvars to an image of a registry"
            )
        self._build(choices, reference, "Containerfile", program)

    def _build(self, choices: Choices, reference: str, name: str, program: Path | None) -> None:
        # The image's own format has no place for a health check.
        form = ("--format", "docker") if self.engine.name == "podman" else ()
        options: Sequence[str] = shlex.split(choices.build_options)
        words = (self.engine.name, "build", *form, *options, "-t", reference)
        if self.programs.dry:
            self.programs.do(*words, "-f", f"container/{name}", "bty.pyz" if program else ".")
            return
        with scratch_directory(self.directory, "build") as context:
            write_file(context / "Containerfile", template(name).encode())
            if program:
                with disk_failures(context):
                    shutil.copyfile(program, context / "bty.pyz")
                    (context / "bty.pyz").chmod(0o755)
            file = ("-f", str(context / "Containerfile"))
            self.programs.do(*words, *file, str(context), shown=True)

    def _pinned(self, reference: str, identity: str) -> str:
        """The name by digest, which any host can pull; without a registry, the image itself."""
        if reference.startswith(LOCAL):
            return identity
        words = ("image", "inspect", "--format", '{{join .RepoDigests "\\n"}}', reference)
        done = self.programs.ask(self.engine.name, *words)
        name = reference.partition("@")[0].rpartition("/")
        bare = name[0] + name[1] + name[2].partition(":")[0]
        digests = [line for line in done.stdout.split() if line.startswith(f"{bare}@")]
        return digests[0] if done.status == 0 and digests else identity
