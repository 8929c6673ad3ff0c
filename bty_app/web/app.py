"""The route table: the whole HTTP surface on one page."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import Any

import falcon

from bty_app.services.account import AccountKeeper
from bty_app.services.artifact_jobs import ArtifactJobs
from bty_app.services.audit import Audit
from bty_app.services.boot_files import BootFiles
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
from bty_app.services.doctor import Doctor
from bty_app.services.hardware import Hardware
from bty_app.services.health import Health
from bty_app.services.jobs import Jobs
from bty_app.services.last_checks import LastChecks
from bty_app.services.machines import Machines
from bty_app.services.metrics import Metrics
from bty_app.services.plans import Plans
from bty_app.services.reports import Reports
from bty_app.services.revisions import Revisions
from bty_app.services.sessions import Sessions
from bty_app.services.settings import Settings
from bty_app.services.tokens import Tokens
from bty_app.services.webhooks import Webhooks
from bty_app.web import boot, errors, health, pxe
from bty_app.web.api import access as access_api
from bty_app.web.api import artifacts as artifacts_api
from bty_app.web.api import catalog as catalog_api
from bty_app.web.api import catalog_v1, events_v1, machines_v1
from bty_app.web.api import events as events_api
from bty_app.web.api import jobs as jobs_api
from bty_app.web.api import machines as machines_api
from bty_app.web.api import settings as settings_api
from bty_app.web.api import timeline as timeline_api
from bty_app.web.api import webhooks as webhooks_api
from bty_app.web.assets import Assets, StaticFile
from bty_app.web.auth import Cookies, SessionCheck
from bty_app.web.middleware import Front, Network
from bty_app.web.pages import ErrorPages, Pages
from bty_app.web.scripts import Scripts
from bty_app.web.ui import account as account_page
from bty_app.web.ui import bulk as bulk_page
from bty_app.web.ui import catalog as catalog_page
from bty_app.web.ui import (
    catalog_acts,
    catalog_add,
    catalog_entry,
    catalog_fetch,
    dashboard,
    netboot_acts,
)
from bty_app.web.ui import events as events_page
from bty_app.web.ui import jobs as jobs_page
from bty_app.web.ui import login as login_page
from bty_app.web.ui import machine as machine_page
from bty_app.web.ui import machines as machines_page
from bty_app.web.ui import netboot as netboot_page
from bty_app.web.ui import settings as settings_page
from bty_app.web.ui.alerts import Alerts
from bty_app.web.ui.catalog_query import query_of as catalog_query_of
from bty_app.web.ui.machine_hardware import HardwarePage, HardwareReport
from bty_app.web.ui.machine_query import query_of
from bty_app.web.ui.machine_view import Knowledge, MachineView
from bty_app.web.ui.polled import Polled

_COMPACT = partial(json.dumps, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Services:
    """The use cases that the routes call."""

    jobs: Jobs
    contacts: Contacts
    stages: BootStages
    plans: Plans
    reports: Reports
    machines: Machines
    hardware: Hardware
    bulk: Bulk
    catalog: Catalog
    upstream: CatalogUpstream
    checks: CatalogChecks
    last_checks: LastChecks
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
    settings: Settings
    tokens: Tokens
    account: AccountKeeper
    webhooks: Webhooks


@dataclass(frozen=True, slots=True)
class Options:
    """What of the configuration the routes need."""

    public_url: str
    trusted_proxies: tuple[Network, ...]
    inventory_max_bytes: int
    max_upload_bytes: int


def create_app(services: Services, options: Options) -> falcon.App[Any, Any]:
    """The WSGI application."""
    front = Front(
        services.metrics,
        public_url=options.public_url,
        trusted_proxies=options.trusted_proxies,
    )
    cookies = Cookies(secure=options.public_url.startswith("https://"))
    check = SessionCheck(services.sessions, services.tokens, cookies)
    assets = Assets()
    pages = Pages(assets, services.sessions, Alerts(services.audit, services.revisions))
    app: falcon.App[Any, Any] = falcon.App(
        middleware=[front, check, ErrorPages(pages)], independent_middleware=True
    )
    # A client's POST must never be answered with a redirect (CONTRACT 0.1).
    app.req_options.strip_url_path_trailing_slash = True
    json_handler = falcon.media.JSONHandler(dumps=_COMPACT)
    app.resp_options.media_handlers[falcon.MEDIA_JSON] = json_handler
    errors.install(app)
    _machine_routes(app, services, options)
    _operator_routes(app, services, options)
    _access_routes(app, services, pages)
    _login_routes(app, pages, services.sessions, check, cookies)
    _page_routes(app, services, pages)
    _catalog_routes(app, services, pages)
    _dashboard_routes(app, services, pages)
    _netboot_routes(app, services, pages, options)
    app.add_route("/static/{name}", StaticFile(assets))
    return app


def _machine_routes(app: falcon.App[Any, Any], services: Services, options: Options) -> None:
    """Open to every machine on the network."""
    reports, files = services.reports, services.boot_files
    app.add_route("/", health.Home())
    app.add_route("/healthz", health.Alive())
    app.add_route("/readyz", health.Ready(services.health))
    app.add_route("/version", health.Version())
    app.add_route("/metrics", health.MetricsText(services.health))
    app.add_route("/pxe-bootstrap.ipxe", pxe.Bootstrap(services.stages.note))
    app.add_route("/pxe/{mac}", pxe.Script(services.contacts, Scripts(files, services.client)))
    app.add_route("/client.pyz", pxe.ClientFile(services.client, services.stages.note))
    app.add_route("/pxe/{mac}/plan", pxe.PlanOf(services.plans))
    app.add_route(
        "/pxe/{mac}/inventory", pxe.InventoryOf(reports, max_bytes=options.inventory_max_bytes)
    )
    app.add_route("/pxe/{mac}/status", pxe.StatusOf(reports))
    app.add_route("/pxe/{mac}/done", pxe.DoneOf(reports))
    app.add_route("/pxe/{mac}/progress", pxe.ProgressOf(reports))
    app.add_route("/pxe/{mac}/booted", pxe.BootedOf(reports))
    app.add_route(
        "/boot/{name:path}",
        boot.BootFile(
            files, reports, services.stages.note, max_upload_bytes=options.max_upload_bytes
        ),
    )
    app.add_route("/images", catalog_api.Images(services.catalog))
    app.add_route("/catalog.toml", catalog_api.CatalogToml(services.catalog))


def _operator_routes(app: falcon.App[Any, Any], services: Services, options: Options) -> None:
    """Behind a session: JSON for scripts."""
    machines, audit = services.machines, services.audit
    app.add_route("/machines", machines_api.MachineList(machines))
    app.add_route("/machines/{mac}", machines_api.MachineByMac(machines))
    app.add_route("/machines/{mac}/lshw.json", machines_api.Hardware(machines, what="lshw"))
    app.add_route("/machines/{mac}/disks.json", machines_api.Hardware(machines, what="disks"))
    app.add_route(
        "/api/v1/machines/{mac}/timeline", timeline_api.Timeline(machines, services.stages)
    )
    bulk, here = services.bulk, "/api/v1/machines/bulk"
    app.add_route("/api/v1/machines", machines_v1.MachineLists(machines))
    app.add_route(f"{here}/preview", machines_v1.BulkPreview(bulk, machines))
    app.add_route(here, machines_v1.BulkActs(bulk, machines))
    app.add_route(f"{here}/{{act_id}}", machines_v1.BulkById(bulk))
    app.add_route(f"{here}/{{act_id}}/undo", machines_v1.BulkUndo(bulk))
    app.add_route("/catalog/entries", catalog_api.Entries(services.catalog))
    app.add_route("/catalog/import", catalog_api.Import(services.imports))
    v1 = catalog_v1.Behind(services.catalog, services.catalog_jobs)
    app.add_route("/api/v1/catalog", catalog_v1.Upload(services.imports))
    app.add_route("/api/v1/catalog/diff", catalog_v1.Diff(services.upstream))
    app.add_route("/api/v1/catalog/fetch", catalog_v1.Fetch(services.upstream))
    app.add_route("/api/v1/catalog/check", catalog_v1.Check(v1, services.checks))
    app.add_route("/api/v1/catalog/warm", catalog_v1.Warm(v1))
    app.add_route("/api/v1/catalog/entries/{ref}", catalog_v1.Entry(services.catalog))
    app.add_route("/api/v1/jobs", jobs_api.JobList(services.jobs))
    app.add_route("/api/v1/jobs/{job_id}", jobs_api.JobById(services.jobs))
    artifacts, limit = services.artifacts, options.max_upload_bytes
    root = str(services.boot_files.directory)
    app.add_route("/boot/releases", artifacts_api.Releases(artifacts, root))
    app.add_route("/boot/releases/{tag}", artifacts_api.ReleaseByTag(artifacts))
    app.add_route("/api/v1/artifacts", artifacts_api.Artifacts(artifacts, max_upload_bytes=limit))
    app.add_route("/api/v1/artifacts/fetch", artifacts_api.ArtifactsFetch(artifacts))
    app.add_route("/api/v1/artifacts/rollback", artifacts_api.ArtifactsRollback(artifacts))
    app.add_route("/api/v1/events.jsonl", events_v1.EventExport(audit))
    app.add_route("/api/v1/events/acknowledge", events_v1.EventsAcknowledge(audit))
    app.add_route("/events", events_api.EventList(audit))
    # No row of SQLite has an id of more digits.
    app.add_route(
        "/events/{event_id:int(max=9223372036854775807)}/ack", events_api.Acknowledgement(audit)
    )


def _access_routes(app: falcon.App[Any, Any], services: Services, pages: Pages) -> None:
    """Behind a session, or a token of scope admin: who comes in."""
    account, tokens = services.account, services.tokens
    app.add_route("/api/v1/tokens", access_api.TokenList(tokens))
    app.add_route("/api/v1/tokens/{token_id}", access_api.TokenById(tokens))
    app.add_route("/api/v1/sessions", access_api.SessionList(account))
    app.add_route("/api/v1/sessions/{session_id}", access_api.SessionById(account))
    app.add_route("/api/v1/account/password", access_api.PasswordChange(account))
    app.add_route("/api/v1/settings", settings_api.SettingList(services.settings))
    app.add_route("/api/v1/webhooks", webhooks_api.WebhookList(services.webhooks))
    app.add_route("/api/v1/webhooks/test", webhooks_api.WebhookTest(services.webhooks))
    view = account_page.AccountView(pages, account, tokens)
    app.add_route("/ui/account", account_page.AccountPage(view))
    app.add_route("/ui/account/password", account_page.AccountPassword(view))
    app.add_route("/ui/account/sessions/end", account_page.AccountSessions(view))
    app.add_route("/ui/account/tokens", account_page.AccountTokens(view))
    app.add_route("/ui/account/tokens/{token_id}/revoke", account_page.AccountRevoke(view))


def _login_routes(
    app: falcon.App[Any, Any],
    pages: Pages,
    sessions: Sessions,
    check: SessionCheck,
    cookies: Cookies,
) -> None:
    """The way in and out."""
    app.add_route("/ui/login", login_page.Login(pages, sessions, check, cookies))
    app.add_route("/ui/logout", login_page.Logout(sessions, cookies))


def _page_routes(app: falcon.App[Any, Any], services: Services, pages: Pages) -> None:
    """Behind a session: pages for operators' browsers."""
    machines, audit, revisions = services.machines, services.audit, services.revisions
    app.add_route("/ui", login_page.Forward(login_page.HOME))
    table = machines_page.MachineTable(pages, machines, services.catalog, revisions, machines.now)
    app.add_route("/ui/machines", machines_page.MachinesPage(pages, table))
    app.add_route("/ui/machines/rows", Polled(table, query_of))
    _bulk_routes(app, services, pages)
    _machine_page_routes(app, services, pages)
    events = events_page.EventTable(pages, audit, revisions)
    app.add_route("/ui/events", events_page.EventsPage(pages, events))
    app.add_route("/ui/events/rows", Polled(events, events_page.query_of))
    app.add_route("/ui/events/acknowledge", events_page.EventMarks(audit))
    app.add_route("/ui/events/acknowledge-matching", events_page.EventMarksMatching(audit))
    app.add_route("/ui/jobs/{job_id}/cancel", jobs_page.JobCancel(services.jobs))
    changing = settings_page.SettingsView(pages, services.settings, services.webhooks)
    app.add_route("/ui/settings", settings_page.SettingsPage(changing))
    app.add_route("/ui/settings/webhook-test", settings_page.SettingsTest(changing))
    app.add_route("/ui/settings/upstream", settings_page.SettingsUpstream(changing))


