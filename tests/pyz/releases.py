"""The single file as other releases of it: what tests of upgrades go from and to."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

_INIT = "bty_app/__init__.py"
_SERVE = "bty_app/cli/serve.py"
# Knows its options, and then goes down.
_NEVER_SERVES = """
import argparse

from bty_app.cli import options
from bty_app.errors import BtyError


def configure(parser: argparse.ArgumentParser) -> None:
    for key in ("server.host", "server.port", "netboot.tftp", "netboot.proxy_dhcp"):
        options.add_config_flag(parser, key)


def run(_args, _config):
    raise BtyError("this release does not serve")
"""


# Serves, and says that it cannot.
NEVER_READY = """
from bty_app.services.health import Health

Health.problems = lambda _self: ["nothing works"]
"""
# Is ready, and ends a little after it was asked. No signal: a first process gets none of its own.
DIES_WHEN_WATCHED = """
import os
import threading

from bty_app.web.health import Version

_answer = Version.on_get


def _die_after(self, req, resp):
    threading.Timer(1.5, lambda: os._exit(3)).start()
    _answer(self, req, resp)


Version.on_get = _die_after
"""


def rebranded(
    pyz: Path, output: Path, version: str, *, serves: bool = True, patch: str = ""
) -> Path:
    """Write `pyz` to `output` under a version of its own; one that does not serve ends at once.
    `patch` is run before it serves.
    """
    changed = {_INIT: f'"""Another release."""\n\n__version__ = "{version}"\n'}
    if not serves:
        changed[_SERVE] = _NEVER_SERVES
    if patch:
        with zipfile.ZipFile(pyz) as source:
            changed[_SERVE] = source.read(_SERVE).decode() + patch
    with zipfile.ZipFile(pyz) as source:  # what is compiled would be taken before it
        compiled = {name for name in source.namelist() if name.endswith(".pyc")}
    places = {name: [e for e in compiled if e.endswith(f"{name}c")] for name in changed}
    dropped = {entry for entries in places.values() for entry in entries}
    changed |= {e.removesuffix("c"): changed[n] for n, entries in places.items() for e in entries}
    partial = output.with_name(output.name + ".partial")
    with pyz.open("rb") as first:
        shebang = first.readline()
    with partial.open("wb") as file, zipfile.ZipFile(pyz) as source:
        file.write(shebang)
        with zipfile.ZipFile(file, "w") as target:
            for entry in source.infolist():
                if entry.filename not in dropped:
                    text = changed.get(entry.filename)
                    data = source.read(entry) if text is None else text.encode()
                    target.writestr(entry, data)
            for name in changed.keys() - set(source.namelist()):
                target.writestr(name, changed[name])
    shutil.copymode(pyz, partial)
    return partial.rename(output)
