"""The generated password and session secret: private, kept, never repeated."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from bty_app.errors import BtyError, ConfigError, StorageError
from bty_app.services import passwords
from bty_app.services.passwords import Secret

Maker = Callable[[str, Path], Secret]
MAKERS: list[tuple[Maker, str]] = [
    (passwords.admin_password, "admin-password"),
    (passwords.session_secret, "session-secret"),
]


@pytest.mark.parametrize(("make", "name"), MAKERS)
def test_the_first_call_generates_a_private_file_and_the_second_reads_it(
    make: Maker, name: str, tmp_path: Path
) -> None:
    first = make("", tmp_path)
    second = make("", tmp_path)

    file = tmp_path / name
    assert first == Secret(file.read_text().removesuffix("\n"), file, generated=True)
    assert second == Secret(first.value, file, generated=False)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(("make", "name"), MAKERS)
def test_a_configured_one_is_used_and_nothing_is_written(
    make: Maker, name: str, tmp_path: Path
) -> None:
    assert make("from the configuration", tmp_path) == Secret("from the configuration")
    assert not (tmp_path / name).exists()


def test_a_generated_password_is_twenty_readable_characters_and_always_another(
    tmp_path: Path,
) -> None:
    found = set()
    for number in range(20):
        directory = tmp_path / str(number)
        directory.mkdir()
        found.add(passwords.admin_password("", directory).value)

    assert len(found) == 20
    assert all(len(password) == 20 for password in found)
    assert not set("".join(found)) & set("0O1lIi")
    assert all(password.isalnum() for password in found)


def test_a_password_that_an_operator_wrote_is_taken(tmp_path: Path) -> None:
    (tmp_path / "admin-password").write_text("correct horse å\n")

    assert passwords.admin_password("", tmp_path).value == "correct horse å"


def test_an_empty_file_is_filled(tmp_path: Path) -> None:
    (tmp_path / "admin-password").write_text("\n")

    made = passwords.admin_password("", tmp_path)

    assert made.generated
    assert (tmp_path / "admin-password").read_text() == f"{made.value}\n"


def test_a_file_that_others_may_read_is_made_private(tmp_path: Path) -> None:
    file = tmp_path / "session-secret"
    file.write_text("x" * 43 + "\n")
    file.chmod(0o640)

    passwords.session_secret("", tmp_path)

    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"one\ntwo\n", b"\xff\xfe", b"x" * 5000, b"a\x00b"], ids=repr)
def test_a_file_without_a_usable_line_is_refused_and_kept(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "admin-password"
    file.write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        passwords.admin_password("", tmp_path)

    assert caught.value.message.startswith(f"{file}: is not")
    assert file.read_bytes() == content


@pytest.mark.parametrize("make_it", [os.mkdir, os.mkfifo])
def test_what_is_no_file_is_refused(make_it: Callable[[Path], None], tmp_path: Path) -> None:
    make_it(tmp_path / "admin-password")

    with pytest.raises(ConfigError, match="is not a file"):
        passwords.admin_password("", tmp_path)


def test_a_missing_state_directory_is_a_failure_of_storage(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        passwords.admin_password("", tmp_path / "nowhere")


def test_the_value_is_neither_in_the_representation_nor_in_a_refusal(tmp_path: Path) -> None:
    made = passwords.admin_password("", tmp_path)
    (tmp_path / "session-secret").write_text("hunter2\nhunter3\n")

    with pytest.raises(BtyError) as caught:
        passwords.session_secret("", tmp_path)

    assert made.value not in repr(made)
    assert "hunter" not in caught.value.message


def test_a_file_is_read_in_place_of_what_is_configured(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("one two  #3\n")

    assert passwords.configured("x", "other", str(file)) == "one two  #3"
    assert passwords.configured("x", "other", "") == "other"


@pytest.mark.parametrize("content", ["", "\n", "  \n"])
def test_an_empty_file_is_no_password(tmp_path: Path, content: str) -> None:
    file = tmp_path / "password"
    file.write_text(content)

    assert passwords.configured("x", "", str(file)) == ""
    assert passwords.configured("x", "other", str(file)) == "other"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"one\ntwo\n", "one line"),
        (b"\xff\n", "no text"),
        (b"a\x00b\n", "one line"),
        (b"x" * 5000, "one line"),
        (None, "No such file"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_its_key(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ConfigError, match=words) as refused:
        passwords.configured("admin.password_file", "", str(file))

    assert refused.value.message.startswith(f"admin.password_file: {file}")