def _machine_page_routes(app: falcon.App[Any, Any], services: Services, pages: Pages) -> None:
    """Behind a session: the pages of one machine."""
    machines, hardware = services.machines, services.hardware
    knowledge = Knowledge(
        machines,
        services.contacts,
        services.plans,
        services.catalog,
        services.audit,
        services.stages,
        hardware,
    )
    view = MachineView(pages, knowledge, Scripts(services.boot_files, services.client))
    state = machine_page.MachineState(view, services.revisions)
    one = "/ui/machines/{mac}"
    app.add_route(one, machine_page.MachinePage(view, state))
    app.add_route(f"{one}/state", state)
    app.add_route(f"{one}/preview", machine_page.MachinePreview(view))
    app.add_route(f"{one}/again", machine_page.MachineAgain(view))
    app.add_route(f"{one}/delete", machine_page.MachineDelete(view))
    app.add_route(f"{one}/hardware", HardwarePage(pages, machines, hardware))
    app.add_route(
        f"{one}/hardware/{{number:int(max=9223372036854775807)}}", HardwareReport(hardware)
    )


def _bulk_routes(app: falcon.App[Any, Any], services: Services, pages: Pages) -> None:
    """Behind a session: acts on many machines."""
    bulk = services.bulk
    state = bulk_page.BulkState(pages, bulk, services.revisions)
    app.add_route(
        bulk_page.HERE, bulk_page.BulkPage(pages, bulk, services.catalog, services.machines.now)
    )
    here = f"{bulk_page.HERE}/{{act_id}}"
    app.add_route(here, bulk_page.BulkAct(pages, bulk, state))
    app.add_route(f"{here}/state", state)
    app.add_route(f"{here}/undo", bulk_page.BulkOn(lambda act_id, ip: bulk.undo(act_id, ip=ip)))
    app.add_route(f"{here}/cancel", bulk_page.BulkOn(lambda act_id, _ip: bulk.cancel(act_id)))
    app.add_route(f"{here}/go-on", bulk_page.BulkOn(lambda act_id, _ip: bulk.go_on(act_id)))


