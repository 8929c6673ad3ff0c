"""The lines of `envvars`: NAME=value, as compose, podman and a person read them alike.

The programs that read such a file differ in quotes, backslashes and dollars. What they all read
alike is allowed here, and nothing else: a plain word, or any text between single quotes that has
no single quote, no backslash and no `${` in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from bty_app.errors import ConfigError

_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*")
_QUOTED = re.compile(r"""(?:'([^']*)'|"([^"$]*)")(?:\s+#.*)?""")
_PLAIN = re.compile(r"[^'\"$`#\\]*")
_WORD = re.compile(r"[A-Za-z0-9_./:@%+=,\[\]-]*")
SECRET = re.compile(r"^(\s*#?\s*(?:export\s+)?\w*(?:PASSWORD|SECRET)\w*\s*=)(?!\s*$).*$", re.M)


@dataclass(frozen=True, slots=True)
class Value:
    """What a line says, and its number from 1."""

    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Envvars:
    """The text of such a file, with its comments and with lines that are not for us."""

    text: str
    path: str = "envvars"

    def values(self) -> Mapping[str, Value]:
        """Each variable that is set; the last line of a name counts.

        Raises:
            ConfigError: a line is not NAME=value, or programs would read it differently.
        """
        found: dict[str, Value] = {}
        for number, line in enumerate(self.text.split("\n"), 1):
            if line.strip() and not line.lstrip().startswith("#"):
                name, text = self._parsed(number, line)
                found[name] = Value(text, number)
        return found

    def changed(self, changes: Mapping[str, str]) -> Envvars:
        """The same with these values: in the line of the name, in place of a comment `#NAME=…`, or
        at the end. What has its value already keeps its line as it is.

        Raises:
            ConfigError: a value cannot be written so that all programs read the same.
        """
        lines = self.text.split("\n")
        now = self.values()
        for name, value in changes.items():
            if name in now and now[name].text == value:
                continue
            line = f"{name}={quoted(name, value)}"
            at = _place(lines, name)
            if at is None:
                if lines[-1] == "":
                    lines.pop()
                lines += [line, ""]
            else:
                lines[at] = line
        return Envvars("\n".join(lines), self.path)

    def _parsed(self, number: int, line: str) -> tuple[str, str]:
        where = f"{self.path}, line {number}"
        found = _LINE.fullmatch(line)
        if found is None:
            raise ConfigError(f"{where}: write NAME=value, or # in front of a comment")
        name, text = found[1], found[2]
        if text[:1] in {"'", '"'}:
            quotes = _QUOTED.fullmatch(text)
            if quotes is None:
                raise ConfigError(f"{where}: {name}: its quotes do not fit; {_ADVICE}")
            text = quotes[1] if quotes[1] is not None else quotes[2]
        else:
            text = re.split(r"(?:^|\s)#", text, maxsplit=1)[0].rstrip()
            if not _PLAIN.fullmatch(text):
                raise ConfigError(f"{where}: {name}: put it between single quotes; {_ADVICE}")
        check(f"{where}: {name}", text)
        return name, text


_ADVICE = "it may hold anything printable but ', \\ and ${"


def check(where: str, text: str) -> None:
    """Refuse a value that cannot stand in such a file.

    Raises:
        ConfigError: the sentence begins with `where` and does not show the value.
    """
    if "'" in text or "\\" in text or "${" in text or not text.isprintable():
        raise ConfigError(f"{where}: {_ADVICE}")
    if text != text.strip():
        raise ConfigError(f"{where}: it must not begin or end with a space")


def quoted(name: str, text: str) -> str:
    """The value as it stands behind NAME=.

    Raises:
        ConfigError: it cannot stand in such a file.
    """
    check(name, text)
    return text if _WORD.fullmatch(text) else f"'{text}'"


def masked(text: str) -> str:
    """The text of such a file, or of a part of it, without its passwords."""
    return SECRET.sub(r"\1***", text)


def _place(lines: list[str], name: str) -> int | None:
    """The line of the name: the last that sets it, else the first comment that shows it."""
    sets = re.compile(rf"\s*(?:export\s+)?{name}\s*=.*")
    shows = re.compile(rf"#{name}=.*")
    setting = [at for at, line in enumerate(lines) if sets.fullmatch(line)]
    showing = [at for at, line in enumerate(lines) if shows.fullmatch(line)]
    return setting[-1] if setting else next(iter(showing), None)
