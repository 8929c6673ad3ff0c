"""`serve`: the server."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from types import FrameType

import apsw

from bty_app import __version__, logs, runtime, runtime_netboot, runtime_parts, state_dir
from bty_app.cli import options
from bty_app.cli.asking import self_test
from bty_app.config import Config
from bty_app.config_sources import PUBLISHED_PASSWORD
from bty_app.domain.replication import LOCAL_DIRECTORY
from bty_app.errors import BtyError, MovedError, StorageError
from bty_app.services import host as hosts
from bty_app.services import journal_choice, passwords
from bty_app.services.arrival import check_finished
from bty_app.services.backup_before import back_up_before_rotation
from bty_app.services.revisions import Revisions
from bty_app.store import locks
from bty_app.store.database import Database
from bty_app.store.publish import make_directories
from bty_app.store.rotation import Opening, open_state
from bty_app.store.sqlite import Journal
from bty_app.web.app import Services, create_app
from bty_app.workers import http, notify
from bty_app.workers.jobs import JobWorker
from bty_app.workers.scheduler import Scheduler
from bty_app.workers.supervisor import Supervisor

_log = logging.getLogger(__name__)
SCHEDULER_SECONDS = 30.0
WEBHOOK_SECONDS = 2.0
STAGES_SECONDS = 2.0
BACKUP_SECONDS = 60.0

_FLAGS = (
    *("server.host", "server.port", "server.public_url"),
    *("netboot.tftp", "netboot.proxy_dhcp", "log.level"),
)
_EPILOG = """examples:
  bty serve                                  listen on every address, port 8080
  bty serve --host 127.0.0.1 --port 0        a free port of this machine alone
  bty --state-dir /srv/bty serve             keep all state in /srv/bty
  BTY_ADMIN_PASSWORD=... bty serve           in place of a generated password
  bty serve --tftp --proxy-dhcp              lead machines here, beside the DHCP server of the LAN

All state is in the state directory; nothing is written anywhere else. SIGTERM or ^C ends the
server: it finishes the requests under way and empties the write-ahead log. A service manager that
listens at NOTIFY_SOCKET (Type=notify) is told when the server has proven that it answers.
A database of another version is archived as state.db.<version>.<time>.bak after a backup, and a
fresh one takes over the hardware of every machine.
--tftp and --proxy-dhcp need the right to listen on ports below 1024 (CAP_NET_BIND_SERVICE).
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = _EPILOG
    for key in _FLAGS:
        options.add_config_flag(parser, key)


def run(_args: argparse.Namespace, config: Config) -> int:
    """Serve until SIGTERM or SIGINT; the exit status is 0 then."""
    place = config.paths.state_dir
    journal_choice.check(config.tuning.journal, with_litestream=bool(config.litestream.url))
    manager = notify.manager(os.environ)
    notes = (*config.notes, *runtime_netboot.notes(config))
    _tell(config.state_dir_note, *notes, state_dir.prepare_state_dir(place))
    listener = http.bind(config.server.host, config.server.port)
    about = f"pid {os.getpid()}, bty {__version__}, since {_now().isoformat(timespec='seconds')}"
    with contextlib.ExitStack() as stack:
        stack.callback(listener.close)
        sockets = runtime_netboot.bound(config, stack)
        stack.enter_context(locks.serving(place, about=about))
        check_finished(place)
        with manager.busy("opening the database; one of another release is backed up first"):
            _tell(_opened(config).sentence)
        revisions = Revisions()
        database = _database(config, revisions, stack)
        secrets = runtime.secrets(config)
        services = runtime.services(config, database, revisions, known=secrets)
        stack.callback(_write_the_last, services)
        stack.callback(services.departure.end)
        if why := services.departure.refusal():
            _tell(why)
        else:
            hosts.note(database, hosts.this_host())
            services.imports.import_catalog_file()
        app = create_app(services, runtime_parts.options(config))
        worker = http.HttpWorker(
            app,
            listener,
            threads=config.server.threads,
            max_body_bytes=max(config.tuning.max_upload_bytes, config.tuning.inventory_max_bytes),
            spool_dir=place,
        )
        schedulers = _schedulers(services)
        revisions.listen("settings", schedulers[-1].wake)
        jobs = [JobWorker(services.jobs, n) for n in range(1, runtime.JOB_THREADS + 1)]
        host, port = listener.getsockname()[:2]
        boot = runtime_netboot.workers(config, sockets, services, http_port=port)
        _announce(host, port, config, secrets.password, [worker.name for worker in boot])
        manager.ready(
            f"bty {__version__} serves port {port}",
            proof=lambda: self_test(app, config, has_moved=bool(why)),
        )
        _supervise(Supervisor([worker, *schedulers, *boot, *jobs]), manager)
        with contextlib.suppress(StorageError, MovedError):
            services.tokens.note_uses()
    return 0


