"""Where configuration comes from: defaults, then TOML files, then variables, then flags.

Merged key by key, later wins (CONTRACT 1.2). The list of files is made once, for every key alike.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from bty_app import state_dir
from bty_app.config import DEFAULT, KEYS, KEYS_BY_NAME, SECTIONS, Config, Key, Paths, did_you_mean
from bty_app.errors import ConfigError

SYSTEM_DIR: Final = Path("/etc/bty")
MAX_FILE_BYTES: Final = 2**20
MAX_SHOWN: Final = 200  # characters of a refused value

_STATE_DIR = KEYS_BY_NAME["paths.state_dir"]
_LEGACY = {"BTY_CATALOG_FILE": "paths.catalog_file", "BTY_STATE_DIR": "paths.state_dir"}
PUBLISHED_PASSWORD: Final = "bty-lab"  # noqa: S105  the original's default, that everybody knows
_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


@dataclass(slots=True)
class _Layers:
    """The values so far, each with where it came from."""

    values: dict[str, object] = field(default_factory=dict)
    provenance: dict[str, str] = field(default_factory=lambda: dict.fromkeys(KEYS_BY_NAME, DEFAULT))
    notes: list[str] = field(default_factory=list)

    def put(self, key: Key, given: object, *, source: str, where: str) -> None:
        """Take a value of `source`; `where` is how a refusal names the file or variable."""
        try:
            self.values[key.name] = key.parse(given)
        except ConfigError as error:
            shown = key.shown(given)[:MAX_SHOWN]
            raise ConfigError(f"{where} = {shown}: {error.message}") from error
        self.provenance[key.name] = source


def load(
    *,
    environment: Mapping[str, str],
    files: Sequence[Path] = (),
    flags: Mapping[str, str] = MappingProxyType({}),
    system_dir: Path = SYSTEM_DIR,
    default_state_dir: Path = state_dir.DEFAULT,
) -> Config:
    """The effective configuration.

    `files` (`--config`) replaces the usual list of files; `flags` maps "server.port" to its text.

    Raises:
        ConfigError: an unknown key, a bad value, or a file that cannot be read or is not TOML.
    """
    layers = _Layers()
    chosen, note = state_dir.unconfigured(environment, default_state_dir)
    if files:
        found = [path for given in files for path in _named(given)]
    else:
        told = flags.get(_STATE_DIR.name) or environment.get(_STATE_DIR.env) or chosen
        found = list(_usual(environment, Path(told), system_dir, layers.notes))
    for path in found:
        _read_file(path, layers)
    _read_environment(environment, layers)
    for name, given in flags.items():
        key = KEYS_BY_NAME[name]
        layers.put(key, given, source=f"flag({key.flag})", where=key.flag)
    if _STATE_DIR.name in layers.values:
        note = ""
    else:
        layers.values[_STATE_DIR.name] = chosen
    return _config(layers, note)


def _named(given: Path) -> list[Path]:
    """What `--config` names: a file, or the *.toml files of a directory."""
    if given.is_dir():
        return _drop_ins(given)
    if not given.exists():
        raise ConfigError(f"--config {given}: there is no such file")
    return [given]


def _usual(
    environment: Mapping[str, str], state: Path, system_dir: Path, notes: list[str]
) -> Iterator[Path]:
    yield from _drop_ins(system_dir / "conf.d")
    yield from _if_there(system_dir / "bty.toml")
    if directory := environment.get("BTY_CONFIG_DIR"):
        if not Path(directory).is_dir():
            notes.append(f"BTY_CONFIG_DIR: {directory} is not a directory; it is passed over")
        yield from _drop_ins(Path(directory))
    if file := environment.get("BTY_CONFIG_FILE"):
        if not Path(file).exists():
            notes.append(f"BTY_CONFIG_FILE: there is no file {file}; it is passed over")
        yield from _if_there(Path(file))
    yield from _if_there(state / "bty.toml")


def _drop_ins(directory: Path) -> list[Path]:
    try:
        return sorted(path for path in directory.iterdir() if path.suffix == ".toml")
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ConfigError(f"{directory}: cannot be read: {error.strerror}") from error


def _if_there(path: Path) -> list[Path]:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    return [path]


def _read_file(path: Path, layers: _Layers) -> None:
    for section, options in _parsed(path).items():
        if section not in SECTIONS:
            raise ConfigError(f"{path}: {_unknown_section(section, options)}")
        if not isinstance(options, dict):
            raise ConfigError(f"{path}: {section} must be a section: write [{section}]")
        for option, given in options.items():
            name = f"{section}.{option}"
            if name not in KEYS_BY_NAME:
                raise ConfigError(f"{path}: there is no key {name}{_near_in(section, option)}")
            if _derived(name, given):
                continue
            layers.put(KEYS_BY_NAME[name], given, source=f"toml({path})", where=f"{path}: {name}")
            _absolute(name, layers, path)


def _parsed(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(f"{path}: is larger than {MAX_FILE_BYTES} bytes: no configuration file")
    try:
        return tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}: line {line}: is not UTF-8") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: is nested too deeply") from error
    except ValueError as error:
        raise ConfigError(f"{path}: {_complaint(str(error), content)}") from error


def _complaint(message: str, content: bytes) -> str:
    """tomllib's sentence, with the line first."""
    place = _PLACE.search(message)
    if place is None:
        return f"is not TOML: {message}"
    line = place[1] or str(content.count(b"\n") + 1)
    return f"line {line}: is not TOML: {message[: place.start()]}"


