"""`envvars` is read as compose reads it, and written so that nothing else in it changes."""

from __future__ import annotations

import re
from io import StringIO

import pytest
from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as st

from bty_app.deploy.envvars import Envvars, masked
from bty_app.errors import ConfigError

NAMES = st.from_regex(r"[A-Z_][A-Z0-9_]{0,12}", fullmatch=True)
VALUES = st.text(max_size=30).filter(
    lambda t: t.isprintable() and t == t.strip() and not re.search(r"['\\]|\$\{", t)
)
OTHERS = st.sampled_from(["# a comment", "", "   ", "OTHER=1", "export X='a b' # why", "#A=1"])


@given(told=st.dictionaries(NAMES, VALUES), before=st.lists(OTHERS))
def test_what_is_written_is_read_back(told: dict[str, str], before: list[str]) -> None:
    envvars = Envvars("\n".join(before)).changed(told)

    assert {name: envvars.values()[name].text for name in told} == told


@given(told=st.dictionaries(NAMES, VALUES))
def test_podman_compose_reads_the_same(told: dict[str, str]) -> None:
    text = Envvars("").changed(told).text

    assert dotenv_values(stream=StringIO(text)) == told


@given(told=st.dictionaries(NAMES, VALUES), before=st.lists(OTHERS))
def test_every_other_line_stays_as_it_is(told: dict[str, str], before: list[str]) -> None:
    after = Envvars("\n".join(before)).changed(told).text.split("\n")

    kept = [line for line in before if line and not re.search(r"^#?(export )?(\w+)=", line)]
    assert [line for line in after if line in kept] == kept


@given(told=st.dictionaries(NAMES, VALUES), before=st.lists(OTHERS))
def test_the_same_values_once_more_change_nothing(told: dict[str, str], before: list[str]) -> None:
    once = Envvars("\n".join(before)).changed(told)

    assert once.changed(told) == once


def test_a_value_takes_the_place_of_its_line_or_of_the_comment_that_shows_it() -> None:
    envvars = Envvars("A=1\n# the port\n#PORT=80\n#PORT=90\nB=2 # two\n")

    changed = envvars.changed({"PORT": "81", "B": "3", "C": "x y"})

    assert changed.text == "A=1\n# the port\nPORT=81\n#PORT=90\nB=3\nC='x y'\n"


def test_a_line_that_says_it_already_stays_as_it_was_written() -> None:
    text = 'export A = "x"  # why\n'

    assert Envvars(text).changed({"A": "x"}).text == text


def test_of_a_name_that_stands_twice_the_last_line_counts_and_is_changed() -> None:
    envvars = Envvars("A=1\nB=2\nA=3\n")

    assert envvars.values()["A"].text == "3"
    assert envvars.changed({"A": "4"}).text == "A=1\nB=2\nA=4\n"


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=x", "x"),
        ("  export A = x  ", "x"),
        ("A=x # why", "x"),
        ("A=x#y", None),
        ("A='x # y' # why", "x # y"),
        ('A="x # y"', "x # y"),
        ("A=", ""),
        ("A=''", ""),
        ("A=x\r", "x"),
    ],
)
def test_values_as_people_write_them(line: str, value: str | None) -> None:
    if value is None:
        with pytest.raises(ConfigError, match="envvars, line 1: A: put it between single quotes"):
            Envvars(line).values()
    else:
        assert Envvars(line).values()["A"].text == value


@pytest.mark.parametrize(
    "line", ["A=$B", 'A="$B"', r"A=a\b", r"'A=1", "A='x", "A='a'b'", "A='${B}'", "A B=1", "A"]
)
def test_what_programs_read_differently_is_refused_by_its_line(line: str) -> None:
    with pytest.raises(ConfigError, match="envvars, line 2: "):
        Envvars(f"X=1\n{line}").values()


def test_a_refusal_does_not_show_a_password() -> None:
    with pytest.raises(ConfigError) as refused:
        Envvars("BTY_ADMIN_PASSWORD=hunter2$").values()

    assert "hunter2" not in refused.value.message


@pytest.mark.parametrize("value", ["a'b", "a\nb", "a\\b", "a${b}", " a", "a "])
def test_what_no_line_can_hold_is_not_written(value: str) -> None:
    with pytest.raises(ConfigError):
        Envvars("").changed({"A": value})


def test_passwords_are_masked_and_nothing_else() -> None:
    text = "HOST_ADDR=192.0.2.1\nWITHCACHE_ADMIN_PASSWORD='a b'\n#BTY_ADMIN_PASSWORD=x\nP_SECRET=\n"

    shown = masked(text)

    assert "192.0.2.1" in shown
    assert "a b" not in shown
    assert "=x" not in shown
    assert "P_SECRET=\n" in shown
