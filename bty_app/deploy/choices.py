"""What the operator of a deployment chooses: the variables of `envvars`, and what they may be."""

from __future__ import annotations

import os.path
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from bty_app.deploy.envvars import Envvars
from bty_app.domain.rotation import is_newer
from bty_app.errors import ConfigError

_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?", re.ASCII)
_IMAGE = re.compile(
    r"(?=[A-Za-z0-9])(?:[A-Za-z0-9.-]+(?::[0-9]+)?/)?[a-z0-9._/-]+(?::[\w.-]{1,128})?(?:@sha256:[0-9a-f]{64})?",
    re.ASCII,
)
_DIRECTORY = re.compile(r"(?:/|\./|\.\./)[A-Za-z0-9_./@+=,-]*", re.ASCII)
_TAG = re.compile(r"(?<=[A-Za-z0-9]):([0-9]+(?:\.[0-9]+)+[\w.-]*)\Z", re.ASCII)
_PROJECT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)
_SWITCH = {
    **dict.fromkeys(("yes", "true", "on", "1"), True),
    **dict.fromkeys(("no", "false", "off", "0"), False),
}
LOCAL = "localhost/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """The choices of one deployment. `data_dir` is absolute; an image is empty where none is
    chosen: then it is that of this program's release. `project` is empty where compose names it.
    """

    host_addr: str = ""
    data_dir: Path
    image: str = ""
    withcache_image: str = ""
    tftp: bool = False
    systemd: bool = False
    auto_update: bool = False
    port: int = 8080
    withcache_port: int = 8081
    project: str = ""
    build_options: str = ""
    admin_password: str = ""
    withcache_password: str = ""

    def __repr__(self) -> str:
        """Without the passwords."""
        return f"Choices({self.host_addr!r}, {str(self.data_dir)!r}, …)"

    def image_of(self, version: str) -> str:
        """The reference of bty's image in that release."""
        if not self.image:
            return f"{LOCAL}bty:{version}"
        return _TAG.sub(f":{version}", self.image) if _TAG.search(self.image) else self.image

    def check_release(self, version: str) -> None:
        """Refuse to take an older release than the chosen image is of.

        Raises:
            ConfigError: it is older.
        """
        if is_newer(self.image_version, version):
            raise ConfigError(
                f"BTY_IMAGE in envvars names bty {self.image_version}, and this program is bty"
                f" {version}: run that release's program, or name the image of {version}"
            )

    @property
    def image_version(self) -> str:
        """The release that the chosen image names by its tag; empty when it does not."""
        found = _TAG.search(self.image)
        return found[1] if found else ""


def check_host(text: str) -> str:
    """An address or a name under which machines reach this host.

    Raises:
        ConfigError: it is none, or only this host itself can mean it.
    """
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        address = ip_address(bare)
    except ValueError:
        if bare != text or not _HOST_NAME.fullmatch(text) or re.fullmatch(r"[0-9.]+", text):
            raise ConfigError("must be an address or a host name, without a port") from None
        if text.lower() == "localhost":
            raise ConfigError("must be what machines reach this host by") from None
        return text
    if address.version == 6 and bare == text:
        raise ConfigError(f"must stand in brackets: [{text}]")
    if address.is_loopback or address.is_unspecified or address.is_multicast:
        raise ConfigError("must be an address that machines reach this host by")
    return text


def check_directory(text: str) -> str:
    """A directory, absolute or relative to the one of `envvars`.

    Raises:
        ConfigError: it is something else, or has characters that a unit cannot hold.
    """
    if not _DIRECTORY.fullmatch(text):
        raise ConfigError(
            "must begin with / or ./, and have letters, digits and any of _ . / @ + = , - alone"
        )
    if text.strip("/") == "":
        raise ConfigError("must not be the root directory")
    return text


def _image(text: str) -> str:
    if not _IMAGE.fullmatch(text):
        raise ConfigError("must be the name of an image: registry.example.com/bty:0.92.0")
    return text


def _switch(text: str) -> bool:
    if text.lower() not in _SWITCH:
        raise ConfigError("must be yes or no")
    return _SWITCH[text.lower()]


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text, re.ASCII) or not 1 <= int(text) <= 65535:
        raise ConfigError("must be a port, from 1 to 65535")
    return int(text)


def _project(text: str) -> str:
    if not _PROJECT.fullmatch(text):
        raise ConfigError("must begin with a letter or digit, and have a-z, 0-9, - and _ alone")
    return text


def _words(text: str) -> str:
    try:
        shlex.split(text)
    except ValueError as error:
        raise ConfigError(f"cannot be read as words: {error}") from error
    return text


def _password(text: str) -> str:
    return text


# By the name of the variable: the field of the choices, and what its text may be.
VARIABLES: Mapping[str, tuple[str, Callable[[str], object]]] = {
    "HOST_ADDR": ("host_addr", check_host),
    "WITHCACHE_ADMIN_PASSWORD": ("withcache_password", _password),
    "BTY_ADMIN_PASSWORD": ("admin_password", _password),
    "BTY_HOST_DATA_DIR": ("data_dir", check_directory),
    "BTY_TFTP": ("tftp", _switch),
    "BTY_SYSTEMD": ("systemd", _switch),
    "BTY_PORT": ("port", _port),
    "WITHCACHE_PORT": ("withcache_port", _port),
    "COMPOSE_PROJECT_NAME": ("project", _project),
    "BTY_IMAGE": ("image", _image),
    "WITHCACHE_IMAGE": ("withcache_image", _image),
    "BTY_BUILD_OPTIONS": ("build_options", _words),
    "BTY_AUTO_UPDATE": ("auto_update", _switch),
}


def read(envvars: Envvars, directory: Path) -> Choices:
    """The choices that stand in the file; `directory` is where it lies.

    Raises:
        ConfigError: a value is wrong: the file, the line, and what would be right.
    """
    values = envvars.values()
    told: dict[str, object] = {"data_dir": directory.absolute() / "data"}
    for name, (field, parse) in VARIABLES.items():
        found = values.get(name)
        if found is None or not found.text:
            continue
        try:
            told[field] = parse(found.text)
        except ConfigError as error:
            shown = "" if "PASSWORD" in name else f" {found.text!r}"
            where = f"{envvars.path}, line {found.line}: {name}{shown}"
            raise ConfigError(f"{where} {error.message}") from error
    told["data_dir"] = Path(_plain(directory.absolute() / str(told["data_dir"])))
    choices = Choices(**told)  # type: ignore[arg-type] # the table has the fields' own types
    _check_together(choices, envvars.path)
    return choices


def _plain(path: Path) -> str:
    """Without `.` and `..`, which nobody reads as they stand in a unit."""
    return os.path.normpath(path)


def _check_together(choices: Choices, path: str) -> None:
    if choices.port == choices.withcache_port:
        raise ConfigError(f"{path}: BTY_PORT and WITHCACHE_PORT must differ")
    if choices.auto_update and (not choices.image or choices.image.startswith(LOCAL)):
        raise ConfigError(
            f"{path}: BTY_AUTO_UPDATE=yes needs BTY_IMAGE to name an image of a registry"
        )


def check_place(directory: Path) -> None:
    """Refuse a directory whose name cannot stand in a unit.

    Raises:
        ConfigError: it cannot.
    """
    if not _DIRECTORY.fullmatch(str(directory.absolute())):
        raise ConfigError(
            f"{directory.absolute()}: with systemd, the directory's name may have letters, digits"
            " and any of _ . / @ + = , - alone"
        )
