"""The document of the API (OpenAPI 3.1), written of the declarations once, at the start."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from collections.abc import Iterable, Iterator, Mapping

import falcon

from bty_app import __version__
from bty_app.domain.image_source import IMAGE_REF
from bty_app.domain.release import TAG
from bty_app.domain.rotation import ARCHIVE
from bty_app.web.errors import PROBLEM
from bty_app.web.operations import JSON, Answer, Body, Operation, Route, answers, declared
from bty_app.web.records import Parameters, Record, named, record
from bty_app.web.scopes import scope_of
from bty_app.web.shapes import Anything, Schema, Shape, Text, Whole, Word

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_FIELD = re.compile(r"\{([a-z_]+)(?::[^}]*)?\}", re.ASCII)
_PAIR = "[0-9A-Fa-f]{2}"

# What can stand in the place of a name in a path, the same wherever it does.
IN_PATHS: Mapping[str, Word] = {
    "mac": Text("A MAC; colons and hyphens are the same.", pattern=f"{_PAIR}(?:[:-]{_PAIR}){{5}}"),
    "ref": Text("The ref of an image.", pattern=IMAGE_REF.pattern),
    "act_id": Text("The id of an act on many machines."),
    "job_id": Text("The id of a job."),
    "token_id": Text("The id or the name of a token."),
    "session_id": Text("The id of a session."),
    "event_id": Whole("The id of an event."),
    "number": Whole("The number of an inventory."),
    "tag": Text("The tag of a release.", pattern=TAG.pattern),
    "name": Text("The name of a file."),
    "backup_id": Text("The name of a backup.", most=128, pattern="[^./-][^/]*"),
    "archive": Text("The name of an old database.", pattern=ARCHIVE.pattern),
}

REFUSAL = record("Refusal", detail=Text("What is wrong, in one sentence."))
PROBLEM_DETAILS = record(
    "Problem",
    type=Text(one_of=("about:blank",)),
    title=Text("The words of the status."),
    status=Whole("The status.", least=400, most=599),
    detail=Text("What is wrong, in one sentence; of a field, it begins with its name."),
    code=Text("The kind of failure, in a word for programs."),
)
_MEANINGS = {
    400: "What was given can never succeed: the Host header, or a part of the path.",
    401: "No valid session or token.",
    403: "A valid token whose scope is not enough, or a request from another site's page.",
    404: "What the path names is not here.",
    409: "Busy, in use, or changed meanwhile.",
    412: "It is not any more what If-Match says.",
    413: "The body is too large.",
    422: "A field or a parameter is wrong: the sentence begins with its name.",
    429: "Too many, too often: Retry-After says when to come back.",
    503: "The disk is full or broken, or something that is needed does not answer.",
}
_ABOUT = (
    "Scripts send a token as `Authorization: Bearer bty_...`; the role in `security` is the scope"
    " that it needs at least. Under `/api/v1` a refusal is problem details (RFC 9457), elsewhere"
    ' `{"detail": "..."}`.'
)


class OpenApi:
    """`/openapi.json`: open, as in the original; it says nothing of this site."""

    open_to_all = True
    operations = declared(
        GET=Operation(
            (
                *answers("The document.", Anything(), ETag="It changes with the document."),
                Answer(304, "It is the one of If-None-Match."),
            )
        )
    )

    def __init__(self) -> None:
        self._data = b""
        self._etag = ""

    def publish(self, routes: Iterable[Route]) -> None:
        """Write the document of these routes."""
        self._data = json.dumps(document(routes), separators=(",", ":")).encode()
        self._etag = f'"{hashlib.sha256(self._data).hexdigest()[:32]}"'

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """This document; 304 when it is the one of If-None-Match."""
        resp.set_header("ETag", self._etag)
        resp.set_header("Cache-Control", "no-cache")
        if any(tag in {"*", self._etag} for tag in _tags(req.get_header("If-None-Match"))):
            resp.status = 304
            return
        resp.content_type = JSON
        resp.data = self._data

    on_head = on_get


def document(routes: Iterable[Route]) -> Schema:
    """All that is declared of these routes."""
    paths: dict[str, Schema] = {}
    records: dict[str, Record] = {}
    for route in routes:
        path = path_of(route.path)
        for method, operation in described(route):
            paths.setdefault(path, {})[method.lower()] = _operation(route, method, operation)
            for shape in _shapes(operation):
                records |= {found.name: found for found in named(shape)}
    records |= {shape.name: shape for shape in (REFUSAL, PROBLEM_DETAILS)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "bty", "version": __version__, "description": _ABOUT},
        "paths": paths,
        "components": {
            "responses": {
                f"{shape.name}{status}": _answer(Answer(status, about, shape, media), has_body=True)
                for shape, media in ((REFUSAL, JSON), (PROBLEM_DETAILS, PROBLEM))
                for status, about in _MEANINGS.items()
            },
            "schemas": {name: records[name].described() for name in sorted(records)},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "bty-token"},
            },
        },
    }


def described(route: Route) -> Iterator[tuple[str, Operation]]:
    """Each method of a route with its declaration; HEAD has that of GET unless it has its own."""
    for method in METHODS:
        if not hasattr(route.resource, f"on_{method.lower()}"):
            continue
        operation = route.operations.get(method)
        if operation is None and method == "HEAD":
            operation = route.operations.get("GET")
        if operation is not None:
            yield method, operation


def path_of(template: str) -> str:
    """The path as OpenAPI spells it: without the router's converters."""
    return _FIELD.sub(r"{\1}", template)


