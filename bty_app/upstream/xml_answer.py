"""XML that other hosts answer with: no document type, no entities, names without namespaces."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree as Xml

from bty_app.errors import UnavailableError

Element = Xml.Element
MAX_XML_BYTES = 8 * 1024 * 1024


def parsed(body: bytes, shown: str) -> Element:
    """The root of an answer.

    Raises:
        UnavailableError: it is no XML, or has a document type.
    """
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body or b"\0" in body:  # \0: UTF-16 would hide them
        raise UnavailableError(f"{shown} answers with XML of a kind that is refused")
    try:
        return Xml.fromstring(body)  # noqa: S314
    except (Xml.ParseError, ValueError, LookupError) as error:
        raise UnavailableError(f"{shown} answers with what is no XML: {error}") from error


def children(element: Element, name: str) -> Iterator[Element]:
    """The direct children of that name, whatever their namespace."""
    return (child for child in element if child.tag.rpartition("}")[2] == name)


def text(element: Element, *path: str) -> str:
    """The text of the first element at that path below, or nothing."""
    for name in path:
        found = next(children(element, name), None)
        if found is None:
            return ""
        element = found
    return (element.text or "").strip()
