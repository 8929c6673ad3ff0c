"""What each operation of the API takes and answers, of the document that the server gives."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from tests.docs import routes
from tests.docs.tables import code

_USUAL = {"400", "401", "403", "404", "413", "422", "429", "503"}


def every() -> str:
    """The operations that take or answer more than their path and a status."""
    parts = []
    for path, methods in routes.document()["paths"].items():
        for method, operation in methods.items():
            if method != "head" and _says_more(operation):
                lines = [*_parameters(operation), *_body(operation), *_answers(operation)]
                parts.append(f"### {method.upper()} {path}\n\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def records() -> str:
    """The records that several operations have."""
    parts = []
    for name, schema in routes.document()["components"]["schemas"].items():
        lines = [f"- {line}" for line in _fields(schema)] or ["- Any fields."]
        examples = schema.get("examples", ())
        lines += [f"\n```json\n{json.dumps(example)}\n```" for example in examples]
        parts.append(f"### {name}\n\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def _says_more(operation: dict[str, Any]) -> bool:
    """Whether there is more to say than its status."""
    content = any("content" in answer for answer in operation["responses"].values())
    return bool(
        any(p["in"] != "path" for p in operation.get("parameters", ()))
        or operation.get("requestBody")
        or content
    )


def _parameters(operation: dict[str, Any]) -> Iterator[str]:
    for found in operation.get("parameters", ()):
        if found["in"] == "path":
            continue
        must = ", must be there" if found.get("required") else ""
        place = {"query": "in the address", "header": "as a header"}[found["in"]]
        words = _words(found["schema"])
        yield _line(f"{code(found['name'])} {place}: {words}{must}", found.get("description", ""))


def _body(operation: dict[str, Any]) -> Iterator[str]:
    sent = operation.get("requestBody")
    if sent is None:
        return
    (media, content), *_ = sent["content"].items()
    schema = content["schema"]
    may = "" if sent["required"] else ", which may be left out"
    if not schema:
        yield f"- The body: {code(media)}."
        return
    yield f"- The body: {_words(schema)}{may}."
    for line in _fields(schema):
        yield f"  - {line}"
    for example in schema.get("examples", ()):
        yield f"  - For example {code(json.dumps(example))}."


def _answers(operation: dict[str, Any]) -> Iterator[str]:
    others = []
    for status, answer in operation["responses"].items():
        if "$ref" in answer or int(status) >= 400:
            others += [] if status in _USUAL else [status]
            continue
        yield f"- {status}: {answer['description']}{_content(answer)}"
    if others:
        yield f"- Also {', '.join(others)}."


def _content(answer: dict[str, Any]) -> str:
    for media, content in answer.get("content", {}).items():
        schema = content["schema"]
        if media != "application/json":
            return f" {code(media)}." if media != "*/*" else ""
        if schema:
            words = _words(schema)
            return f" {words[0].upper()}{words[1:]}."
    return ""


def _fields(schema: dict[str, Any]) -> Iterator[str]:
    required = set(schema.get("required", ()))
    for name, inner in schema.get("properties", {}).items():
        may = "" if name in required else ", may be left out"
        yield _line(f"{code(name)}: {_words(inner)}{may}", inner.get("description", ""), dash="")


def _line(said: str, about: str, dash: str = "- ") -> str:
    return f"{dash}{said}. {about}".strip()


def _named(schema: dict[str, Any]) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _words(schema: dict[str, Any]) -> str:
    """A schema in a few words."""
    if name := _named(schema):
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_words(inner) for inner in schema["anyOf"])
    kind = schema.get("type")
    if isinstance(kind, list):
        one = schema | {"type": kind[0]}
        if "enum" in schema:
            one["enum"] = [value for value in schema["enum"] if value is not None]
        return f"{_words(one)} or null"
    known = _OF_TYPE.get(str(kind))
    return known(schema) if known else "any JSON"


def _text(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " or ".join(code(value) for value in schema["enum"])
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    if most is not None:
        return f"text of {f'{least} to' if least else 'at most'} {most} characters"
    return "text"


def _range(schema: dict[str, Any]) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None and most is not None and most < 10**9:
        return f" from {least} to {most}"
    return f", {least} or more" if least else ""


def _list(schema: dict[str, Any]) -> str:
    most = f"at most {schema['maxItems']:,}, " if "maxItems" in schema else ""
    return f"a list ({most}each {_words(schema['items'])})"


def _object(schema: dict[str, Any]) -> str:
    if inner := schema.get("properties"):
        return f"an object of {', '.join(code(name) for name in inner)}"
    values = schema.get("additionalProperties")
    return f"an object{f', each value {_words(values)}' if isinstance(values, dict) else ''}"


_OF_TYPE: dict[str, Callable[[dict[str, Any]], str]] = {
    "string": _text,
    "integer": lambda schema: f"a whole number{_range(schema)}",
    "number": lambda _schema: "a number",
    "boolean": lambda _schema: "true or false",
    "null": lambda _schema: "null",
    "array": _list,
    "object": _object,
}