def summary_of(route: Route, method: str) -> str:
    """The first paragraph of the handler's docstring, on one line."""
    text = inspect.getdoc(route.handler(method)) or ""
    return " ".join(text.partition("\n\n")[0].split())


def refusals(route: Route, method: str, operation: Operation) -> list[int]:
    """The statuses that it may be refused with."""
    names = set(_FIELD.findall(route.path))
    found = {400, 503, *operation.refuses}
    if not route.is_open(method):
        found |= {401, 403, 429}
    if names:
        found.add(404)
    if operation.query:
        found.add(422)
    if operation.body:
        found |= {413, 422}
    return sorted(found - {answer.status for answer in operation.answers})


def _operation(route: Route, method: str, operation: Operation) -> Schema:
    path = path_of(route.path)
    slug = re.sub("[^a-z0-9]+", "_", path.lower()).strip("_") or "home"
    said: Schema = {
        "operationId": f"{method.lower()}_{slug}",
        "summary": summary_of(route, method),
        "tags": [_tag(path)],
        "responses": {},
    }
    if found := [*_in_path(route.path), *_in_query(operation.query), *_in_header(operation)]:
        said["parameters"] = found
    if operation.body:
        said["requestBody"] = _body(operation.body)
    for answer in operation.answers:
        said["responses"][str(answer.status)] = _answer(answer, has_body=method != "HEAD")
    kind = "Problem" if route.path.startswith("/api/v1/") else "Refusal"
    for status in refusals(route, method, operation):
        reference = {"$ref": f"#/components/responses/{kind}{status}"}
        headers_alone = {"description": _MEANINGS[status]}
        said["responses"][str(status)] = headers_alone if method == "HEAD" else reference
    scope = [] if route.is_open(method) else [scope_of(route.resource, method).value]
    said["security"] = [{"token": scope}, {"session": []}] if scope else []
    return said


def _in_path(template: str) -> list[Schema]:
    return [
        {"name": name, "in": "path", "required": True, **_worded(IN_PATHS[name])}
        for name in _FIELD.findall(template)
    ]


def _in_query(query: Parameters | None) -> list[Schema]:
    if query is None:
        return []
    return [
        {"name": name, "in": "query", "required": name in query.required, **_worded(word)}
        for name, word in query.words.items()
    ]


def _in_header(operation: Operation) -> list[Schema]:
    if 412 not in operation.refuses:
        return []
    about = "The ETag of a GET: else nothing is changed."
    return [{"name": "If-Match", "in": "header", **_worded(Text(about))}]


def _worded(word: Word) -> Schema:
    schema = word.schema()
    about = schema.pop("description", "")
    return ({"description": about} if about else {}) | {"schema": schema}


def _body(sent: Body) -> Schema:
    schema: Schema = sent.shape.schema() if sent.shape else {}
    return {"required": not sent.optional, "content": {sent.media: {"schema": schema}}}


def _answer(answer: Answer, *, has_body: bool) -> Schema:
    said: Schema = {"description": answer.about}
    if has_body and answer.content_type:
        schema: Schema = answer.shape.schema() if answer.shape else {}
        said["content"] = {answer.content_type: {"schema": schema}}
    if answer.headers:
        said["headers"] = {
            name: {"description": about, "schema": {"type": "string"}}
            for name, about in answer.headers.items()
        }
    return said


def _shapes(operation: Operation) -> Iterator[Shape]:
    yield from (answer.shape for answer in operation.answers if answer.shape)
    if operation.body and operation.body.shape:
        yield operation.body.shape


def _tag(path: str) -> str:
    parts = path.removeprefix("/api/v1").split("/")
    return parts[1].partition(".")[0] or "server"


def _tags(header: str | None) -> list[str]:
    return [tag.strip().removeprefix("W/") for tag in (header or "").split(",")]