def _read_environment(environment: Mapping[str, str], layers: _Layers) -> None:
    keys = {key.env: key for key in KEYS}
    for name in sorted(environment):
        given = environment[name]
        if not given or not name.startswith("BTY_"):
            continue
        if name in _LEGACY:
            right = KEYS_BY_NAME[_LEGACY[name]]
            layers.notes.append(f"{name} has no effect: {right.env} sets {right.name}")
        elif name in keys:
            layers.put(keys[name], given, source=f"env({name})", where=name)
        elif _of_a_section(name):
            raise ConfigError(f"there is no variable {name}{did_you_mean(name, keys)}")


def _of_a_section(variable: str) -> bool:
    return variable.startswith(tuple(f"BTY_{section.upper()}_" for section in SECTIONS))


def _derived(name: str, given: object) -> bool:
    """An empty path in a file stands for the default."""
    return name.startswith("paths.") and isinstance(given, str) and not given.strip()


def _absolute(name: str, layers: _Layers, source: Path) -> None:
    value = layers.values[name]
    if isinstance(value, Path) and not value.is_absolute():
        raise ConfigError(f"{source}: {name} = {value}: must be a path that begins with /")


def _unknown_section(section: str, options: object) -> str:
    if isinstance(options, dict):
        return f"there is no section [{section}]{did_you_mean(section, SECTIONS)}"
    homes = [key for key in KEYS if key.option == section]
    hint = f": it belongs into [{homes[0].section}]" if homes else ""
    return f"the key {section} stands in no section{hint}"


def _near_in(section: str, option: str) -> str:
    """The nearest key of the same section, or the section that has this very key."""
    near = did_you_mean(option, [key.option for key in KEYS if key.section == section])
    elsewhere = [key.name for key in KEYS if key.option == option]
    return near or (f": did you mean {elsewhere[0]!r}?" if elsewhere else "")


def _config(layers: _Layers, note: str) -> Config:
    sections: dict[str, Any] = {
        name: replace(its_type(), **_of(name, layers)) for name, its_type in SECTIONS.items()
    }
    sections["paths"] = _anchored(sections["paths"], layers.provenance)
    if sections["admin"].password == PUBLISHED_PASSWORD:
        layers.notes.append("admin.password is the published default of the original: change it")
    return Config(
        **sections,
        provenance=MappingProxyType(layers.provenance),
        notes=tuple(layers.notes),
        state_dir_note=note,
    )


def _anchored(paths: Paths, provenance: Mapping[str, str]) -> Paths:
    """All absolute: a default stands below the state directory, what was given where we run."""
    state = paths.state_dir.absolute()

    def anchored(option: str) -> Path:
        value: Path = getattr(paths, option)
        below = provenance[f"paths.{option}"] == DEFAULT
        return state / value if below else value.absolute()

    return Paths(
        state_dir=state,
        boot_dir=anchored("boot_dir"),
        backup_dir=anchored("backup_dir"),
        catalog_file=anchored("catalog_file"),
    )


def _of(section: str, layers: _Layers) -> dict[str, object]:
    options = {key.option: key.name for key in KEYS if key.section == section}
    return {o: layers.values[name] for o, name in options.items() if name in layers.values}
