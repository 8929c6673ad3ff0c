"""The composition root: a configuration becomes a running server. All wiring is here."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bty_app import runtime_offsite
from bty_app import runtime_parts as parts
from bty_app.client_zip import client_zip
from bty_app.config import Config
from bty_app.domain.bounds import Rate
from bty_app.services import passwords, power
from bty_app.services.account import AccountKeeper, PasswordPlace
from bty_app.services.artifact_jobs import ArtifactJobs
from bty_app.services.aside import Aside
from bty_app.services.audit import Audit, log_events
from bty_app.services.boot_servers import BootServers
from bty_app.services.boot_stages import BootStages
from bty_app.services.bulk import Bulk
from bty_app.services.bulk_work import Sender
from bty_app.services.cache_keeper import CacheKeeper
from bty_app.services.cache_memory import CacheMemory
from bty_app.services.catalog import Catalog
from bty_app.services.catalog_imports import CatalogImports
from bty_app.services.catalog_jobs import CatalogJobs, Tools
from bty_app.services.client import Client
from bty_app.services.clock import Clock, utc_now
from bty_app.services.contacts import Contacts
from bty_app.services.current_images import CurrentImages
from bty_app.services.discovery import Bounds
from bty_app.services.doctor_jobs import DoctorJobs
from bty_app.services.event_trimming import EventTrimming
from bty_app.services.hardware import Hardware
from bty_app.services.health import Health, Others
from bty_app.services.image_cache import ImageCache
from bty_app.services.image_origins import ImageOrigins
from bty_app.services.image_warming import Warming
from bty_app.services.jobs import Jobs
from bty_app.services.last_answers import LastAnswers
from bty_app.services.last_checks import LastChecks
from bty_app.services.late_events import LateEvents
from bty_app.services.machines import Machines
from bty_app.services.metrics import Metrics
from bty_app.services.old_databases import OldDatabases
from bty_app.services.plans import Plans
from bty_app.services.reports import Reports
from bty_app.services.revisions import Revisions
from bty_app.services.sessions import Account, Sessions
from bty_app.services.tokens import Tokens
from bty_app.services.upkeep import Upkeep
from bty_app.services.warm_jobs import WarmJobs
from bty_app.store import locks
from bty_app.store.database import Database
from bty_app.store.sqlite import Journal
from bty_app.upstream.http import Http
from bty_app.upstream.wake import wake
from bty_app.upstream.withcache import Withcache
from bty_app.web.app import Services

_log = logging.getLogger(__name__)

STATE_FILE = "state.db"
# Warming is waiting for another program: it must not keep a download waiting.
JOBS_AT_ONCE = {"warm": 2}
BACKUP_KINDS = ("backup", "backup-proof")
JOB_THREADS = 5


@contextmanager
def opened(
    state_dir: Path, revisions: Revisions | None = None, journal: Journal | None = None
) -> Iterator[Database]:
    """The live database, open under its shared lock; it must be there and of this version. A
    `journal` is said by the server alone.
    """
    bump = revisions.bump if revisions else lambda _topics: None
    with (
        locks.shared(state_dir),
        Database(
            state_dir / STATE_FILE, on_commit=bump, on_events=log_events, journal=journal
        ) as database,
    ):
        yield database


def secrets(config: Config) -> passwords.Secrets:
    """The configured secrets, or those in the state directory, made at the first start.

    Raises:
        ConfigError: a file with one cannot be used.
    """
    place, admin = config.paths.state_dir, config.admin
    chosen = passwords.configured("admin.password_file", admin.password, admin.password_file)
    return passwords.Secrets(
        passwords.admin_password(chosen, place),
        passwords.session_secret(config.server.session_secret, place),
    )


def _option_of_password(config: Config) -> str:
    return "admin.password_file" if config.admin.password_file else "admin.password"


def services(
    config: Config,
    database: Database,
    revisions: Revisions,
    clock: Clock = utc_now,
    *,
    known: passwords.Secrets | None = None,
) -> Services:
    """The use cases over one open database; `known` are the secrets, if they were read already."""
    known = known or secrets(config)
    departure = parts.departure(config, database, clock)
    sessions = _sessions(known, database, clock)
    settings = parts.settings_of(config, database, revisions, clock)
    settings.stored()  # from now on they are known, whatever becomes of the disk
    tuning = config.tuning
    bounds = Bounds(
        discovery=Rate(tuning.discovery_burst, tuning.discovery_per_minute / 60),
        contacts=Rate(tuning.contact_burst, tuning.contact_per_second),
    )
    http = parts.outgoing()
    registries = parts.registry(config, http)
    last_checks = LastChecks(revisions)
    at_once = JOBS_AT_ONCE | dict.fromkeys(BACKUP_KINDS, tuning.backup_max_parallel)
    jobs = Jobs(revisions, clock, at_once=at_once)
    backing_up = parts.backup_parts(config, database, jobs, revisions, clock)
    # What a plan waits for: machines come in crowds, so there is room, and a short queue. A crowd
    # at a slow registry takes none of the places at the cache.
    to_sources, to_cache = (Http(agent=parts.AGENT, at_once=32, wait_seconds=1.0) for _ in range(2))
    origins = ImageOrigins(parts.registry(config, to_sources), to_sources)
    cache = ImageCache(settings, Withcache(to_cache), database, clock=clock)
    images = CurrentImages(database, origins.resolve, cache.look, clock=clock)
    boot_servers = BootServers(revisions)
    stages = BootStages(database, revisions, clock)
    aside = Aside(LastAnswers(), LateEvents(database, clock), stages.note)
    files = parts.boot_files(config)
    fetched = parts.artifacts(config, database, settings, http, clock)
    doctor = parts.doctor(config, database, settings.text)
    memory = CacheMemory(settings, revisions)
    # Jobs and the scheduler wait for a place: operators who ask meanwhile do not take it.
    in_background = Http(agent=parts.AGENT, at_once=JOB_THREADS + 1, wait_seconds=30.0)
    withcache = Withcache(in_background)
    warming = Warming(
        database, withcache, settings, password=parts.withcache_password(config), clock=clock
    )
    warm_jobs = WarmJobs(jobs, warming, memory, database, images.refreshed)
    keeper = CacheKeeper(database, memory, withcache, warm_jobs)
    offsite_jobs = runtime_offsite.offsite_jobs(config, jobs, in_background, database, clock)
    backing_up.jobs.follow(departure.serving(offsite_jobs.after_backup))
    departure.wait_for(backing_up.jobs.under_way)
    metrics = Metrics(offsite_jobs.gauges, boot_servers.counters)
    catalog = Catalog(database, http, registries, revisions, clock, state=keeper.state)
    tools = Tools(
        catalog,
        parts.catalog_upstream(config, database, revisions, in_background, clock),
        parts.catalog_checks(config, in_background, clock, last_checks.note),
        keeper,
    )
    # A password without a file is kept by the configuration, and cannot be changed here.
    fixed = "" if known.password.path else config.provenance[_option_of_password(config)]
    password_place = PasswordPlace(config.paths.state_dir, fixed)
    recover = parts.recover(config, revisions, departure, clock)
    return Services(
        old_databases=OldDatabases(recover, database, clock),
        salvage=parts.salvage(config, jobs, recover, revisions),
        jobs=jobs,
        backup_jobs=backing_up.jobs,
        backup_schedule=backing_up.schedule,
        stages=stages,
        boot_servers=boot_servers,
        contacts=Contacts(database, settings, bounds, clock, aside=aside),
        plans=Plans(database, settings, bounds, images, clock, aside=aside),
        late=aside.late,
        reports=Reports(database, settings, bounds, clock, note=stages.note),
        hardware=Hardware(database),
        machines=Machines(database, clock, on_bound=keeper.bound),
        bulk=Bulk(
            database,
            settings,
            jobs,
            Sender(wake, power.hook(*config.power.hook, http)),
            clock,
            on_bound=keeper.bound,
        ),
        catalog=catalog,
        upstream=parts.catalog_upstream(config, database, revisions, http, clock),
        checks=parts.catalog_checks(config, http, clock, last_checks.note),
        last_checks=last_checks,
        catalog_jobs=CatalogJobs(jobs, tools, clock),
        keeper=keeper,
        imports=CatalogImports(
            database,
            http,
            registries,
            catalog_file=config.paths.catalog_file,
            clock=clock,
        ),
        audit=Audit(database, clock),
        sessions=sessions,
        offsite=offsite_jobs,
        health=Health(
            database,
            config.paths.state_dir,
            metrics,
            clock,
            others=Others(
                keeper.counts,
                backing_up.schedule,
                aside.late.counts,
                offsite_jobs,
                departure.refusal,
            ),
        ),
        metrics=metrics,
        revisions=revisions,
        boot_files=files,
        client=Client(client_zip),
        artifacts=ArtifactJobs(fetched, files, jobs, settings),
        doctor=doctor,
        doctor_jobs=DoctorJobs(doctor, jobs, clock),
        settings=settings,
        tokens=Tokens(database, clock),
        event_trimming=EventTrimming(database, settings, clock),
        upkeep=Upkeep(database),
        webhooks=parts.webhooks(config, database, settings, clock),
        departure=departure,
        restore=parts.restore(config, revisions, departure, clock),
        recover=recover,
        account=AccountKeeper(database, sessions, password_place, clock),
    )


def _sessions(known: passwords.Secrets, database: Database, clock: Clock) -> Sessions:
    """Logins; those that another password or key opened are ended."""
    account = Account(known.password.value, known.form_key.value)
    sessions = Sessions(database, account, clock)
    if sessions.end_those_of_another_password():
        _log.info("the password or the session secret is another one: all sessions were ended")
    return sessions
