"""What the checks of `doctor` look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bty_app.domain.dhcp_offers import LanOffer
from bty_app.domain.settings import Setting
from bty_app.errors import BtyError
from bty_app.services.backups import Backups
from bty_app.services.boot_files import BootFiles
from bty_app.services.catalog_source import CatalogSource
from bty_app.services.offsite import Offsite
from bty_app.store.artifact_sets import ArtifactSets
from bty_app.store.database import Database
from bty_app.upstream.withcache import Withcache

AskLan = Callable[[], tuple[Sequence[str], Sequence[LanOffer]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """What the server is configured to listen on; an `http_port` of 0 is not looked at. `ask_lan`
    gives the interfaces that it asked, and what DHCP servers answered; None: nobody is asked.
    """

    http_port: int = 0
    tftp: bool = False
    proxy_dhcp: bool = False
    ask_lan: AskLan | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Premises:
    """An installation. Where its database cannot be opened, `unopened` says why; `setting` then
    gives what is configured. `offsite` is where backups are copied to, or why that cannot be.
    `deep`: take the time to read every file.
    """

    state_dir: Path
    database: Database | None
    unopened: BtyError | None = None
    setting: Callable[[Setting], str]
    files: BootFiles
    sets: ArtifactSets
    catalogs: CatalogSource
    withcache: Withcache
    offsite: Offsite | BtyError | None = None
    network: Network = field(default_factory=Network)
    deep: bool = False
    backups: Backups | None = None
    public_url: str = ""
    replica: str = ""
    journal: str = "wal"
