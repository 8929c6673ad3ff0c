"""What the routes are given: the use cases, and what of the configuration they need."""

from __future__ import annotations

from dataclasses import dataclass

from bty_app.services.account import AccountKeeper
from bty_app.services.artifact_jobs import ArtifactJobs
from bty_app.services.audit import Audit
from bty_app.services.backup_jobs import BackupJobs
from bty_app.services.backup_schedule import BackupSchedule
from bty_app.services.boot_files import BootFiles
from bty_app.services.boot_servers import BootServers
from bty_app.services.boot_stages import BootStages
from bty_app.services.bulk import Bulk
from bty_app.services.cache_keeper import CacheKeeper
from bty_app.services.catalog import Catalog
from bty_app.services.catalog_checks import CatalogChecks
from bty_app.services.catalog_imports import CatalogImports
from bty_app.services.catalog_jobs import CatalogJobs
from bty_app.services.catalog_upstream import CatalogUpstream
from bty_app.services.client import Client
from bty_app.services.contacts import Contacts
from bty_app.services.departure import Departure
from bty_app.services.doctor import Doctor
from bty_app.services.doctor_jobs import DoctorJobs
from bty_app.services.event_trimming import EventTrimming
from bty_app.services.hardware import Hardware
from bty_app.services.health import Health
from bty_app.services.jobs import Jobs
from bty_app.services.last_checks import LastChecks
from bty_app.services.late_events import LateEvents
from bty_app.services.machines import Machines
from bty_app.services.metrics import Metrics
from bty_app.services.offsite_jobs import OffsiteJobs
from bty_app.services.old_databases import OldDatabases
from bty_app.services.plans import Plans
from bty_app.services.recover import Recover
from bty_app.services.reports import Reports
from bty_app.services.restore import Restore
from bty_app.services.revisions import Revisions
from bty_app.services.salvage_jobs import SalvageJobs
from bty_app.services.sessions import Sessions
from bty_app.services.settings import Settings
from bty_app.services.tokens import Tokens
from bty_app.services.upkeep import Upkeep
from bty_app.services.webhooks import Webhooks
from bty_app.web.middleware import Network


@dataclass(frozen=True, slots=True)
class Services:
    """The use cases that the routes call."""

    jobs: Jobs
    backup_jobs: BackupJobs
    backup_schedule: BackupSchedule
    old_databases: OldDatabases
    salvage: SalvageJobs
    contacts: Contacts
    stages: BootStages
    boot_servers: BootServers
    plans: Plans
    reports: Reports
    machines: Machines
    hardware: Hardware
    bulk: Bulk
    catalog: Catalog
    upstream: CatalogUpstream
    checks: CatalogChecks
    last_checks: LastChecks
    late: LateEvents
    catalog_jobs: CatalogJobs
    keeper: CacheKeeper
    imports: CatalogImports
    audit: Audit
    sessions: Sessions
    health: Health
    metrics: Metrics
    revisions: Revisions
    boot_files: BootFiles
    client: Client
    artifacts: ArtifactJobs
    doctor: Doctor
    doctor_jobs: DoctorJobs
    settings: Settings
    tokens: Tokens
    event_trimming: EventTrimming
    upkeep: Upkeep
    account: AccountKeeper
    webhooks: Webhooks
    restore: Restore
    recover: Recover
    offsite: OffsiteJobs
    departure: Departure


@dataclass(frozen=True, slots=True)
class Options:
    """What of the configuration the routes need."""

    public_url: str
    trusted_proxies: tuple[Network, ...]
    machine_networks: tuple[Network, ...]
    inventory_max_bytes: int
    max_upload_bytes: int
