"""Lists and objects of the API, and the parameters of an address."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bty_app.errors import ValidationError
from bty_app.web.shapes import MAX_SHOWN, Nullable, Schema, Shape, Word, given


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    of: Shape
    most: int | None = None
    about: str = ""
    least: int = 0

    def schema(self) -> Schema:
        """`{"type": "array", ...}`."""
        bounds = {
            "minItems": self.least or None,
            "maxItems": self.most,
            "description": self.about or None,
        }
        return {"type": "array", "items": self.of.schema()} | given(bounds)

    def checked(self, value: object, where: str) -> Any:
        """The list."""
        if not isinstance(value, list) or (self.most is not None and len(value) > self.most):
            most = "" if self.most is None else f" of at most {self.most}"
            raise ValidationError(f"{where}: must be a list{most}")
        if len(value) < self.least:
            raise ValidationError(f"{where}: must have {self.least} or more")
        return [self.of.checked(item, f"{where}[{n}]") for n, item in enumerate(value)]


@dataclass(frozen=True, slots=True)
class Keyed:
    """An object whose keys are data, all values of one shape."""

    of: Shape
    about: str = ""

    def schema(self) -> Schema:
        """`{"type": "object", ...}`."""
        inner = self.of.schema()
        return {"type": "object", "additionalProperties": inner} | given(
            {"description": self.about or None}
        )

    def checked(self, value: object, where: str) -> Any:
        """The object."""
        if not isinstance(value, dict):
            raise ValidationError(f"{where}: must be an object")
        return {key: self.of.checked(item, f"{where}.{key[:40]}") for key, item in value.items()}


@dataclass(frozen=True, slots=True)
class Record:
    """An object of known fields; `is_open`: and of others, that count for nothing.

    One with a name is described once, by it. `example` is one for readers.
    """

    fields: Mapping[str, Shape]
    name: str = ""
    optional: frozenset[str] = field(default_factory=frozenset)
    is_open: bool = False
    example: Mapping[str, object] | None = None

    def schema(self) -> Schema:
        """A reference where it has a name, else `described()`."""
        return {"$ref": f"#/components/schemas/{self.name}"} if self.name else self.described()

    def described(self) -> Schema:
        """`{"type": "object", ...}`."""
        required = [name for name in self.fields if name not in self.optional]
        return {
            "type": "object",
            "properties": {name: shape.schema() for name, shape in self.fields.items()},
            "additionalProperties": self.is_open,
        } | given(
            {
                "required": required or None,
                "examples": [dict(self.example)] if self.example is not None else None,
            }
        )

    def checked(self, value: object, where: str = "") -> Any:
        """A dict with every field; one that was left out is None."""
        if not isinstance(value, dict):
            raise ValidationError(f"{where or 'the body'}: must be an object")
        if not self.is_open:
            _refuse_unknown(value, self.fields, "field")
        found: dict[str, Any] = dict.fromkeys(self.fields)
        for name, shape in self.fields.items():
            path = f"{where}.{name}" if where else name
            if name in value:
                found[name] = shape.checked(value[name], path)
            elif name not in self.optional:
                raise ValidationError(f"{path}: must be given")
        return found


@dataclass(frozen=True, slots=True)
class Either:
    """One of several shapes. Only answers have it."""

    shapes: tuple[Shape, ...]

    def schema(self) -> Schema:
        """`{"anyOf": [...]}`."""
        return {"anyOf": [shape.schema() for shape in self.shapes]}

    def checked(self, value: object, where: str) -> Any:
        """The value, by the first shape that takes it."""
        for shape in self.shapes[:-1]:
            try:
                return shape.checked(value, where)
            except ValidationError:
                continue
        return self.shapes[-1].checked(value, where)


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters that an address may have behind its question mark, and no others."""

    words: Mapping[str, Word]
    required: frozenset[str] = field(default_factory=frozenset)

    def checked(self, said: Mapping[str, str | list[str]]) -> dict[str, Any]:
        """A dict with every parameter; one that was left out is None.

        Raises:
            ValidationError: names the parameter.
        """
        _refuse_unknown(said, self.words, "parameter")
        found: dict[str, Any] = dict.fromkeys(self.words)
        for name, word in self.words.items():
            text = said.get(name)
            if isinstance(text, list):
                raise ValidationError(f"{name}: stands more than once in the address")
            if text is not None:
                found[name] = word.from_text(text, name)
            elif name in self.required:
                raise ValidationError(f"the query parameter {name!r} is missing")
        return found


def parameters(**words: Word) -> Parameters:
    """Parameters that may all be left out."""
    return Parameters(words)


def options(**fields: Shape) -> Record:
    """A record without a name, of fields that may all be left out."""
    return Record(fields, optional=frozenset(fields))


def record(name: str = "", /, **fields: Shape) -> Record:
    """A record that has all of its fields."""
    return Record(fields, name)


def named(shape: Shape) -> Iterator[Record]:
    """The records with a name in a shape, itself included."""
    inner: Iterable[Shape] = ()
    match shape:
        case Record():
            if shape.name:
                yield shape
            inner = shape.fields.values()
        case Items() | Keyed() | Nullable():
            inner = (shape.of,)
        case Either():
            inner = shape.shapes
    for one in inner:
        yield from named(one)


def _refuse_unknown(names: Iterable[str], known: Iterable[str], what: str) -> None:
    if unknown := sorted(set(names) - set(known)):
        shown = unknown[0][:MAX_SHOWN]
        name = shown if shown.isprintable() else repr(shown)
        raise ValidationError(f"{name}: there is no such {what}")
