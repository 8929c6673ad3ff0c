"""The route table of what machines and scripts use; `page_routes` has that of browsers."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import falcon

from bty_app.services.sessions import Sessions
from bty_app.web import boot, errors, health, pxe
from bty_app.web.api import access as access_api
from bty_app.web.api import artifacts as artifacts_api
from bty_app.web.api import catalog as catalog_api
from bty_app.web.api import catalog_v1, events_v1, machines_v1, restore_v1
from bty_app.web.api import events as events_api
from bty_app.web.api import jobs as jobs_api
from bty_app.web.api import machines as machines_api
from bty_app.web.api import settings as settings_api
from bty_app.web.api import timeline as timeline_api
from bty_app.web.api import webhooks as webhooks_api
from bty_app.web.assets import Assets, StaticFile
from bty_app.web.auth import Cookies, SessionCheck
from bty_app.web.middleware import Front
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
    pages = Pages(
        assets, services.sessions, Alerts(services.audit, services.recover, services.revisions)
    )
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
    add_pages(app, services, pages, options)
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
    app.add_route("/api/v1/backups/{backup_id}/restore", restore_v1.BackupRestore(services.restore))
    app.add_route("/api/v1/restore/undo", restore_v1.RestoreUndo(services.restore))
    app.add_route("/api/v1/archives/{name}/recover", restore_v1.ArchiveRecover(services.recover))
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