def _dashboard_routes(app: falcon.App[Any, Any], services: Services, pages: Pages) -> None:
    """Behind a session: the first page."""
    knowledge = dashboard.Knowledge(
        services.machines,
        services.catalog,
        services.boot_files,
        services.doctor,
        services.jobs,
        services.audit,
        services.revisions,
    )
    state = dashboard.DashboardState(pages, knowledge)
    app.add_route("/ui/dashboard", dashboard.DashboardPage(pages, state))
    app.add_route("/ui/dashboard/state", Polled(state, lambda _req: None))


def _netboot_routes(
    app: falcon.App[Any, Any], services: Services, pages: Pages, options: Options
) -> None:
    """Behind a session: the pages of netboot artifacts."""
    artifacts = services.artifacts
    state = netboot_page.NetbootState(
        pages, artifacts, services.boot_files, services.jobs, services.revisions
    )
    view = netboot_page.NetbootView(state, max_upload_bytes=options.max_upload_bytes)
    app.add_route("/ui/netboot", netboot_page.NetbootPage(view))
    app.add_route("/ui/netboot/state", Polled(state, lambda _req: None))
    app.add_route("/ui/netboot/fetch-release", netboot_acts.NetbootFetch(view))
    app.add_route("/ui/netboot/upload", netboot_acts.NetbootUpload(view, services.sessions))
    rollback = netboot_acts.NetbootRollback(pages, view, artifacts)
    app.add_route("/ui/netboot/rollback", rollback)


