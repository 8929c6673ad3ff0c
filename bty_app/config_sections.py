"""The sections of the configuration that are about this server: each key's type, default, parser
and help.

The fields are the table; `config.KEYS` is derived from them, and the program, the documentation
and the tests read it. What is about other hosts is in `config_elsewhere`.
"""
# ruff: noqa: RUF009  the rows of the table are immutable

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from bty_app import config_values as values
from bty_app import logs, state_dir
from bty_app.config_row import key as _key

Network = IPv4Network | IPv6Network


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
    password_file: str = _key(
        "",
        values.file_name,
        "file",
        "A file with the operator's password, read in place of it. Empty: none.",
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
    machine_networks: tuple[Network, ...] = _key(
        (),
        values.networks,
        "networks",
        "The networks of machines: from elsewhere, what machines ask (/pxe/, /boot/, the client) is"
        " refused. None: all may ask.",
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
    tftp: bool = _key(
        False,
        values.switch,
        "true or false",
        "Serve the boot files by TFTP as well, on UDP port 69.",
        flag="--tftp",
    )
    proxy_dhcp: bool = _key(
        False,
        values.switch,
        "true or false",
        "Tell machines that boot from the network their boot file, beside the DHCP server of the"
        " LAN: on UDP ports 67 and 4011. No address is leased.",
        flag="--proxy-dhcp",
    )
    address: str = _key(
        "",
        values.ipv4,
        "IPv4 address",
        "The address of this server that machines are told by proxy DHCP and TFTP. None: the one"
        " through which each of them has asked.",
    )
    interfaces: tuple[str, ...] = _key(
        (),
        values.interfaces,
        "names",
        "The network interfaces on which TFTP and proxy DHCP answer: a list, or separated by"
        " commas. None: all.",
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
    url: str = _key(
        "",
        values.secret,
        "URL",
        "Called instead, with POST, for each machine of a power act: {mac} in it is replaced by its"
        " MAC, and the body is JSON with it. Any 2xx is success; a redirect is not followed.",
        secret=True,
    )
    timeout_seconds: int = _key(
        30,
        values.integer(1, 600),
        "seconds",
        "After this time the command is ended, or the call given up.",
    )

    @property
    def hook(self) -> tuple[str, str, int]:
        """The command, the URL and the seconds."""
        return self.command, self.url, self.timeout_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """Bounds."""

    backup_max_parallel: int = _key(
        1,
        values.integer(1, 16),
        "1-16",
        "Jobs about backups that may run at the same time: one is made while another is checked."
        " In one directory, backups are made one after the other in any case.",
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
    journal: str = _key(
        "wal",
        values.choice(("wal", "delete")),
        "wal or delete",
        "How the database makes a change whole. delete: without a write-ahead log, for a state"
        " directory on a network file system alone: readers, backups among them, hold up writers.",
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
