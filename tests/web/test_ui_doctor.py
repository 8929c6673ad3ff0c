"""The page of the doctor: what is wrong, what to do, and the whole examination as a job."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bty_app.domain.findings import Finding, Level
from bty_app.domain.jobs import State
from bty_app.services.doctor import CHECKS
from bty_app.services.doctor_jobs import KEY, KIND
from bty_app.web.ui.doctor import rows
from bty_app.web.ui.said import with_commands
from bty_app.web.ui.words import Tone
from tests.web.site import Site, site

PATH = "/ui/doctor"


@pytest.fixture
def house(quick_dir: Path) -> Iterator[Site]:
    with site(quick_dir / "state") as made:
        yield made


def examine(house: Site) -> None:
    """What a thread for jobs does."""
    work = house.services.jobs.next()
    assert work is not None
    work()


def checks_of(text: str) -> set[str]:
    return set(re.findall(r"<small>Check: ([a-z-]+)</small>", text))


def test_before_an_examination_it_shows_the_checks_that_ask_nobody(house: Site) -> None:
    text = house.visit().get(PATH).text

    assert "Not examined since this server started" in text
    asking = {check.name for check in CHECKS if check.asks_others}
    assert not checks_of(text) & asking
    assert "live-environment" in checks_of(text)


def test_an_examination_is_a_job_and_its_findings_stay(house: Site) -> None:
    visit = house.visit()

    answer = visit.post(PATH)
    again = visit.post(PATH)
    waiting = visit.get(PATH).text
    examine(house)
    after = visit.get(PATH).text

    assert (answer.status_code, answer.headers["location"]) == (303, PATH)
    assert again.status_code == 303
    assert 'http-equiv="refresh"' in waiting
    assert "Waits" in waiting
    assert "Examined" in after
    assert {"withcache", "upstream-catalog"} <= checks_of(after)
    assert 'http-equiv="refresh"' not in after
    job = house.services.jobs.latest(KIND, KEY)
    assert job is not None
    assert job.state is State.COMPLETED


def test_the_part_is_asked_for_by_revision(house: Site) -> None:
    visit = house.visit()
    found = re.search(r'hx-get="([^"]+)"', visit.get(PATH).text)
    assert found is not None

    assert visit.get(found[1].replace("&amp;", "&")).status_code == 204
    house.services.doctor_jobs.look()
    assert visit.get(found[1].replace("&amp;", "&")).status_code == 200


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("run `bty verify`, or wait", "run <code>bty verify</code>, or wait"),
        ("`a` and `b`", "<code>a</code> and <code>b</code>"),
        ("a file named ` alone", "a file named ` alone"),
        ("`<b>` is <i>", "<code>&lt;b&gt;</code> is &lt;i&gt;"),
        ("`a\u202eb`", "<code>a&lt;U+202E&gt;b</code>"),
        ("", ""),
    ],
)
def test_a_command_in_a_remedy_looks_like_one_and_nothing_else_gets_through(
    text: str, html: str
) -> None:
    assert with_commands(text) == html


def test_the_worst_stands_first_and_a_level_has_words() -> None:
    found = [Finding(level, f"a {level}", "do it", "check") for level in Level]

    shown = rows(found)

    assert [row.tone for row in shown] == [Tone.FAULT, Tone.WAIT, Tone.REST, Tone.GOOD]
    assert [row.level for row in shown] == ["Fault", "Warning", "Note", "In order"]


def test_a_cancelled_examination_finds_nothing(house: Site) -> None:
    job = house.services.doctor_jobs.look()
    work = house.services.jobs.next()
    assert work is not None
    house.services.jobs.cancel(job.id)
    work()

    assert house.services.jobs.get(job.id).state is State.CANCELLED
    assert house.services.doctor_jobs.looked() is None
    assert "Not examined" in house.visit().get(PATH).text


def test_the_dashboard_leads_to_it(house: Site) -> None:
    assert f'href="{PATH}"' in house.visit().get("/ui/dashboard").text
