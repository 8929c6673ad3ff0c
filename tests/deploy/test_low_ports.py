"""Without root, ports of root are refused before anything is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from bty_app.deploy import choices, low_ports
from bty_app.deploy.choices import Choices
from bty_app.deploy.envvars import Envvars
from bty_app.errors import NotAllowedError


def _chosen(*lines: str) -> Choices:
    return choices.read(Envvars("\n".join(lines)), Path("/srv"))


@pytest.mark.parametrize(
    ("line", "first", "words"),
    [
        ("BTY_TFTP=yes", "1024", "BTY_TFTP needs port 67.*port_start=67"),
        ("BTY_PORT=80", "1024", "BTY_PORT needs port 80.*port_start=80"),
        ("BTY_TFTP=yes", "nonsense", "below 1024 are root's"),
    ],
)
def test_they_are_refused_with_what_would_let_it(
    tmp_path: Path, line: str, first: str, words: str
) -> None:
    (tmp_path / "start").write_text(f"{first}\n")

    with pytest.raises(NotAllowedError, match=words):
        low_ports.check(_chosen(line), 1000, tmp_path / "start")


@pytest.mark.parametrize(
    ("line", "user", "first"),
    [
        ("BTY_TFTP=yes", 0, "1024"),
        ("BTY_TFTP=yes", 1000, "67"),
        ("BTY_PORT=8080", 1000, "1024"),
    ],
)
def test_what_may_be_is_let_through(tmp_path: Path, line: str, user: int, first: str) -> None:
    (tmp_path / "start").write_text(f"{first}\n")

    low_ports.check(_chosen(line), user, tmp_path / "start")
