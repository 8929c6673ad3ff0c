"""What the checks of `doctor` look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bty_app.domain.settings import Setting
from bty_app.errors import BtyError
from bty_app.services.boot_files import BootFiles
from bty_app.services.catalog_source import CatalogSource
from bty_app.store.artifact_sets import ArtifactSets
from bty_app.store.database import Database
from bty_app.upstream.withcache import Withcache


@dataclass(frozen=True, slots=True, kw_only=True)
class Premises:
    """An installation. Where its database cannot be opened, `unopened` says why; `setting` then
    gives what is configured. `deep`: take the time to read every file.
    """

    state_dir: Path
    database: Database | None
    unopened: BtyError | None = None
    setting: Callable[[Setting], str]
    files: BootFiles
    sets: ArtifactSets
    catalogs: CatalogSource
    withcache: Withcache
    deep: bool = False
    public_url: str = ""
    replica: str = ""
