"""The documents say what the code does: generated parts, words that must be there, links."""

from __future__ import annotations

import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from bty_app import __version__
from bty_app.cli import main
from bty_app.cli.main import EXIT_CODES, INTERRUPTED, USAGE
from bty_app.cli.table import COMMANDS
from bty_app.config import KEYS
from bty_app.domain.boot import Reason
from bty_app.domain.events import Kind
from bty_app.domain.machine import BootMode, Phase
from bty_app.domain.settings import SETTINGS
from bty_app.services.doctor import CHECKS
from tests.docs import events, routes
from tests.docs.pages import COMMAND, DOCS, PARTS, outdated, parts_of

ROOT = DOCS.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md")])
PARTS_OF_THE_DOCS = ("tutorials", "how-to", "reference", "explanation", "decisions")

LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
FENCED = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)
SHELL = re.compile(r"```sh\n(.*?)```", re.DOTALL)
OURS = re.compile(r"(?:^\s*bty|python3 \S*bty\.pyz) ([^|&;]*)")
URL = re.compile(r"https?://([^/\s\"'`)]+)[^\s\"'`)]*")
ABSOLUTE = re.compile(r"(?<![\w.~:/>}$*])/[A-Za-z_.][\w.-]*")

# What a reader may be pointed to: names set aside for examples (RFC 2606, 5737), this machine as
# seen from itself and from a guest of QEMU, and what is written with a placeholder.
HOSTS = re.compile(
    r"((boot|registry)\.)?example\.com|127\.0\.0\.1|10\.0\.2\.2|192\.0\.2\.\d+|host|<[a-z-]+>"
    r"|\$\{.*|github\.com",  # where the default catalog is
    re.ASCII,
)
# Directories that every Linux host has, or that the page itself tells to make.
PLACES = {"/etc", "/var", "/usr", "/srv", "/dev", "/run", "/mnt", "/media"}
# Of the original: the reference says why they are not offered.
DROPPED = {"/docs", "/redoc", "/admin"}


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def reference(name: str) -> str:
    return (DOCS / "reference" / f"{name}.md").read_text("utf-8")


def anchors(page: Path) -> set[str]:
    """The fragments that a forge makes of the headings of a page."""
    text = FENCED.sub("", page.read_text("utf-8"))
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(text))
    return {heading.strip().replace(" ", "-") for heading in kept}


def links(page: Path) -> Iterator[str]:
    text = FENCED.sub("", page.read_text("utf-8"))
    for target in LINK.findall(text):
        if "://" not in target:
            yield target


def test_the_generated_parts_are_what_the_code_says_today() -> None:
    found = [relative(path) for path in outdated()]

    assert found == [], f"out of date: run `{COMMAND}` to renew {', '.join(found)}"


def test_every_generated_part_stands_on_exactly_one_page() -> None:
    used = [name for page in PAGES for name in parts_of(page.read_text("utf-8"))]

    assert sorted(used) == sorted(PARTS)


@pytest.mark.parametrize("part", PARTS_OF_THE_DOCS)
def test_each_part_of_the_documents_has_pages_that_the_index_leads_to(part: str) -> None:
    pages = sorted((DOCS / part).glob("*.md"))
    index = set(links(DOCS / "README.md"))

    assert pages
    assert {f"{part}/{page.name}" for page in pages} <= index


def test_every_configuration_key_is_documented() -> None:
    page = reference("config")

    missing = [key.name for key in KEYS if f"`{key.name}`" not in page or key.env not in page]

    assert missing == []


def test_every_setting_is_documented() -> None:
    page = reference("settings")

    assert [row.key for row in SETTINGS if f"`{row.key}`" not in page] == []


def test_every_route_is_documented() -> None:
    page = reference("http")
    every = routes.every()

    def row(r: routes.Route) -> str:
        scope = f" {r.scope} |" if r.scope and not r.path.startswith("/ui") else ""
        return f"| {r.method} | `{r.path}` |{scope} {r.about} |"

    missing = [r for r in every if row(r) not in page]

    assert len(every) > 40
    assert missing == []
    assert [route for route in every if not route.about] == []


def test_every_check_of_doctor_is_documented() -> None:
    page = (DOCS / "how-to" / "doctor.md").read_text("utf-8")

    assert [check.name for check in CHECKS if f"| `{check.name}` |" not in page] == []


def test_every_kind_of_event_is_documented_with_its_meaning() -> None:
    page = reference("events")
    rows = {row[0]: row for row in events.rows()}

    missing = [kind.value for kind in Kind if f"| `{kind.value}` |" not in page]
    silent = [name for name, row in rows.items() if not row[4]]

    assert missing == []
    assert silent == []


def test_every_command_and_exit_status_is_documented() -> None:
    page = reference("cli")
    statuses = {0, 1, USAGE, INTERRUPTED, *(status for _kind, status in EXIT_CODES)}

    assert [name for name in COMMANDS if f"\n### {name}\n" not in page] == []
    assert [status for status in sorted(statuses) if f"| {status} |" not in page] == []


def test_every_mode_phase_and_reason_of_the_boot_decision_is_documented() -> None:
    page = reference("boot-modes")
    words = [word.value for table in (BootMode, Phase, Reason) for word in table]

    assert [word for word in words if f"`{word}`" not in page] == []


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for target in links(page):
        name, _, fragment = target.partition("#")
        found = (page.parent / name) if name else page

        assert found.exists(), f"{target}: there is no such file"
        assert found.resolve().is_relative_to(ROOT), f"{target} leads out of the repository"
        if fragment:
            assert fragment in anchors(found), f"{target}: there is no such heading"


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_a_page_names_no_hosts_but_those_that_are_set_aside_for_examples(page: Path) -> None:
    named = {host.partition(":")[0] for host in URL.findall(page.read_text("utf-8"))}

    assert {name for name in named if not HOSTS.fullmatch(name)} == set()


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_a_page_names_only_paths_that_any_host_has_and_addresses_of_the_server(page: Path) -> None:
    served = {f"/{route.path.split('/')[1]}" for route in routes.every()}
    text = URL.sub("", page.read_text("utf-8"))

    named = {found[0] for found in ABSOLUTE.finditer(text)}

    assert named - served - PLACES - DROPPED == set()


def command_lines() -> Iterator[str]:
    """What the pages tell to type, each line of ours from behind the program's name."""
    for page in PAGES:
        for block in SHELL.findall(page.read_text("utf-8")):
            for line in block.replace("\\\n", " ").splitlines():
                for words in OURS.findall(line):
                    yield words.strip()


@pytest.mark.parametrize("line", sorted(set(command_lines())))
def test_a_command_line_of_the_documents_is_one_that_the_program_takes(line: str) -> None:
    words = shlex.split(line.partition(" > ")[0])  # what is written to a file is the shell's

    arguments = main._top_parser("bty").parse_args(words)

    name, *rest = arguments.words
    parser = main._command_parser(f"bty {name}", COMMANDS[name])
    importlib.import_module(COMMANDS[name].module).configure(parser)
    parser.parse_args(rest)


def test_the_documents_have_command_lines() -> None:
    assert len(set(command_lines())) > 15


def test_the_readme_is_one_page_and_has_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text("utf-8")

    assert "\npython3 build_zipapp.py && python3 dist/bty.pyz serve\n" in text
    assert "\ntests/run\n" in text
    assert len(text.splitlines()) <= 90


def test_the_changelog_begins_with_the_running_release() -> None:
    first = re.search(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)

    assert first is not None
    assert first[1].endswith(__version__)
