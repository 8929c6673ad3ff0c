"""The route table of what machines and scripts use; `page_routes` has that of browsers."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import falcon

from bty_app.services.sessions import Sessions
from bty_app.web import boot, errors, health, pxe
from bty_app.web.api import access as access_api
from bty_app.web.api import archives as archives_api
from bty_app.web.api import artifacts as artifacts_api
from bty_app.web.api import (
    backup_runs,
    catalog_images,
    catalog_v1,
    events_v1,
    machines_v1,
    restore_v1,
)
from bty_app.web.api import backups as backups_api
from bty_app.web.api import catalog as catalog_api
from bty_app.web.api import doctor as doctor_api
from bty_app.web.api import events as events_api
from bty_app.web.api import hardware as hardware_api
from bty_app.web.api import jobs as jobs_api
from bty_app.web.api import machines as machines_api
from bty_app.web.api import migration as migration_api
from bty_app.web.api import settings as settings_api
from bty_app.web.api import timeline as timeline_api
from bty_app.web.api import webhooks as webhooks_api
from bty_app.web.api.machine_state import MachineState
from bty_app.web.assets import Assets, StaticFile
from bty_app.web.auth import Cookies, SessionCheck
from bty_app.web.machine_networks import MachineNetworks
from bty_app.web.middleware import Front
from bty_app.web.openapi import OpenApi
from bty_app.web.operations import Routes
from bty_app.web.page_routes import add_pages
from bty_app.web.pages import ErrorPages, Pages
from bty_app.web.parts import Options, Services
from bty_app.web.scripts import Scripts
from bty_app.web.ui import account as account_page
from bty_app.web.ui import login as login_page
from bty_app.web.ui.alerts import Alerts

__all__ = ["Options", "Services", "create_app"]

_COMPACT = partial(json.dumps, separators=(",", ":"))


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
    alerts = Alerts(
        services.audit, services.recover, services.revisions, services.departure.refusal
    )
    pages = Pages(assets, services.sessions, alerts)
    app: falcon.App[Any, Any] = falcon.App(
        middleware=[front, check, MachineNetworks(options.machine_networks), ErrorPages(pages)],
        independent_middleware=True,
    )
    # A client's POST must never be answered with a redirect (CONTRACT 0.1).
    app.req_options.strip_url_path_trailing_slash = True
    json_handler = falcon.media.JSONHandler(dumps=_COMPACT)
    app.resp_options.media_handlers[falcon.MEDIA_JSON] = json_handler
    errors.install(app)
    routes, document = Routes(app), OpenApi()
    routes.add("/openapi.json", document)
    _machine_routes(routes, services, options)
    _operator_routes(routes, services, options)
    _catalog_routes(routes, services)
    _backup_routes(routes, services)
    _migration_routes(routes, services)
    _access_routes(routes, services)
    document.publish(routes.every)
    _account_routes(app, services, pages)
    _login_routes(app, pages, services.sessions, check, cookies)
    add_pages(app, services, pages, options)
    app.add_route("/static/{name}", StaticFile(assets))
    return app


def _machine_routes(routes: Routes, services: Services, options: Options) -> None:
    """Open to every machine on the network."""
    reports, files = services.reports, services.boot_files
    routes.add("/", health.Home())
    routes.add("/healthz", health.Alive())
    routes.add("/readyz", health.Ready(services.health))
    routes.add("/version", health.Version())
    routes.add("/metrics", health.MetricsText(services.health))
    routes.add("/pxe-bootstrap.ipxe", pxe.Bootstrap(services.stages.note))
    scripts = Scripts(files, services.client)
    routes.add("/pxe/{mac}", pxe.Script(services.contacts, scripts, services.departure.mark))
    routes.add("/client.pyz", pxe.ClientFile(services.client, services.stages.note))
    routes.add("/pxe/{mac}/plan", pxe.PlanOf(services.plans, services.departure.mark))
    routes.add(
        "/pxe/{mac}/inventory", pxe.InventoryOf(reports, max_bytes=options.inventory_max_bytes)
    )
    routes.add("/pxe/{mac}/status", pxe.StatusOf(reports))
    routes.add("/pxe/{mac}/done", pxe.DoneOf(reports))
    routes.add("/pxe/{mac}/progress", pxe.ProgressOf(reports))
    routes.add("/pxe/{mac}/booted", pxe.BootedOf(reports))
    routes.add(
        "/boot/{name:path}",
        boot.BootFile(
            files, reports, services.stages.note, max_upload_bytes=options.max_upload_bytes
        ),
    )
    routes.add("/images", catalog_api.Images(services.catalog))
    routes.add("/catalog.toml", catalog_api.CatalogToml(services.catalog))


def _backup_routes(routes: Routes, services: Services) -> None:
    """Behind a session: JSON about backups."""
    making, backup = services.backup_jobs, "/api/v1/backups/{backup_id}"
    routes.add("/api/v1/backups", backups_api.BackupList(making, services.backup_schedule))
    routes.add(backup, backups_api.BackupById(making))
    routes.add("/workers/backups", backup_runs.BackupRunList(making))
    routes.add("/workers/backups/{backup_id}", backup_runs.BackupRunById(making))
    routes.add(f"{backup}/verify", backups_api.BackupProof(making))
    routes.add(f"{backup}/archive.tar", backups_api.BackupArchive(making))
    routes.add(f"{backup}/restore", restore_v1.BackupRestore(services.restore))
    routes.add("/api/v1/restore/undo", restore_v1.RestoreUndo(services.restore))
    old = services.old_databases
    routes.add("/api/v1/archives", archives_api.ArchiveList(old))
    routes.add("/api/v1/archives/{archive}", archives_api.ArchiveByName(old))
    routes.add("/api/v1/archives/{archive}/salvage", restore_v1.ArchiveSalvage(services.salvage))
    routes.add("/api/v1/archives/{archive}/recover", restore_v1.ArchiveRecover(services.recover))


def _operator_routes(routes: Routes, services: Services, options: Options) -> None:
    """Behind a session: JSON for scripts."""
    machines, audit = services.machines, services.audit
    routes.add("/machines", machines_api.MachineList(machines))
    routes.add("/machines/{mac}", machines_api.MachineByMac(machines))
    routes.add("/machines/{mac}/lshw.json", machines_api.Hardware(machines, what="lshw"))
    routes.add("/machines/{mac}/disks.json", machines_api.Hardware(machines, what="disks"))
    routes.add("/api/v1/machines/{mac}/timeline", timeline_api.Timeline(machines, services.stages))
    history = "/api/v1/machines/{mac}/hardware"
    routes.add(history, hardware_api.HardwareHistory(machines, services.hardware))
    routes.add(
        f"{history}/{{number:int(max=9223372036854775807)}}",
        hardware_api.HardwareReport(services.hardware),
    )
    bulk, here = services.bulk, "/api/v1/machines/bulk"
    routes.add("/api/v1/machines/{mac}", MachineState(machines))
    routes.add("/api/v1/machines", machines_v1.MachineLists(machines))
    routes.add(f"{here}/preview", machines_v1.BulkPreview(bulk, machines))
    routes.add(here, machines_v1.BulkActs(bulk, machines))
    routes.add(f"{here}/{{act_id}}", machines_v1.BulkById(bulk))
    routes.add(f"{here}/{{act_id}}/undo", machines_v1.BulkUndo(bulk))
    routes.add("/api/v1/jobs", jobs_api.JobList(services.jobs))
    routes.add("/api/v1/jobs/{job_id}", jobs_api.JobById(services.jobs))
    routes.add("/api/v1/doctor", doctor_api.DoctorReport(services.doctor_jobs))
    artifacts, limit = services.artifacts, options.max_upload_bytes
    root = str(services.boot_files.directory)
    routes.add("/boot/releases", artifacts_api.Releases(artifacts, root))
    routes.add("/boot/releases/{tag}", artifacts_api.ReleaseByTag(artifacts))
    routes.add("/api/v1/artifacts", artifacts_api.Artifacts(artifacts, max_upload_bytes=limit))
    routes.add("/api/v1/artifacts/fetch", artifacts_api.ArtifactsFetch(artifacts))
    routes.add("/api/v1/artifacts/check", artifacts_api.ArtifactsCheck(artifacts))
    routes.add("/api/v1/artifacts/rollback", artifacts_api.ArtifactsRollback(artifacts))
    routes.add("/api/v1/events", events_v1.Events(audit))
    routes.add("/api/v1/events.jsonl", events_v1.EventExport(audit))
    routes.add("/api/v1/events/acknowledge", events_v1.EventsAcknowledge(audit))
    routes.add("/events", events_api.EventList(audit))
    # No row of SQLite has an id of more digits.
    routes.add(
        "/events/{event_id:int(max=9223372036854775807)}/ack", events_api.Acknowledgement(audit)
    )


def _catalog_routes(routes: Routes, services: Services) -> None:
    """Behind a session: JSON about images."""
    routes.add("/catalog/entries", catalog_api.Entries(services.catalog))
    routes.add("/catalog/import", catalog_api.Import(services.imports))
    v1 = catalog_v1.Behind(services.catalog, services.catalog_jobs)
    routes.add("/api/v1/catalog", catalog_images.Images(services.catalog, services.imports))
    routes.add("/api/v1/catalog/import", catalog_images.Import(services.imports))
    routes.add("/api/v1/catalog/entries", catalog_images.Entries(services.catalog))
    routes.add("/api/v1/catalog/diff", catalog_v1.Diff(services.upstream))
    routes.add("/api/v1/catalog/fetch", catalog_v1.Fetch(services.upstream))
    routes.add("/api/v1/catalog/check", catalog_v1.Check(v1, services.checks))
    routes.add("/api/v1/catalog/warm", catalog_v1.Warm(v1))
    routes.add("/api/v1/catalog/entries/{ref}", catalog_images.Entry(services.catalog))


def _access_routes(routes: Routes, services: Services) -> None:
    """Behind a session, or a token of scope admin: who comes in."""
    account, tokens = services.account, services.tokens
    routes.add("/api/v1/tokens", access_api.TokenList(tokens))
    routes.add("/api/v1/tokens/{token_id}", access_api.TokenById(tokens))
    routes.add("/api/v1/sessions", access_api.SessionList(account))
    routes.add("/api/v1/sessions/{session_id}", access_api.SessionById(account))
    routes.add("/api/v1/account/password", access_api.PasswordChange(account))
    routes.add("/api/v1/settings", settings_api.SettingList(services.settings))
    routes.add("/api/v1/webhooks", webhooks_api.WebhookList(services.webhooks))
    routes.add("/api/v1/webhooks/test", webhooks_api.WebhookTest(services.webhooks))


def _migration_routes(routes: Routes, services: Services) -> None:
    """Behind a token of scope admin: another host that takes over."""
    departure, here = services.departure, "/api/v1/migration"
    routes.add(here, migration_api.Migration(departure))
    routes.add(f"{here}/leaving", migration_api.MigrationLeaving(departure))
    routes.add(f"{here}/moved", migration_api.MigrationMoved(departure))
    routes.add(f"{here}/copy/{{name}}", migration_api.MigrationCopy(departure))
    routes.add(f"{here}/boot/{{name:path}}", migration_api.MigrationBoot(departure))


def _account_routes(app: falcon.App[Any, Any], services: Services, pages: Pages) -> None:
    """Behind a session: the page of who comes in."""
    view = account_page.AccountView(pages, services.account, services.tokens)
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
