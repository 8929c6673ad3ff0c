"""Which name compose has for a deployment, and when it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from bty_app.deploy import choices, projects
from bty_app.deploy.projects import Seen
from bty_app.errors import ConflictError

HERE = Path("/srv/a/bty")


def seen(*, before: bool = True, ours: str = "", others: str = "") -> Seen:
    return Seen(
        before,
        frozenset(ours.split()),
        {name: frozenset({"/srv/b/bty"}) for name in others.split()},
    )


@pytest.mark.parametrize(
    ("told", "there", "name"),
    [
        ("", seen(before=False), projects.own(HERE)),
        ("", seen(), "bty"),
        ("", seen(ours="bty"), "bty"),
        ("", seen(ours="told-by-a-shell"), "told-by-a-shell"),
        ("", seen(others="bty"), projects.own(HERE)),
        ("mine", seen(before=False), "mine"),
        ("mine", seen(ours="mine"), "mine"),
        ("mine", seen(others="bty"), "mine"),
    ],
)
def test_a_new_one_gets_a_name_of_its_own_and_one_that_is_there_keeps_it(
    told: str, there: Seen, name: str
) -> None:
    assert projects.chosen(HERE, told, there) == name


@pytest.mark.parametrize(
    ("told", "there", "words"),
    [
        ("mine", seen(ours="bty"), "has its containers under bty"),
        ("", seen(ours="bty other"), "has its containers under bty, other"),
        ("", seen(ours="bty", others="bty"), "containers of /srv/b/bty under the name bty"),
        ("mine", seen(others="mine"), "write COMPOSE_PROJECT_NAME=bty-"),
    ],
)
def test_what_would_mix_two_deployments_is_refused(told: str, there: Seen, words: str) -> None:
    with pytest.raises(ConflictError, match=words):
        projects.chosen(HERE, told, there)


@pytest.mark.parametrize("name", ["bty", "Bty Lab", "-_x", "é", "x" * 200, "a.b"])
def test_names_are_such_that_compose_takes_them(name: str) -> None:
    found = projects.own(Path("/srv") / name)

    _field, check = choices.VARIABLES[projects.VARIABLE]
    assert check(found) == found
    assert found != projects.own(Path("/srv/other") / name)
