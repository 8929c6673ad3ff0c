"""What a route of the API takes and answers, declared once.

A resource has `operations`, a declaration by method. Its handler reads what was sent with it
(`query_of`, `body_of`), `openapi.py` describes it, and the reference page is written of it. What
the declaration is silent of is the same for all: the refusals of `refusals`, and the scope, which
stands in the resource (`scopes.py`). The summary is the docstring of the handler.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import falcon

from bty_app.web import body
from bty_app.web.records import Parameters, Record
from bty_app.web.shapes import Shape

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
BYTES = "application/octet-stream"
MAX_BODY_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: what its status means, and its body, if it has one."""

    status: int
    about: str
    shape: Shape | None = None
    media: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def content_type(self) -> str:
        """That of the body; empty when there is none."""
        return self.media or (JSON if self.shape else "")


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent along. `parse` is the parser of the domain that stands in for the check of the
    shape: a value is checked once. `most_bytes` 0: as configured.
    """

    shape: Record | None = None
    most_bytes: int = MAX_BODY_BYTES
    media: str = JSON
    optional: bool = False
    parse: Callable[[dict[str, object]], Any] | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one route. `refuses` are the statuses that only some operations have."""

    answers: tuple[Answer, ...]
    query: Parameters | None = None
    body: Body | None = None
    refuses: tuple[int, ...] = ()

    def query_of(self, req: falcon.Request) -> dict[str, Any]:
        """The parameters of the address, checked; None for each that was left out.

        Raises:
            ValidationError: names the one that is wrong, or that there is not.
        """
        return (self.query or Parameters({})).checked(req.params)

    def body_of(self, req: falcon.Request) -> Any:
        """The JSON that was sent, checked: a dict with every field, or what the parser makes.

        Raises:
            TooLargeError: longer than it may be.
            ValidationError: names the field that is wrong, or that there is not.
        """
        wanted = self.body
        if wanted is None or wanted.shape is None:
            raise TypeError("no JSON is declared here")
        nothing = wanted.optional and req.content_length in (None, 0)
        sent = {} if nothing else body.json_object(req, wanted.most_bytes)
        return wanted.parse(sent) if wanted.parse else wanted.shape.checked(sent)


def declared(**by_method: Operation) -> Mapping[str, Operation]:
    """The declarations of a resource."""
    return MappingProxyType(by_method)


def answers(about: str, shape: Shape, status: int = 200, **headers: str) -> tuple[Answer, ...]:
    """The usual: one answer, of JSON."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return (Answer(status, about, shape, headers=named),)


def nothing(about: str = "It is done.", status: int = 204) -> tuple[Answer, ...]:
    """One answer without a body."""
    return (Answer(status, about),)


@dataclass(frozen=True, slots=True)
class Route:
    """A resource, where the application has it."""

    path: str
    resource: object

    @property
    def operations(self) -> Mapping[str, Operation]:
        """Its declarations by method."""
        found: Mapping[str, Operation] = getattr(self.resource, "operations", {})
        return found

    def handler(self, method: str) -> Callable[..., None]:
        """What answers the method.

        Raises:
            AttributeError: nothing does.
        """
        found: Callable[..., None] = getattr(self.resource, f"on_{method.lower()}")
        return found

    def is_open(self, method: str) -> bool:
        """Whether the method needs no credential."""
        closed = method in getattr(self.resource, "closed_methods", ())
        return bool(getattr(self.resource, "open_to_all", False)) and not closed


@dataclass(frozen=True, slots=True)
class Routes:
    """The routes of the API as they are given to the application, kept to be described."""

    app: falcon.App[Any, Any]
    every: list[Route] = field(default_factory=list)

    def add(self, path: str, resource: object) -> None:
        """Let `resource` answer at `path`."""
        self.app.add_route(path, resource)
        self.every.append(Route(path, resource))
