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


def rebranded(pyz: Path, output: Path, version: str, *, serves: bool = True) -> Path:
    """Write `pyz` to `output` under a version of its own; one that does not serve ends at once."""
    changed = {_INIT: f'"""Another release."""\n\n__version__ = "{version}"\n'}
    if not serves:
        changed[_SERVE] = _NEVER_SERVES
    dropped = {f"{name}c" for name in changed}  # what is compiled would be taken before it
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
    shutil.copymode(pyz, partial)
    return partial.rename(output)