def _catalog_routes(app: falcon.App[Any, Any], services: Services, pages: Pages) -> None:
    """Behind a session: the pages of the catalog."""
    catalog, jobs, upstream = services.catalog, services.catalog_jobs, services.upstream
    knowledge = catalog_page.Knowledge(
        catalog, upstream, jobs, services.last_checks, services.keeper.state
    )
    table = catalog_page.CatalogTable(pages, knowledge, services.revisions)
    view = catalog_page.CatalogView(pages, table)
    app.add_route("/ui/images", login_page.Forward("/ui/catalog"))
    app.add_route("/ui/catalog", catalog_page.CatalogPage(view))
    app.add_route("/ui/catalog/rows", Polled(table, catalog_query_of))
    app.add_route("/ui/catalog/check", catalog_acts.CatalogCheckAll(jobs))
    app.add_route("/ui/catalog/upload", catalog_add.CatalogUpload(view, services.imports))
    app.add_route("/ui/catalog/entries", catalog_add.CatalogAdd(view, catalog))
    check = catalog_acts.CatalogCheck(catalog, services.checks, jobs)
    app.add_route("/ui/catalog/entries/check", check)
    app.add_route("/ui/catalog/entries/warm", catalog_acts.CatalogWarm(catalog, jobs))
    app.add_route("/ui/catalog/entries/{ref}", catalog_entry.EntryPage(pages, catalog))
    app.add_route("/ui/catalog/entries/{ref}/delete", catalog_entry.EntryDelete(pages, catalog))
    state = catalog_fetch.FetchState(pages, upstream, jobs, services.revisions)
    app.add_route("/ui/catalog/fetch", catalog_fetch.FetchPage(pages, state, jobs))
    app.add_route("/ui/catalog/fetch/state", Polled(state, lambda _req: None))
    app.add_route("/ui/catalog/fetch-release", catalog_fetch.FetchRelease(jobs))
