"""The sections of the configuration: each key's type, default, parser and help.

The fields are the table; `config.KEYS` is derived from them, and the program, the documentation
and the tests read it.
"""
# ruff: noqa: RUF009  the rows of the table are immutable

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import TypeVar

from bty_app import config_values as values
from bty_app import logs, state_dir

Network = IPv4Network | IPv6Network
T = TypeVar("T")


def _key(
    default: T,
    parse: Callable[[object], T],
    kind: str,
    help: str,  # noqa: A002  the table's column
    **more: str | bool,
) -> T:
    """One row: `more` may have `flag` ("--port"), `shown_default`, and `secret`."""
    row = {"parse": parse, "kind": kind, "help": help, **more}
    return field(default=default, metadata=row, repr=not more.get("secret"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Admin:
    """The operator's account."""

    password: str = _key(
        "",
        values.secret,
        "text",
        "The operator's password. None: one is generated at the first start, into admin-password "
        "in the state directory.",
        secret=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The HTTP server."""

    host: str = _key(
        "0.0.0.0",  # noqa: S104  machines come from the network
        values.host,
        "address",
        "The address to listen on.",
        flag="--host",
    )
    port: int = _key(
        8080,
        values.integer(0, 65535),
        "0-65535",
        "The TCP port to listen on; 0 takes a free one and says which.",
        flag="--port",
    )
    public_url: str = _key(
        "",
        values.origin,
        "URL",
        "The base of the URLs given to machines, http://host:port, when the server stands behind "
        "a proxy. None: what the request's Host header says.",
        flag="--public-url",
    )
    trusted_proxy: tuple[Network, ...] = _key(
        (),
        values.networks,
        "networks",
        "Proxies whose X-Forwarded-For is believed: addresses or networks, a list or separated "
        "by commas.",
    )
    session_secret: str = _key(
        "",
        values.session_secret,
        "text",
        "The key that signs form tokens, at least 16 characters. None: one is generated, into "
        "session-secret in the state directory.",
        secret=True,
    )
    threads: int = _key(
        16, values.integer(1, 256), "1-256", "Requests that are worked on at the same time."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """Where state lives; a relative default stands below `state_dir`."""

    state_dir: Path = _key(
        state_dir.DEFAULT,
        values.path,
        "directory",
        "All state. Where the default cannot be written and nothing is configured: "
        "$XDG_STATE_HOME/bty.",
        flag="--state-dir",
    )
    boot_dir: Path = _key(
        Path("boot"),
        values.path,
        "directory",
        "Kernel, initrd, squashfs and iPXE binaries.",
        shown_default="<state_dir>/boot",
    )
    backup_dir: Path = _key(
        Path("backups"), values.path, "directory", "Backups.", shown_default="<state_dir>/backups"
    )
    catalog_file: Path = _key(
        Path("catalog.toml"),
        values.path,
        "file",
        "The active catalog manifest.",
        shown_default="<state_dir>/catalog.toml",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Withcache:
    """The image cache."""

    url: str = _key(
        "", values.url, "URL", "The withcache that images come from. None: from their origin."
    )
    password: str = _key(
        "",
        values.secret,
        "text",
        "withcache's own password, WITHCACHE_ADMIN_PASSWORD there: to have it fetch images.",
        secret=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """OCI registries, where `oras://` images and catalogs come from."""

    credentials: tuple[values.RegistryLogin, ...] = _key(
        (),
        values.registry_logins,
        "host=user:password",
        "Logins by registry: a list, or separated by commas: ghcr.io=me:token.",
        secret=True,
    )
    plain_http: tuple[str, ...] = _key(
        (),
        values.registry_hosts,
        "hosts",
        "Registries that are spoken to without TLS: a list of host:port, or separated by commas.",
    )
    arch: str = _key(
        "amd64",
        values.choice(("amd64", "arm64")),
        "amd64 or arm64",
        "Which image to take of an index that has one for each architecture, where the catalog"
        " entry does not say.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """Where the catalog and the netboot artifacts come from, until a setting says otherwise."""

    catalog_url: str = _key(
        "https://github.com/safl/nosi/releases/latest/download/catalog.toml",
        values.source,
        "source",
        "The catalog that is fetched: an http, https, oras or file URL, or a path.",
    )

    netboot_repo: str = _key(
        "safl/bty",
        values.netboot_repo,
        "source",
        "Where releases of netboot artifacts are: owner/repository, the http or https URL of a"
        " mirror, or the path of a directory.",
    )
    netboot_tag: str = _key(
        "latest",
        values.netboot_tag,
        "tag",
        "The release to fetch; `latest` is that of the running version.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Nbdmux:
    """Accepted for the sake of existing files."""

    url: str = _key("", values.text, "URL", "Accepted from existing files, and not used.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Netboot:
    """What machines boot over the network."""

    live_version: str = _key(
        "",
        values.version,
        "version",
        "The <V> in the names of the live environment's files, bty-netboot-pc-x86_64-v<V>.vmlinuz."
        " None: that of the installed netboot artifacts, else what is in boot_dir.",
    )
    signing_key: str = _key(
        "",
        values.signing_key,
        "public key",
        "A minisign or Ed25519 public key: netboot artifacts are installed only when it signed"
        " their manifest.",
    )
    ipxe_dir: Path = _key(
        Path("/usr/lib/ipxe"),
        values.path,
        "directory",
        "Where the distribution's ipxe package has its binaries; used for those that are not in"
        " boot_dir.",
    )
    tftp_probe_host: str = _key(
        "", values.text, "address", "Accepted from existing files, and not used."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """How machines are switched off and on."""

    command: str = _key(
        "",
        values.text,
        "command",
        "Run for each machine of a power act, {mac} replaced by its MAC: a program and its"
        " arguments; no shell reads it. None: there is no such act.",
    )
    timeout_seconds: int = _key(
        30, values.integer(1, 600), "seconds", "After this time the command is ended."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """Bounds."""

    backup_max_parallel: int = _key(
        1, values.integer(1, 16), "1-16", "Backups that may run at the same time; not used yet."
    )
    max_upload_bytes: int = _key(
        64 * 2**20,
        values.integer(1, 2**53),
        "bytes",
        "The largest request body, so the largest boot file that is uploaded. Anybody may send"
        " one, and it is kept in the state directory while it arrives.",
    )
    discovery_burst: int = _key(
        5000, values.integer(1, 10**6), "machines", "New machines that may appear all at once."
    )
    discovery_per_minute: int = _key(
        600, values.integer(1, 10**6), "per minute", "New machines, after the burst."
    )
    contact_burst: int = _key(
        100, values.integer(1, 10**6), "requests", "Requests of one machine all at once."
    )
    contact_per_second: int = _key(
        10, values.integer(1, 10**6), "per second", "Requests of one machine, after the burst."
    )
    inventory_max_bytes: int = _key(
        5 * 2**20,
        values.integer(2**16, 2**30),
        "bytes",
        "The largest hardware report that is taken.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhooks:
    """Who is told of events, beside the setting `webhook.targets`."""

    command: tuple[str, ...] = _key(
        (),
        values.argument_vector,
        "list",
        "A program and its arguments, run without a shell for each event, which it gets as JSON on"
        " standard input. Only a file can give it: a list.",
    )
    command_kinds: str = _key(
        "*failed", values.text, "patterns", "Which kinds of events the program gets."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Litestream:
    """Continuous replication of the database, by a program beside the server."""

    url: str = _key(
        "",
        values.replica,
        "URL",
        "Where Litestream replicates the database to: s3://bucket/path, file:///directory, ..."
        " None: it is not replicated.",
    )
    endpoint: str = _key(
        "",
        values.s3_endpoint,
        "URL",
        "The server that speaks S3, where it is not Amazon's: http://host:port.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """The log on stderr."""

    format: str = _key(
        "text",
        values.choice(logs.FORMATS),
        "text or json",
        "Lines of key=value, or JSON objects.",
        flag="--log-format",
    )
    level: str = _key(
        "info",
        values.choice(logs.LEVELS),
        "debug, info, warning or error",
        "The least important line that the server logs.",
        flag="--log-level",
    )
