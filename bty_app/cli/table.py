"""The command table: which module a command is, its help line, and where it may be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Command:
    """A row of the table; `serves`: logs at the configured level, others warn only.

    `over_http`: it is also for a server elsewhere. `instead`: it is for the state directory of
    this host alone, and this is how the same is had of a server elsewhere.
    """

    module: str
    help: str
    serves: bool = False
    over_http: bool = False
    instead: str = ""


COMMANDS: Mapping[str, Command] = {
    "serve": Command("bty_app.cli.serve", "run the server: HTTP, PXE, UI", serves=True),
    "export": Command(
        "bty_app.cli.export",
        "write the hardware identity of all machines",
        instead="GET /api/v1/backups/NAME/archive.tar has the bundle of a backup",
    ),
    "import": Command(
        "bty_app.cli.import_",
        "take over the machines of a bundle",
        instead="run it there, it needs the state directory",
    ),
    "backup": Command(
        "bty_app.cli.backup", "back up everything, beside a running server or not", over_http=True
    ),
    "backups": Command("bty_app.cli.backups", "list, show, pin and remove backups", over_http=True),
    "verify": Command(
        "bty_app.cli.verify",
        "check a backup, a bundle or a database",
        instead="POST /api/v1/backups/NAME/verify reads a backup back",
    ),
    "restore": Command(
        "bty_app.cli.restore",
        "put a backup back, shown row by row first",
        instead="run it there while the server is down, or POST /api/v1/backups/NAME/restore",
    ),
    "recover": Command(
        "bty_app.cli.recover",
        "carry over what an old database still holds",
        instead="run it there, or POST /api/v1/archives/NAME/recover",
    ),
    "upgrade": Command(
        "bty_app.cli.upgrade",
        "bring bty on this host to a newer release, or back",
        instead="run it on that host",
    ),
    "rollback": Command(
        "bty_app.cli.rollback",
        "put the database from before an upgrade back",
        instead="run it there while the server is stopped",
    ),
    "doctor": Command(
        "bty_app.cli.doctor",
        "check the installation, each finding with its remedy",
        instead="GET /readyz and the page /ui/doctor tell how it is",
    ),
    "offsite": Command(
        "bty_app.cli.offsite",
        "copy backups elsewhere, list them there, and bring them back",
        instead="run it there, or use the page /ui/backups",
    ),
    "machine": Command(
        "bty_app.cli.machine", "list, show, change and forget machines", over_http=True
    ),
    "events": Command("bty_app.cli.events", "show the audit log, filtered", over_http=True),
    "catalog": Command(
        "bty_app.cli.catalog", "list, import, add and remove images", over_http=True
    ),
    "artifacts": Command(
        "bty_app.cli.artifacts",
        "list, fetch, install and roll back live environments",
        over_http=True,
    ),
    "demo": Command("bty_app.cli.demo", "show it all in a virtual machine of this host"),
    "live": Command("bty_app.cli.live", "build the live environment that machines boot"),
    "settings": Command(
        "bty_app.cli.settings", "list and change what a running server takes up", over_http=True
    ),
    "token": Command(
        "bty_app.cli.token", "create, list and revoke the API tokens of scripts", over_http=True
    ),
    "webhook": Command(
        "bty_app.cli.webhook", "list and test the receivers of events", over_http=True
    ),
    "litestream": Command(
        "bty_app.cli.litestream",
        "configure and check the continuous replication of the database",
        instead="run it there, it needs the database file",
    ),
    "migrate": Command(
        "bty_app.cli.migrate",
        "take the place of an appliance on another host",
        instead="run it on the host that takes over",
    ),
    "init": Command(
        "bty_app.cli.init", "write the files of a deployment in containers into a directory"
    ),
    "deploy": Command(
        "bty_app.cli.deploy",
        "bring bty and its cache up in containers",
        instead="run it on that host",
    ),
    "purge": Command(
        "bty_app.cli.purge",
        "take a deployment in containers away again",
        instead="run it on that host",
    ),
    "flash": Command(
        "bty_app.cli.flash", "write an image onto a disk, or do what a server wants of this machine"
    ),
    "wizard": Command("bty_app.cli.wizard", "choose an image and a disk at a plain terminal"),
    "terminals": Command(
        "bty_app.cli.terminals", "run flash or wizard on several terminals at once"
    ),
    "image": Command("bty_app.cli.image", "pack an image so that it is flashed fast"),
    "show-config": Command(
        "bty_app.cli.show_config", "show every setting and where its value comes from"
    ),
}
