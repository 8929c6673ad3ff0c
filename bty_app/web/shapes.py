"""What a single value of the API may be: one declaration checks it, and describes it.

The description is JSON Schema 2020-12, which is that of OpenAPI 3.1. A check gives the value back,
and refuses with a sentence that names the field. `records.py` has what is made of several values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from bty_app.errors import ValidationError

Schema = dict[str, Any]

MAX_SHOWN = 80
LARGEST = 2**63 - 1  # of SQLite's integers
_YES = frozenset({"1", "true", "yes", "on"})
_NO = frozenset({"0", "false", "no", "off"})


class Shape(Protocol):
    """What a value may be."""

    def schema(self) -> Schema:
        """It as JSON Schema; a record with a name is a reference to that of its name."""

    def checked(self, value: object, where: str) -> Any:
        """The value.

        Raises:
            ValidationError: it is none of these; the sentence begins with `where`.
        """


class Word(Shape, Protocol):
    """What can stand in an address as well."""

    def from_text(self, text: str, where: str) -> Any:
        """The value that a parameter of an address spells.

        Raises:
            ValidationError: it spells none.
        """


@dataclass(frozen=True, slots=True)
class Text:
    """A string: its length in characters, its pattern as a whole, or its closed set of values.

    `rule` says in words what the pattern has.
    """

    about: str = ""
    least: int = 0
    most: int | None = None
    pattern: str = ""
    rule: str = ""
    one_of: tuple[str, ...] = ()

    def schema(self) -> Schema:
        """`{"type": "string", ...}`."""
        bounds = {
            "minLength": self.least or None,
            "maxLength": self.most,
            "pattern": f"^(?:{self.pattern})$" if self.pattern else None,
            "enum": list(self.one_of) or None,
            "description": self.about or None,
        }
        return {"type": "string"} | given(bounds)

    def checked(self, value: object, where: str) -> Any:
        """The text."""
        if not isinstance(value, str):
            raise ValidationError(f"{where}: must be text")
        if self.one_of and value not in self.one_of:
            known = ", ".join(self.one_of)
            raise ValidationError(f"{where}: {value[:MAX_SHOWN]!r} is not one of {known}")
        if len(value) < self.least or (self.most is not None and len(value) > self.most):
            most = "" if self.most is None else f" to {self.most}"
            raise ValidationError(f"{where}: must have {self.least}{most} characters")
        if self.pattern and not re.fullmatch(self.pattern, value, re.ASCII):
            raise ValidationError(f"{where}: must be {self.rule or self.pattern}")
        return value

    def from_text(self, text: str, where: str) -> Any:
        """The text itself."""
        return self.checked(text, where)


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number with its bounds, both included."""

    about: str = ""
    least: int | None = 0
    most: int | None = LARGEST

    def schema(self) -> Schema:
        """`{"type": "integer", ...}`."""
        bounds = {"minimum": self.least, "maximum": self.most, "description": self.about or None}
        return {"type": "integer"} | given(bounds)

    def checked(self, value: object, where: str) -> Any:
        """The number."""
        if isinstance(value, float) and value.is_integer():  # as JSON Schema has it
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValidationError(f"{where}: must be a whole number")
        if self.least is not None and value < self.least:
            raise ValidationError(f"{where}: must be {self.least} or more")
        if self.most is not None and value > self.most:
            raise ValidationError(f"{where}: must be {self.most} or less")
        return value

    def from_text(self, text: str, where: str) -> Any:
        """The number in decimal digits."""
        if len(text) > 19 or not re.fullmatch("-?[0-9]+", text, re.ASCII):
            raise ValidationError(f"{where}: must be a whole number")
        return self.checked(int(text), where)


@dataclass(frozen=True, slots=True)
class Number:
    """A number. Only answers have one."""

    about: str = ""

    def schema(self) -> Schema:
        """`{"type": "number"}`."""
        return {"type": "number"} | given({"description": self.about or None})

    def checked(self, value: object, where: str) -> Any:
        """The number."""
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise ValidationError(f"{where}: must be a number")
        return value


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    about: str = ""

    def schema(self) -> Schema:
        """`{"type": "boolean"}`."""
        return {"type": "boolean"} | given({"description": self.about or None})

    def checked(self, value: object, where: str) -> Any:
        """The flag."""
        if not isinstance(value, bool):
            raise ValidationError(f"{where}: must be true or false")
        return value

    def from_text(self, text: str, where: str) -> Any:
        """The flag, of any usual word for it."""
        if text.lower() not in _YES | _NO:
            raise ValidationError(f"{where}: must be true or false")
        return text.lower() in _YES


@dataclass(frozen=True, slots=True)
class Anything:
    """Any JSON; only where a stranger's data or an open set of keys is repeated."""

    about: str = ""

    def schema(self) -> Schema:
        """No constraint."""
        return given({"description": self.about or None})

    def checked(self, value: object, _where: str) -> Any:
        """The value."""
        return value


@dataclass(frozen=True, slots=True)
class Nullable:
    """A value, or null."""

    of: Shape

    def schema(self) -> Schema:
        """That of the value, with null added."""
        inner = self.of.schema()
        if "$ref" in inner or "type" not in inner:
            return {"anyOf": [inner, {"type": "null"}]}
        if "enum" in inner:
            inner = inner | {"enum": [*inner["enum"], None]}
        return inner | {"type": [inner["type"], "null"]}

    def checked(self, value: object, where: str) -> Any:
        """The value or None."""
        return None if value is None else self.of.checked(value, where)


def words_of(values: type[StrEnum]) -> tuple[str, ...]:
    """The spellings of a closed set."""
    return tuple(value.value for value in values)


def given(bounds: Mapping[str, Any]) -> Schema:
    """Those of the keywords that say something."""
    return {key: value for key, value in bounds.items() if value is not None}
