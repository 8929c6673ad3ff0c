"""The configuration: every effective value, and the table of keys that it is made of.

The table's rows are the fields of `config_sections`; reading files, variables and flags is
`config_sources`'. Settings that the UI changes live in the database (`domain/settings.py`).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from bty_app import config_values as values
from bty_app.config_elsewhere import Nbdmux, Offsite, Registry, Upstream, Webhooks, Withcache
from bty_app.config_sections import Admin, Log, Netboot, Network, Paths, Power, Server, Tuning

__all__ = [
    "DEFAULT",
    "KEYS",
    "KEYS_BY_NAME",
    "MASK",
    "SECTIONS",
    "Admin",
    "Config",
    "Key",
    "Log",
    "Nbdmux",
    "Netboot",
    "Network",
    "Offsite",
    "Paths",
    "Power",
    "Registry",
    "Server",
    "Tuning",
    "Upstream",
    "Webhooks",
    "Withcache",
    "did_you_mean",
]

MASK: Final = "***"
DEFAULT: Final = "default"  # the provenance of a value that nobody gave


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Every effective value, all typed and checked, and where each one came from.

    `provenance` maps "server.port" to `default`, `toml(<path>)`, `env(<NAME>)` or `flag(--port)`.
    `notes` and `state_dir_note` are sentences for the operator.
    """

    admin: Admin = field(default_factory=Admin)
    server: Server = field(default_factory=Server)
    paths: Paths = field(default_factory=Paths)
    withcache: Withcache = field(default_factory=Withcache)
    registry: Registry = field(default_factory=Registry)
    upstream: Upstream = field(default_factory=Upstream)
    nbdmux: Nbdmux = field(default_factory=Nbdmux)
    netboot: Netboot = field(default_factory=Netboot)
    power: Power = field(default_factory=Power)
    offsite: Offsite = field(default_factory=Offsite)
    tuning: Tuning = field(default_factory=Tuning)
    webhooks: Webhooks = field(default_factory=Webhooks)
    log: Log = field(default_factory=Log)
    provenance: Mapping[str, str] = field(
        default_factory=lambda: dict.fromkeys(KEYS_BY_NAME, DEFAULT)
    )
    notes: tuple[str, ...] = ()
    state_dir_note: str = ""

    def value(self, name: str) -> object:
        """The effective value of "server.port"; KeyError for a name that is not in `KEYS`."""
        key = KEYS_BY_NAME[name]
        return getattr(getattr(self, key.section), key.option)


SECTIONS: Final[Mapping[str, type[Any]]] = {
    "admin": Admin,
    "server": Server,
    "paths": Paths,
    "withcache": Withcache,
    "registry": Registry,
    "upstream": Upstream,
    "nbdmux": Nbdmux,
    "netboot": Netboot,
    "power": Power,
    "offsite": Offsite,
    "tuning": Tuning,
    "webhooks": Webhooks,
    "log": Log,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A row of the table."""

    section: str
    option: str
    parse: Callable[[object], object]
    default: object
    kind: str
    help: str
    secret: bool = False
    flag: str = ""
    shown_default: str = ""

    @property
    def name(self) -> str:
        """The name that people use: "server.port"."""
        return f"{self.section}.{self.option}"

    @property
    def env(self) -> str:
        """The environment variable: BTY_SERVER_PORT."""
        return f"BTY_{self.section}_{self.option}".upper()

    @property
    def metavar(self) -> str:
        """What stands for the value in a command's help: PORT, DIR."""
        return self.option.rpartition("_")[2].upper()

    def shown(self, value: object) -> str:
        """`value` as it may be printed: a secret is masked, and what is empty stays empty."""
        plain = values.spelled(value)
        return MASK if self.secret and plain else plain


def _rows() -> Iterable[Key]:
    for section, its_type in SECTIONS.items():
        for option in fields(its_type):
            yield Key(
                section=section, option=option.name, default=option.default, **option.metadata
            )


KEYS: Final[tuple[Key, ...]] = tuple(_rows())
KEYS_BY_NAME: Final[Mapping[str, Key]] = {key.name: key for key in KEYS}


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """`: did you mean 'this'?` with the nearest of `choices`, or nothing when none is near."""
    near = difflib.get_close_matches(word, list(choices), n=1)
    return f": did you mean {near[0]!r}?" if near else ""
