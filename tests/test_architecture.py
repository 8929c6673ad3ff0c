"""Who may import whom, what stays pure, and how large a file may grow."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

APP = Path(__file__).parent.parent / "bty_app"

# Besides itself and the standard library.
EVERYONE = {"errors"}
TOP = {
    *("errors", "logs", "config", "config_sections", "config_values", "config_sources"),
    *("state_dir", "native", "client_zip"),
}
MAY_IMPORT: dict[str, set[str]] = {
    "domain": set(),
    "flasher": {"domain", "upstream", "logs"},
    "store": {"domain"},
    "upstream": {"domain"},
    "netboot": {"domain"},
    "services": {"domain", "store", "upstream", "logs"},
    "web": {"domain", "services", "netboot", "logs"},
    "workers": {"logs"},
    "errors": set(),
    "logs": set(),
    "config": {"config_sections", "config_elsewhere", "config_values"},
    "config_row": set(),
    "config_sections": {"config_row", "config_values", "logs", "state_dir"},
    "config_elsewhere": {"config_row", "config_values"},
    "config_values": {"logs", "domain"},  # a rule of the domain is the rule of its key
    "config_sources": {"config", "config_values", "state_dir"},
    "state_dir": set(),
    "native": {"store"},  # to publish an unpacked extension as every other file
    "client_zip": set(),
    "demo": set(),
    "deploy": {"config", "domain", "store"},  # of the store, how files are published
    "live": {"client_zip", "domain", "store"},  # of the store, how files are published
    "runtime_parts": TOP | {"runtime_offsite", "domain", "store", "upstream", "services", "web"},
    "runtime_offsite": TOP | {"domain", "store", "upstream", "services"},
    "runtime": TOP
    | {
        "runtime_parts",
        "runtime_offsite",
        "domain",
        "store",
        "upstream",
        "netboot",
        "services",
        "web",
        "workers",
    },
    "runtime_netboot": TOP | {"netboot", "services", "web", "workers"},
    "cli": TOP
    | {
        "runtime",
        "runtime_netboot",
        "runtime_parts",
        "runtime_offsite",
        "live",
        "demo",
        "deploy",
        "flasher",
        "domain",
        "store",
        "upstream",
        "netboot",
        "services",
        "web",
        "workers",
    },
    "__main__": {"native", "cli"},
    "__init__": set(),
}
THIRD_PARTY: dict[str, set[str]] = {
    "store": {"apsw"},
    "upstream": {"urllib3"},
    "web": {"falcon", "jinja2", "markupsafe"},
    "workers": {"waitress"},
    "cli": {"apsw"},
}
# One writer of TOML; a file of its own, so that the rest of the domain needs nothing.
SINGLE_FILES = {"domain/catalog_toml.py": {"tomli_w"}}
IMPURE = {"time", "os", "logging", "threading", "socket", "subprocess", "pathlib", "random"}
MAX_LINES = 350


def parts() -> Iterator[tuple[str, Path]]:
    for path in sorted(APP.rglob("*.py")):
        yield path.relative_to(APP).parts[0].removesuffix(".py"), path


def imports(path: Path) -> Iterator[str]:
    """Dotted names that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module == "bty_app":
                yield from (f"bty_app.{alias.name}" for alias in node.names)
            else:
                yield node.module or ""


def standard_library() -> frozenset[str]:
    import sys

    return frozenset(sys.stdlib_module_names)


@pytest.mark.parametrize(("part", "path"), [pytest.param(*row, id=str(row[1])) for row in parts()])
def test_a_file_imports_only_what_its_place_allows(part: str, path: Path) -> None:
    assert part in MAY_IMPORT, f"{path} has no place in the table"

    for name in imports(path):
        root, _, rest = name.partition(".")
        if root == "bty_app":
            target = rest.partition(".")[0]
            allowed = MAY_IMPORT[part] | EVERYONE | {part, "__version__"}
            assert target in allowed, f"{path} imports {name}"
        elif root not in standard_library():
            relative = path.relative_to(APP).as_posix()
            allowed = THIRD_PARTY.get(part, set()) | SINGLE_FILES.get(relative, set())
            assert root in allowed, f"{path} imports {name}"


def test_only_one_module_knows_the_http_server() -> None:
    knowing = [path for _part, path in parts() if any("waitress" in name for name in imports(path))]

    assert [path.relative_to(APP).as_posix() for path in knowing] == ["workers/http.py"]


def test_the_web_uses_no_protocol_but_the_script_writer() -> None:
    for part, path in parts():
        if part == "web":
            used = {name for name in imports(path) if name.startswith("bty_app.netboot")}
            assert used <= {"bty_app.netboot", "bty_app.netboot.ipxe"}, path


def test_the_api_stands_without_the_pages() -> None:
    for path in (APP / "web" / "api").glob("*.py"):
        assert not [name for name in imports(path) if name.startswith("bty_app.web.ui")], path


def test_the_domain_has_no_clock_disk_network_or_log() -> None:
    for part, path in parts():
        if part != "domain":
            continue
        assert not {name.partition(".")[0] for name in imports(path)} & IMPURE, path
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                assert node.attr not in {"now", "utcnow", "today"}, path


def test_the_database_file_is_never_opened_by_python() -> None:
    """Closing such a descriptor drops SQLite's locks for the whole process."""
    for _part, path in parts():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            if called in {"open", "os.open"} or called.endswith((".open", ".read_bytes")):
                assert "state.db" not in ast.unparse(node), f"{path}: {ast.unparse(node)}"
                assert "STATE_FILE" not in ast.unparse(node), f"{path}: {ast.unparse(node)}"


def test_no_file_has_grown_beyond_one_idea() -> None:
    grown = {
        path.relative_to(APP).as_posix(): lines
        for _part, path in parts()
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > MAX_LINES
    }

    assert not grown
