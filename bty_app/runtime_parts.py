"""The parts that are made the same for the server and for single commands."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bty_app import __version__
from bty_app.config import Config
from bty_app.config_values import spelled
from bty_app.domain.settings import UPSTREAM, Setting
from bty_app.domain.signature import parse_key
from bty_app.domain.webhooks import Target
from bty_app.errors import BtyError
from bty_app.runtime_offsite import offsite
from bty_app.services import passwords
from bty_app.services.artifacts import Artifacts
from bty_app.services.backup_jobs import BackupJobs
from bty_app.services.backup_schedule import BackupSchedule, Pinger
from bty_app.services.backups import Backups
from bty_app.services.boot_files import BootFiles
from bty_app.services.catalog_checks import CatalogChecks, Checked
from bty_app.services.catalog_source import CatalogSource
from bty_app.services.catalog_upstream import CatalogUpstream
from bty_app.services.clock import Clock, utc_now
from bty_app.services.departure import Departure
from bty_app.services.doctor import Doctor
from bty_app.services.doctor_upstream import SECONDS as SHORT_SECONDS
from bty_app.services.image_origins import ImageOrigins
from bty_app.services.image_warming import Warming
from bty_app.services.jobs import Jobs
from bty_app.services.offsite import Offsite
from bty_app.services.own_program import OwnProgram
from bty_app.services.premises import AskLan, Network, Premises
from bty_app.services.recover import Recover
from bty_app.services.restore import Restore
from bty_app.services.revisions import Revisions
from bty_app.services.salvage_jobs import SalvageJobs
from bty_app.services.settings import Settings
from bty_app.services.webhooks import Webhooks
from bty_app.store.artifact_sets import ArtifactSets
from bty_app.store.backup_shelf import Shelf
from bty_app.store.boot_tree import BootTree
from bty_app.store.database import ALL_TOPICS, Database
from bty_app.upstream.http import Http
from bty_app.upstream.registry import Login, Registry
from bty_app.upstream.withcache import Withcache
from bty_app.web.app import Options

AGENT = f"bty/{__version__}"


def webhooks(
    config: Config, database: Database, settings: Settings, clock: Clock = utc_now
) -> Webhooks:
    """What tells others of events."""
    words, kinds = config.webhooks.command, config.webhooks.command_kinds
    patterns = tuple(part.strip() for part in kinds.split(",") if part.strip())
    return Webhooks(
        database,
        settings,
        Http(agent=AGENT, at_once=2, wait_seconds=1.0),
        key=passwords.webhook_secret(config.paths.state_dir).value,
        command=Target(patterns, command=words) if words else None,
        clock=clock,
    )


def departure(config: Config, database: Database, clock: Clock = utc_now) -> Departure:
    """The way to another host."""
    paths = config.paths
    tree = BootTree(paths.boot_dir)
    return Departure(database, paths.state_dir, tree, paths.catalog_file, clock)


def boot_files(config: Config) -> BootFiles:
    """What machines boot."""
    return BootFiles(
        config.paths.boot_dir,
        config.netboot.ipxe_dir,
        live_version=config.netboot.live_version,
    )


def artifacts(
    config: Config,
    database: Database,
    settings: Settings,
    http: Http,
    clock: Clock = utc_now,
) -> Artifacts:
    """What brings netboot artifacts here."""
    key = parse_key(config.netboot.signing_key) if config.netboot.signing_key else None
    return Artifacts(database, settings, http, config.paths.boot_dir, key=key, clock=clock)


def doctor(
    config: Config,
    database: Database | None,
    setting: Callable[[Setting], str] | None = None,
    *,
    unopened: BtyError | None = None,
    deep: bool = False,
    network: Network | None = None,
) -> Doctor:
    """What looks at the installation; without a `setting`, what is configured counts."""
    http, files = outgoing(), boot_files(config)
    return Doctor(
        Premises(
            state_dir=config.paths.state_dir,
            database=database,
            unopened=unopened,
            setting=setting or partial(_configured, config),
            files=files,
            sets=ArtifactSets(files.directory),
            catalogs=CatalogSource(http, registry(config, http), seconds=SHORT_SECONDS),
            withcache=Withcache(http),
            offsite=_offsite(config, http),
            network=network or listens(config),
            deep=deep,
            backups=_backups_of(config, database) if database else None,
            public_url=config.server.public_url,
            replica=config.litestream.url,
            journal=config.tuning.journal,
        )
    )


def _offsite(config: Config, http: Http) -> Offsite | BtyError | None:
    try:
        return offsite(config, http)
    except BtyError as error:  # `doctor` says it
        return error


def listens(config: Config, *, http_port: int = 0, ask_lan: AskLan | None = None) -> Network:
    """What the server is configured to listen on."""
    on = config.netboot
    return Network(http_port=http_port, tftp=on.tftp, proxy_dhcp=on.proxy_dhcp, ask_lan=ask_lan)


def _backups_of(config: Config, database: Database, clock: Clock = utc_now) -> Backups:
    return Backups(database.path, Shelf(config.paths.backup_dir), database, clock=clock)


def _configured(config: Config, setting: Setting) -> str:
    if not setting.configured:
        return str(setting.default)
    return spelled(config.value(setting.configured))


def outgoing() -> Http:
    """What asks other hosts while no box waits."""
    return Http(agent=AGENT)


def registry(config: Config, http: Http) -> Registry:
    """Registries as they are configured."""
    known = config.registry
    return Registry(
        http,
        logins={login.host: Login(login.user, login.password) for login in known.credentials},
        plain_http=frozenset(known.plain_http),
        arch=known.arch,
    )


def settings_of(
    config: Config, database: Database, revisions: Revisions, clock: Clock = utc_now
) -> Settings:
    """The operator's settings, over those that are configured."""
    return Settings(
        database,
        revisions,
        configured={s.configured: spelled(config.value(s.configured)) for s in UPSTREAM},
        provenance=config.provenance,
        clock=clock,
    )