def _schedulers(services: Services) -> tuple[Scheduler, ...]:
    """What is done now and then; backups are the last, since they are woken."""
    serving = services.departure.serving
    return (
        Scheduler(tasks(services), seconds=SCHEDULER_SECONDS),
        Scheduler(
            {"webhooks": serving(services.webhooks.turn)},
            seconds=WEBHOOK_SECONDS,
            name="webhooks",
        ),
        Scheduler(
            {"stages": serving(services.stages.flush)},
            seconds=STAGES_SECONDS,
            name="boot-stages",
        ),
        Scheduler(
            {"backups": serving(services.backup_schedule.turn, "backups")},
            seconds=BACKUP_SECONDS,
            name="backups",
        ),
    )


def tasks(services: Services) -> dict[str, Callable[[], object]]:
    """What is looked at now and then: each is done within seconds, one after the other."""
    done_here = {
        "silence": services.reports.report_silence,
        "never-up": services.reports.report_never_up,
        "cache": services.keeper.turn,
        "tokens": services.tokens.note_uses,
        "event-trimming": services.event_trimming.turn,
        "upkeep": services.upkeep.turn,
        "offsite": services.offsite.turn,
        "late-events": services.late.flush,
    }
    serving = services.departure.serving
    return {
        "departure": services.departure.look,
        **{name: serving(task) for name, task in done_here.items()},
    }


def _write_the_last(services: Services) -> None:
    """What waits in memory. It is no more than a help: without it the end is in order, too."""
    for name, write in (("stages", services.stages.flush), ("late-events", services.late.flush)):
        try:
            write()
        except BtyError as error:
            logs.event(_log, logging.WARNING, name, error=error.message)


def _opened(config: Config) -> Opening:
    return open_state(
        config.paths.state_dir,
        version=__version__,
        now=_now(),
        backup=lambda old: _backed_up(old, config),
        journal=Journal(config.tuning.journal),
    )


def _database(config: Config, revisions: Revisions, stack: contextlib.ExitStack) -> Database:
    place, journal = config.paths.state_dir, Journal(config.tuning.journal)
    if config.litestream.url:  # before its first start, checkpoints are left to it
        make_directories(place / LOCAL_DIRECTORY)
    database = stack.enter_context(runtime.opened(place, revisions, journal))
    if said := journal_choice.warning(place, journal):
        _tell(f"warning: {said}")
        logs.event(_log, logging.WARNING, "journal", warning=said)
    return database


def _backed_up(old: apsw.Connection, config: Config) -> str:
    """A backup of the database that is about to be archived; its id."""
    directory = config.paths.backup_dir
    return back_up_before_rotation(old, directory, version=__version__, now=_now())


def _supervise(supervisor: Supervisor, manager: notify.Manager) -> None:
    def stop(_number: int, _frame: FrameType | None) -> None:
        manager.stopping()
        supervisor.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    supervisor.run()
    logs.event(_log, logging.INFO, "stopped")


def _announce(
    host: str, port: int, config: Config, password: passwords.Secret, boot: list[str]
) -> None:
    shown = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104 - shown, not bound
    lines = [
        f"bty {__version__} serves http://{f'[{shown}]' if ':' in shown else shown}:{port}/",
        f"state:    {config.paths.state_dir}",
    ]
    if boot:
        lines.append(f"boot:     {', '.join(boot)}")
    if password.path is not None:
        how = "generated, in" if password.generated else "in"
        lines.append(f"password: {how} {password.path}")
    elif config.admin.password_file and password.value == PUBLISHED_PASSWORD:
        file = config.admin.password_file
        lines.append(f"{file} has the published default of the original: change it")
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
    logs.event(_log, logging.INFO, "serving", host=host, port=port, version=__version__)


def _tell(*sentences: str) -> None:
    for sentence in sentences:
        if sentence:
            sys.stdout.write(f"{sentence}\n")
    sys.stdout.flush()


def _now() -> datetime:
    return datetime.now(UTC)
