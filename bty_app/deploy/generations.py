"""The generated files of a deployment, as this release has them, and as the one before had them.

An upgrade may be killed and gone on with at any point. So the texts of before lie on the disk,
in DIR/before-upgrade, and both ways can be gone twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bty_app import __version__
from bty_app.deploy import files, secret_files, writing
from bty_app.deploy.choices import Choices
from bty_app.deploy.envvars import Envvars
from bty_app.deploy.files import EXAMPLE, File
from bty_app.deploy.marks import Origin, origin, writer
from bty_app.deploy.writing import Change
from bty_app.store.publish import make_directories

BEFORE = "before-upgrade"
# Below the directory.
FOLDERS = (files.UNITS, BEFORE, f"{BEFORE}/{files.UNITS}", *secret_files.FOLDERS)


@dataclass(frozen=True, slots=True)
class Generations:
    """The generated files in `directory`, for these choices."""

    directory: Path
    choices: Choices

    def files(self) -> list[File]:
        """All that this release writes there, but for `envvars` and the pinned release.

        Raises:
            ConfigError: somebody wrote into the example what cannot be read.
        """
        secret = files.environments(self.choices) if self.choices.systemd else []
        return [*files.initial(self.choices, self.directory, kept(self.directory)), *secret]

    def changes(self) -> list[Change]:
        """What is to be written so that they are those of this release."""
        return writing.changes(self.directory, self.files())

    def check(self) -> None:
        """Refuse to write over what somebody changed.

        Raises:
            ChangedFileError: somebody did.
        """
        writing.refuse(self.changes(), ours_too=False)

    def take(self, version: str) -> None:
        """Have those of that release: ours are written, and those of the release that ours took
        the place of are put back.

        Raises:
            ChangedFileError: somebody changed one.
            StorageError: one cannot be read or written.
        """
        if version == __version__:
            self.check()
            wanted = self.changes()
            self._keep(wanted)
            writing.write(wanted)
        else:
            writing.write(writing.changes(self.directory, self._former(version)))

    def _keep(self, wanted: list[Change]) -> None:
        """Save the texts of another release; ours are there when this is gone on with."""
        others = [w for w in wanted if w.before is not None and writer(w.before) != __version__]
        saved = [
            File(str(w.path.relative_to(self.directory)), w.before or "", w.before_mode)
            for w in others
        ]
        if saved:
            make_directories(self.directory / BEFORE)
            writing.write(writing.changes(self.directory / BEFORE, saved))

    def _former(self, version: str) -> list[File]:
        """The saved texts of that release, in whose place ours are."""
        found = []
        for file in self.files():
            saved = self.directory / BEFORE / file.name
            text = writing.text_of(saved)
            now = writing.text_of(self.directory / file.name)
            is_replaced = now is not None and writer(now) == __version__
            if text is not None and is_replaced and writer(text) == version:
                found.append(File(file.name, text, writing.mode_of(saved)))
        return found


def kept(directory: Path) -> dict[str, str]:
    """What an earlier `init` was told, which stands in its example.

    Raises:
        ConfigError: somebody wrote something else in there.
    """
    example = example_of(directory)
    if example is None:
        return {}
    return {name: value.text for name, value in example.values().items() if value.text}


def example_of(directory: Path) -> Envvars | None:
    """The example as it lies there, without our mark."""
    text = writing.text_of(directory / EXAMPLE)
    if text is None:
        return None
    is_marked = origin(text) is not Origin.FOREIGN
    return Envvars(text.partition("\n")[2] if is_marked else text, str(directory / EXAMPLE))