def restore(
    config: Config, revisions: Revisions, departure: Departure, clock: Clock = utc_now
) -> Restore:
    """What puts backups back."""
    return Restore(
        config.paths.state_dir,
        config.paths.backup_dir,
        version=__version__,
        clock=clock,
        on_change=lambda: revisions.bump(ALL_TOPICS),
        refusal=departure.refusal,
    )


def recover(
    config: Config, revisions: Revisions, departure: Departure, clock: Clock = utc_now
) -> Recover:
    """What reads old databases."""
    return Recover(
        config.paths.state_dir,
        version=__version__,
        clock=clock,
        on_change=lambda: revisions.bump(ALL_TOPICS),
        refusal=departure.refusal,
    )


def salvage(config: Config, jobs: Jobs, recover: Recover, revisions: Revisions) -> SalvageJobs:
    """What reads damaged databases."""
    return SalvageJobs(
        jobs, own_program(config), recover, on_change=lambda: revisions.bump(ALL_TOPICS)
    )


def catalog_upstream(
    config: Config,
    database: Database,
    revisions: Revisions,
    http: Http,
    clock: Clock = utc_now,
) -> CatalogUpstream:
    """The catalog that is followed."""
    return CatalogUpstream(
        database,
        CatalogSource(http, registry(config, http)),
        settings_of(config, database, revisions),
        catalog_file=config.paths.catalog_file,
        clock=clock,
    )


def catalog_checks(
    config: Config,
    http: Http,
    clock: Clock = utc_now,
    heard: Callable[[Checked], None] = lambda _checked: None,
) -> CatalogChecks:
    """What asks the origins of images."""
    resolve = ImageOrigins(registry(config, http), http).resolve
    return CatalogChecks(http, resolve, clock=clock, heard=heard)


def warming(
    config: Config,
    database: Database,
    revisions: Revisions,
    http: Http,
    clock: Clock = utc_now,
) -> Warming:
    """What has the cache fetch images."""
    settings = settings_of(config, database, revisions)
    password = withcache_password(config)
    return Warming(database, Withcache(http), settings, password=password, clock=clock)


def withcache_password(config: Config) -> str:
    """What withcache asks for before it fetches an image.

    Raises:
        ConfigError: its file cannot be read.
    """
    known = config.withcache
    return passwords.configured("withcache.password_file", known.password, known.password_file)


@dataclass(frozen=True, slots=True)
class BackupParts:
    """What makes backups, in the background, and on schedule."""

    backups: Backups
    jobs: BackupJobs
    schedule: BackupSchedule


def backup_parts(
    config: Config,
    database: Database,
    jobs: Jobs,
    revisions: Revisions,
    clock: Clock = utc_now,
) -> BackupParts:
    """The backups of a server."""
    backups = _backups_of(config, database, clock)
    making = BackupJobs(backups, jobs, own_program(config), revisions, clock)
    schedule = BackupSchedule(backups, making, clock)
    making.hear(schedule.ended)
    making.hear(Pinger(backups, Http(agent=AGENT, at_once=1, wait_seconds=1.0)).tell)
    return BackupParts(backups, making, schedule)


def own_program(config: Config) -> OwnProgram:
    """This program once more, for the same state whatever its own configuration would say."""
    package = Path(__file__).parent
    single = next((path for path in package.parents if path.is_file()), None)
    command = [sys.executable, str(single)] if single else [sys.executable, "-m", "bty_app"]
    paths = {"BTY_PATHS_BACKUP_DIR": str(config.paths.backup_dir), "BTY_AT": ""}
    if single is None:
        paths["PYTHONPATH"] = str(package.parent)
    state = str(config.paths.state_dir)
    return OwnProgram(
        [*command, "--config", os.devnull, "--state-dir", state], {**os.environ, **paths}
    )


def options(config: Config) -> Options:
    """What of the configuration the routes need."""
    return Options(
        public_url=config.server.public_url,
        trusted_proxies=config.server.trusted_proxy,
        machine_networks=config.server.machine_networks,
        inventory_max_bytes=config.tuning.inventory_max_bytes,
        max_upload_bytes=config.tuning.max_upload_bytes,
    )
