"""Parsers of single configuration values: TOML values or text in, types out.

Each takes what TOML gave, or the text of a variable or flag, and raises ConfigError with what
would be right ("must be …"); who calls it adds the file, the key and the value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit

from bty_app.domain.offsite import parse_target
from bty_app.domain.release import check_source, check_tag
from bty_app.domain.signature import parse_key
from bty_app.errors import ConfigError, InvalidInputError

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_INTEGER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_HOST_NAME = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})(?:\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*\.?",
    re.ASCII,
)
_PORT = re.compile(r":[0-9]{1,5}\Z", re.ASCII)
_INTERFACE = re.compile(r"[^\s/:,]{1,15}")  # dev_valid_name of Linux
_SWITCH = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z._+-]{0,63}", re.ASCII)


def text(value: object) -> str:
    """Text on one line, without the space around it."""
    if not isinstance(value, str):
        raise ConfigError("must be text in quotes")
    if _CONTROL.search(value):
        raise ConfigError("must be text on one line, without control characters")
    return value.strip()


def secret(value: object) -> str:
    """Text exactly as it stands; nothing but space is no secret."""
    text(value)
    return value if isinstance(value, str) and value.strip() else ""


def session_secret(value: object) -> str:
    """A key of at least 16 characters, or nothing."""
    key = secret(value)
    if key and len(key) < 16:
        raise ConfigError("must have at least 16 characters; leave it empty to have one generated")
    return key


def integer(least: int, most: int) -> Callable[[object], int]:
    """A parser of whole numbers from `least` to `most`."""

    def parse(value: object) -> int:
        if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ConfigError(f"must be a whole number from {least} to {most}")
        return value

    return parse


def switch(value: object) -> bool:
    """On or off: a truth value of TOML, or one of its usual words."""
    if isinstance(value, bool):
        return value
    word = text(value).lower() if isinstance(value, str) else ""
    if word not in _SWITCH:
        raise ConfigError("must be true or false")
    return _SWITCH[word]


def ipv4(value: object) -> str:
    """An IPv4 address that a machine can reach, or nothing."""
    address = text(value)
    try:
        known = IPv4Address(address or "192.0.2.1")
    except ValueError as error:
        raise ConfigError("must be an IPv4 address such as 192.0.2.10") from error
    if known.is_unspecified or known.is_multicast or known == IPv4Address(2**32 - 1):
        raise ConfigError("must be the address of one host, such as 192.0.2.10")
    return address


def interfaces(value: object) -> tuple[str, ...]:
    """Names of network interfaces, from a list or from text with commas."""
    names = tuple(text(item) for item in _items(value))
    if not all(_INTERFACE.fullmatch(name) for name in names):
        raise ConfigError("must be names of network interfaces, such as eth0")
    return names


def choice(words: Sequence[str]) -> Callable[[object], str]:
    """A parser that takes one of `words`, in any case."""

    def parse(value: object) -> str:
        word = text(value).lower()
        if word not in words:
            raise ConfigError(f"must be {' or '.join(words)}")
        return word

    return parse


def path(value: object) -> Path:
    """A path; who knows the working directory makes it absolute."""
    name = text(value)
    if not name:
        raise ConfigError("must be a path, not empty")
    return Path(name)


def host(value: object) -> str:
    """An address to listen on, or a host name that stands for one."""
    name = text(value)
    if not (_is_address(name) or _HOST_NAME.fullmatch(name)):
        raise ConfigError("must be an address or a host name alone, such as 0.0.0.0 or ::")
    return name


def origin(value: object) -> str:
    """`http://host[:port]` with nothing behind it, or nothing."""
    address = url(value)
    if address and urlsplit(address).path:
        raise ConfigError("must be http://host[:port] with no path behind it")
    return address


def netboot_repo(value: object) -> str:
    """A source of netboot artifacts."""
    try:
        return check_source(text(value))
    except ValueError as error:
        raise ConfigError(f"must be {error}") from error


def netboot_tag(value: object) -> str:
    """The tag of a release."""
    try:
        return check_tag(text(value))
    except ValueError as error:
        raise ConfigError(f"must be {error}") from error


def signing_key(value: object) -> str:
    """A public key that signatures are checked with, or nothing."""
    key = text(value)
    if key:
        try:
            parse_key(key)
        except InvalidInputError as error:
            raise ConfigError(f"must be a public key: {error.message}") from error
    return key


def url(value: object) -> str:
    """An http(s) URL without a slash at its end, or nothing.

    It goes into boot scripts: no space, quotes, credentials, query or fragment.
    """
    address = text(value).rstrip("/")
    if address and not _is_base_url(address):
        raise ConfigError("must be a URL such as http://192.0.2.1:8081")
    return address


def offsite_url(value: object) -> str:
    """A place for copies of backups, or nothing."""
    address = text(value)
    if address:
        try:
            parse_target(address)
        except InvalidInputError as error:
            raise ConfigError(error.message) from error
    return address


def file_name(value: object) -> str:
    """The absolute path of a file, or nothing."""
    name = text(value)
    if name and not name.startswith("/"):
        raise ConfigError("must be a path that begins with /")
    return name


def networks(value: object) -> tuple[IPv4Network | IPv6Network, ...]:
    """Addresses and networks, from a list or from text with commas."""
    if isinstance(value, str):
        value = [part for part in value.split(",") if part.strip()]
    if not isinstance(value, list):
        raise ConfigError("must be a list of networks such as 10.0.0.0/8")
    return tuple(_network(item) for item in value)


@dataclass(frozen=True, slots=True)
class RegistryLogin:
    """A user name and a password for one registry; spelled without either."""

    host: str
    user: str
    password: str = field(repr=False)

    def __str__(self) -> str:
        return f"{self.host}={self.user}:***"


def registry_logins(value: object) -> tuple[RegistryLogin, ...]:
    """`host=user:password` of each registry, from a list or from text with commas."""
    logins = tuple(_registry_login(item) for item in _items(value))
    if len({login.host for login in logins}) != len(logins):
        raise ConfigError("must name each registry once")
    return logins


def argument_vector(value: object) -> tuple[str, ...]:
    """A program and its arguments: a list of a file, no text that would have to be taken apart."""
    if value == "":
        return ()
    if not isinstance(value, list):
        raise ConfigError('must be a list in a file: ["/usr/local/bin/tell", "--now"]')
    words = tuple(text(item) for item in value)
    if words and (not words[0].startswith("/") or any("\0" in word for word in words)):
        raise ConfigError("must begin with the absolute path of a program")
    return words


def registry_hosts(value: object) -> tuple[str, ...]:
    """host[:port] of registries, from a list or from text with commas."""
    return tuple(_registry_host(text(item)) for item in _items(value))


def source(value: object) -> str:
    """Where something is fetched from: a URL, a path, or owner/name."""
    given = text(value)
    if not given or len(given) > 2048 or any(character.isspace() for character in given):
        raise ConfigError("must be a source without spaces, such as https://host/catalog.toml")
    return given


def version(value: object) -> str:
    """A version as it stands in file names, without its `v`, or nothing."""
    name = text(value).removeprefix("v")
    if name and not _VERSION.fullmatch(name):
        raise ConfigError("must be a version such as 0.90.0")
    return name


def spelled(value: object) -> str:
    """A typed value as it would be written in a variable."""
    if isinstance(value, tuple | list):
        return ",".join(str(item) for item in value)
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def listed(value: object) -> str | int | list[str]:
    """A typed value as it stands in JSON."""
    if isinstance(value, tuple):
        return [str(item) for item in value]
    return value if isinstance(value, int) else str(value)


def _items(value: object) -> list[object]:
    if isinstance(value, str):
        return [part for part in value.split(",") if part.strip()]
    if not isinstance(value, list):
        raise ConfigError("must be a list of texts")
    return value


def _registry_login(item: object) -> RegistryLogin:
    host, equals, login = text(item).partition("=")
    user, colon, password = login.partition(":")
    if not (equals and colon and user.strip() and password):
        raise ConfigError("must be written host=user:password")
    return RegistryLogin(_registry_host(host.strip()), user.strip(), password)


def _registry_host(name: str) -> str:
    host, _, port = name.rpartition(":") if _PORT.search(name) else (name, "", "")
    known = _is_address(host) or _HOST_NAME.fullmatch(host)
    if not known or (port and not 0 < int(port) < 65536):
        raise ConfigError("must name registries as host or host:port")
    return name.lower()


def _network(item: object) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text(item))
    except ValueError as error:
        raise ConfigError(f"must be networks such as 10.0.0.0/8: {error}") from error


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _is_base_url(address: str) -> bool:
    if not re.fullmatch(r"https?://[!#-&(-;=?-\[\]^_a-z{}~|]+", address, re.ASCII | re.IGNORECASE):
        return False
    try:
        parts = urlsplit(address)
        port, name = parts.port, parts.hostname or ""
    except ValueError:
        return False
    plain = not _any_of(address, "@?#\\|{}^$")
    return plain and port != 0 and (_is_address(name) or bool(_HOST_NAME.fullmatch(name)))


def _any_of(address: str, characters: Iterable[str]) -> bool:
    return any(character in address for character in characters)
