"""The routes of the pages, all behind a session."""

from __future__ import annotations

from typing import Any

import falcon

from bty_app.web.machine_query import query_of
from bty_app.web.pages import Pages
from bty_app.web.parts import Options, Services
from bty_app.web.scripts import Scripts
from bty_app.web.ui import backups as backups_page
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
from bty_app.web.ui import doctor as doctor_page
from bty_app.web.ui import events as events_page
from bty_app.web.ui import jobs as jobs_page
from bty_app.web.ui import login as login_page
from bty_app.web.ui import machine as machine_page
from bty_app.web.ui import machines as machines_page
from bty_app.web.ui import moved as moved_page
from bty_app.web.ui import netboot as netboot_page
from bty_app.web.ui import recover as recover_page
from bty_app.web.ui import restore as restore_page
from bty_app.web.ui import settings as settings_page
from bty_app.web.ui.backup_file import BackupDownload, BackupFile
from bty_app.web.ui.backup_schedule import ScheduleView, SettingsBackup
from bty_app.web.ui.catalog_query import query_of as catalog_query_of
from bty_app.web.ui.machine_hardware import HardwarePage, HardwareReport
from bty_app.web.ui.machine_view import Knowledge, MachineView
from bty_app.web.ui.old_databases import OldDatabasesPage, OldDatabasesRemove
from bty_app.web.ui.polled import Polled
from bty_app.web.ui.salvage import SalvagePage, SalvageState


def add_pages(
    app: falcon.App[Any, Any], services: Services, pages: Pages, options: Options
) -> None:
    """Give `app` its pages."""
    _page_routes(app, services, pages)
    _catalog_routes(app, services, pages)
    _dashboard_routes(app, services, pages)
    _netboot_routes(app, services, pages, options)
    _backup_routes(app, services, pages)
    _restore_routes(app, services, pages)


def _restore_routes(app: falcon.App[Any, Any], services: Services, pages: Pages) -> None:
    """Behind a session: backups compared and put back, old databases."""
    view = restore_page.RestoreView(pages, services.restore, services.catalog, services.backup_jobs)
    backup = "/ui/backups/{backup_id}"
    app.add_route(f"{backup}/compare", restore_page.ComparePage(view))
    app.add_route(f"{backup}/machines/{{mac}}", restore_page.BackupMachine(view))
    app.add_route(f"{backup}/restore", restore_page.RestorePage(view))
    app.add_route("/ui/restore/undo", restore_page.UndoPage(view))
    app.add_route("/ui/moved", moved_page.MovedPage(pages, services.departure, services.audit))
    old = services.old_databases
    app.add_route("/ui/recover", OldDatabasesPage(pages, services.recover, old))
    app.add_route("/ui/recover/remove", OldDatabasesRemove(pages, old))
    app.add_route(f"{backup}/recover", recover_page.BackupRecoverPage(view, services.recover))
    salvage = SalvagePage(view, services.recover, services.salvage)
    app.add_route("/ui/recover/{name}/salvage", salvage)
    app.add_route("/ui/recover/{name}/salvage/state", SalvageState(services.salvage))
    app.add_route("/ui/recover/{name}", recover_page.RecoverPage(view, services.recover))


def _page_routes(app: falcon.App[Any, Any], services: Services, pages: Pages) -> None:
    """Behind a session: pages for operators' browsers."""
    machines, audit, revisions = services.machines, services.audit, services.revisions
    app.add_route("/ui", login_page.Forward(login_page.HOME))
    table = machines_page.MachineTable(
        pages, machines, services.catalog, services.settings, revisions, machines.now
    )
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
    schedule = ScheduleView(pages, services.settings, services.backup_jobs.backups)
    app.add_route("/ui/settings/backup", SettingsBackup(schedule))
    changing = settings_page.SettingsView(pages, schedule, services.webhooks)
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
        services.settings,
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
    """Behind a session: the first page, and the examination of this installation."""
    knowledge = dashboard.Knowledge(
        services.machines,
        services.catalog,
        services.boot_files,
        services.doctor,
        services.jobs,
        services.audit,
        services.health,
        services.account,
        services.revisions,
        services.backup_schedule,
    )
    state = dashboard.DashboardState(pages, knowledge)
    app.add_route("/ui/dashboard", dashboard.DashboardPage(pages, state))
    app.add_route("/ui/dashboard/state", Polled(state, lambda _req: None))
    examined = doctor_page.DoctorState(pages, services.doctor_jobs, services.revisions)
    page = doctor_page.DoctorPage(pages, examined, services.doctor_jobs)
    app.add_route(doctor_page.HERE, page)
    app.add_route(f"{doctor_page.HERE}/state", Polled(examined, lambda _req: None))


def _backup_routes(app: falcon.App[Any, Any], services: Services, pages: Pages) -> None:
    """Behind a session: the pages of backups."""
    making, backups = services.backup_jobs, services.backup_jobs.backups
    state = backups_page.BackupState(
        pages,
        backups_page.Knowledge(
            making,
            services.backup_schedule,
            services.jobs,
            services.audit,
            services.revisions,
            services.offsite,
            services.restore,
        ),
    )
    page = backups_page.BackupsPage(state, making)
    app.add_route(backups_page.HERE, page)
    app.add_route(f"{backups_page.HERE}/state", Polled(state, lambda _req: None))
    offsite = backups_page.OffsiteAct(page, services.offsite)
    app.add_route(f"{backups_page.HERE}/offsite", offsite)
    acts = {
        "pin": (lambda name, by: backups.pin(name, by, is_pinned=True), ""),
        "unpin": (lambda name, by: backups.pin(name, by, is_pinned=False), ""),
        "prove": (lambda name, _by: making.prove(name, drill=False), "proof"),
        "drill": (lambda name, _by: making.prove(name, drill=True), "proof"),
    }
    one = f"{backups_page.HERE}/{{backup_id}}"
    for word, (act, done) in acts.items():
        app.add_route(f"{one}/{word}", backups_page.BackupAct(page, act, done))
    app.add_route(one, BackupFile(making))
    app.add_route(f"{one}/download", BackupDownload(making))
    app.add_route(f"{one}/remove", backups_page.BackupRemove(page, pages, making))


def _netboot_routes(
    app: falcon.App[Any, Any], services: Services, pages: Pages, options: Options
) -> None:
    """Behind a session: the pages of netboot artifacts."""
    artifacts = services.artifacts
    state = netboot_page.NetbootState(
        pages,
        artifacts,
        services.boot_files,
        services.boot_servers,
        services.jobs,
        services.revisions,
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
    app.add_route("/ui/images/{ref}/prewarm", catalog_acts.ImagePrewarm(catalog, jobs))
    app.add_route("/ui/catalog/entries/{ref}", catalog_entry.EntryPage(pages, catalog))
    app.add_route("/ui/catalog/entries/{ref}/delete", catalog_entry.EntryDelete(pages, catalog))
    state = catalog_fetch.FetchState(pages, upstream, jobs, services.revisions)
    app.add_route("/ui/catalog/fetch", catalog_fetch.FetchPage(pages, state, jobs))
    app.add_route("/ui/catalog/fetch/state", Polled(state, lambda _req: None))
    app.add_route("/ui/catalog/fetch-release", catalog_fetch.FetchRelease(jobs))
