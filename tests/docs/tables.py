"""Tables of the reference: configuration, settings, HTTP statuses, the schema."""

from __future__ import annotations

from bty_app.config import KEYS, Key
from bty_app.domain import rotation
from bty_app.domain.settings import SETTINGS
from bty_app.store.creation import schema as schema_text
from bty_app.web.errors import STATUS
from tests.failure_matrix import ROWS


def table(*rows: tuple[str, ...]) -> str:
    """A Markdown table; the first row is its head."""
    head, *body = rows
    lines = [head, tuple("---" for _ in head), *body]
    return "".join("| " + " | ".join(map(_cell, line)) + " |\n" for line in lines)


def sentence(docstring: str | None) -> str:
    """The first paragraph of a docstring on one line."""
    return " ".join((docstring or "").split("\n\n")[0].split())


def code(text: str) -> str:
    """`text` as code, or a dash."""
    return f"`{text}`" if text else "-"


def config() -> str:
    """Every configuration key."""
    rows = [_config_row(key) for key in KEYS]
    return table(("key", "variable", "flag", "value", "default", "what it is"), *rows)


def _config_row(key: Key) -> tuple[str, ...]:
    default = key.shown_default or key.shown(key.default)
    return (
        code(key.name),
        code(key.env),
        code(key.flag),
        key.kind,
        code(default) if default != "the running version" else default,
        key.help + (" A secret: shown as `***`." if key.secret else ""),
    )


def settings() -> str:
    """Every operator setting."""
    rows = [(code(row.key), code(str(row.default)), row.help) for row in SETTINGS]
    return table(("setting", "default", "what it does"), *rows)


def carried_settings() -> str:
    """Which settings outlive a rotation."""
    keys = sorted(rotation._CARRIED_KEYS) + [f"{prefix}*" for prefix in rotation._CARRIED_PREFIXES]
    return "".join(f"- `{key}`\n" for key in keys)


def statuses() -> str:
    """The HTTP status of each class of failure."""
    rows = [(str(status), code(kind.code), sentence(kind.__doc__)) for kind, status in STATUS]
    return table(("status", "class", "when"), *rows)


def schema() -> str:
    """The schema as it is executed."""
    return f"```sql\n{schema_text().strip()}\n```\n"


def failures() -> str:
    """What may go wrong with the state, and how many tests prove that it does no harm."""
    rows = [
        (row.fault, row.brought_about, row.must_hold, _tests(row.tests) or f"NONE: {row.missing}")
        for row in ROWS
    ]
    return table(("what happens", "brought about by", "what must hold", "tests"), *rows)


def _tests(tests: dict[str, tuple[str, ...]]) -> str:
    return ", ".join(
        f"{code(file.removeprefix('tests/'))} {len(names)}" for file, names in tests.items()
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
