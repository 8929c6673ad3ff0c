"""What an operator enters for an image: kept as typed, checked field by field."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from bty_app.domain import catalog_edit
from bty_app.domain.catalog import CatalogEntry
from bty_app.errors import ValidationError
from bty_app.web.body import parsed
from bty_app.web.forms import Form


@dataclass(frozen=True, slots=True)
class Entered:
    """The fields as text by name, mirrors one on each line, and what they were when it was read."""

    fields: Mapping[str, str]
    expected: Mapping[str, object]

    @property
    def token(self) -> str:
        """`expected` as the form carries it."""
        return json.dumps(self.expected)

    def wanted(self) -> dict[str, object]:
        """The fields that the operator has changed, as plain JSON data."""
        before = _as_text(self.expected)
        return {
            name: _as_value(name, text)
            for name, text in self.fields.items()
            if text != before[name]
        }

    def problems(self) -> dict[str, str]:
        """What is wrong with which field."""
        found = {}
        for name, value in self.wanted().items():
            try:
                catalog_edit.parsed({name: value})
            except ValidationError as error:
                found[name] = error.message.removeprefix(f"{name}: ")
        return found

    def upon(self, entry: CatalogEntry) -> Entered:
        """What was entered, over the entry as it is by now."""
        changed, now = self.wanted(), catalog_edit.values_of(entry)
        fields = {n: self.fields[n] if n in changed else text for n, text in _as_text(now).items()}
        return Entered(fields, now)


def entered_of(entry: CatalogEntry) -> Entered:
    """The fields as they are stored."""
    now = catalog_edit.values_of(entry)
    return Entered(_as_text(now), now)


def entered_in(form: Form) -> Entered:
    """The fields of a submitted form; those that were left out are as expected.

    Raises:
        ValidationError: the form does not say what the fields were.
    """
    expected = parsed((form.text("expected") or "").encode())
    if not isinstance(expected, dict) or set(expected) != set(catalog_edit.FIELDS):
        raise ValidationError("expected: must say what each field was")
    fields = {
        name: text if (given := form.text(name)) is None else given.replace("\r\n", "\n").strip()
        for name, text in _as_text(expected).items()
    }
    return Entered(fields, expected)


def _as_text(values: Mapping[str, object]) -> dict[str, str]:
    return {
        name: "\n".join(str(part) for part in value)
        if isinstance(value, list)
        else str(value or "").replace("\r\n", "\n").strip()
        for name, value in values.items()
    }


def _as_value(name: str, text: str) -> object:
    if name == "mirrors":
        return [line for part in text.split("\n") if (line := part.strip())]
    return text or None
