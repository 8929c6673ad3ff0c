"""Netboot artifacts are fetched, proven and installed as a whole, from hosts of every kind."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bty_app import __version__
from bty_app.domain.artifact_set import parse_manifest
from bty_app.domain.artifacts import ARM64, X86_64, live_file
from bty_app.domain.catalog_events import By
from bty_app.domain.events import Actor, Query
from bty_app.domain.release import Release
from bty_app.domain.signature import parse_key
from bty_app.errors import (
    BtyError,
    CancelledError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
    StorageError,
    TooLargeError,
    UnavailableError,
)
from bty_app.services import bringing
from bty_app.services.artifacts import Artifacts
from bty_app.services.boot_files import BootFiles
from bty_app.services.revisions import Revisions
from bty_app.services.settings import Settings
from bty_app.store import events
from bty_app.store.database import Database
from bty_app.upstream.http import Http
from tests.file_host import FileHost, file_host
from tests.fresh_state import make_state
from tests.netboot_set import Listener, made_set, packed, put, sums, with_manifest

OPERATOR = By(Actor.OPERATOR, "192.0.2.7")
V = "7.0"


@pytest.fixture
def database(quick_dir: Path) -> Iterator[Database]:
    make_state(quick_dir / "state")
    with Database(quick_dir / "state" / "state.db") as opened:
        yield opened


@pytest.fixture
def boot_dir(quick_dir: Path) -> Path:
    return quick_dir / "state" / "boot"


@pytest.fixture
def artifacts(database: Database, boot_dir: Path) -> Artifacts:
    return Artifacts(database, Settings(database, Revisions()), Http(), boot_dir)


@pytest.fixture
def host() -> Iterator[FileHost]:
    with file_host() as found:
        yield found


def release(host: FileHost, version: str = V, place: str = "/") -> Release:
    base = host.url(place).rstrip("/")
    return Release(version, f"v{version}", (f"{base}/v{version}", base))


def serve(host: FileHost, files: dict[str, bytes], place: str = "/") -> None:
    host.files.update({f"{place}{name}": data for name, data in files.items()})


def kinds(database: Database) -> list[str]:
    found = database.read(lambda tx: events.listed(tx, Query(limit=100)))
    return [e.kind.removeprefix("netboot.artifacts.") for e in found[::-1]]


def content(boot_dir: Path, name: str) -> bytes:
    with BootFiles(boot_dir, boot_dir / "no-package").opened(name) as file:
        return file.read()


def installed_versions(artifacts: Artifacts) -> tuple[str | None, str | None]:
    ids = (artifacts.sets.current(), artifacts.sets.previous())
    return ids[0] and ids[0].split("-")[0], ids[1] and ids[1].split("-")[0]


# -- a host as it should be -------------------------------------------------------------------


@pytest.mark.parametrize("place", ["/", f"/v{V}/"], ids=["flat", "by tag"])
def test_a_release_is_fetched_installed_and_booted(
    artifacts: Artifacts, host: FileHost, database: Database, boot_dir: Path, place: str
) -> None:
    files = made_set(V)
    serve(host, files, place)

    listener = Listener()
    done = artifacts.fetch(release(host), listener, OPERATOR)

    live = BootFiles(boot_dir, boot_dir).live()
    assert (live.version, live.not_ready) == (V, "")
    assert {name: content(boot_dir, name) for name in files} == files
    assert done.facts.size_bytes == 600_000
    assert not done.again
    assert (listener.steps[-1].done, listener.steps[-1].total) == (600_000, 600_000)
    assert kinds(database) == ["fetch.started", "fetched"]


def test_what_is_there_is_checked_and_not_fetched_again(
    artifacts: Artifacts, host: FileHost
) -> None:
    files = made_set(V)
    serve(host, files)
    artifacts.fetch(release(host), Listener())
    asked = {name: host.gets(f"/{name}") for name in files}

    done = artifacts.fetch(release(host), Listener())

    assert done.again
    manifest = live_file(V, "sha256")
    again = {name: host.gets(f"/{name}") for name in files if name != manifest}
    assert again == {name: asked[name] for name in again}
    assert installed_versions(artifacts) == (V, None)


@pytest.mark.parametrize("harm", ["missing", "cut", "flipped", "facts"])
def test_a_set_that_was_damaged_is_made_whole_with_what_is_missing_alone(
    artifacts: Artifacts, host: FileHost, boot_dir: Path, harm: str
) -> None:
    files = made_set(V)
    serve(host, files)
    artifacts.fetch(release(host), Listener())
    kernel = (boot_dir / "current" / live_file(V, "vmlinuz")).resolve()
    match harm:
        case "missing":
            kernel.unlink()
        case "cut":
            os.truncate(kernel, 100)
        case "flipped":
            kernel.write_bytes(b"\0" * 200_000)
        case "facts":
            (kernel.parent / ".set.json").write_text("{")
    host.asked.clear()

    done = artifacts.fetch(release(host), Listener())

    assert artifacts.sets.get(done.set_id).is_whole
    assert {name: content(boot_dir, name) for name in files} == files
    assert (host.gets(f"/{live_file(V, 'initrd')}") == 0) == (harm != "facts")


def test_only_what_another_set_does_not_have_is_fetched(
    artifacts: Artifacts, host: FileHost
) -> None:
    first = made_set(V)
    names = {f"extra-{n}": bytes([n]) * 1000 for n in range(3)}
    second = with_manifest("8.0", {**made_set("8.0"), **names, **first} | {})
    second = with_manifest("8.0", {n: d for n, d in second.items() if not n.endswith(".sha256")})
    serve(host, first)
    artifacts.fetch(release(host), Listener())
    serve(host, second)
    host.asked.clear()

    artifacts.fetch(release(host, "8.0"), Listener())

    assert host.gets(f"/{live_file(V, 'squashfs')}") == 0
    assert host.gets(f"/{live_file('8.0', 'squashfs')}") == 1
    assert installed_versions(artifacts) == ("8.0", V)


def test_the_set_before_is_one_act_away_and_its_files_are_still_served(
    artifacts: Artifacts, host: FileHost, database: Database, boot_dir: Path
) -> None:
    for version in ("6.0", "7.0", "8.0"):
        serve(host, made_set(version))
        artifacts.fetch(release(host, version), Listener())
    assert installed_versions(artifacts) == ("8.0", "7.0")
    assert (
        content(boot_dir, live_file("7.0", "initrd")) == made_set("7.0")[live_file("7.0", "initrd")]
    )

    facts = artifacts.roll_back(OPERATOR)

    assert facts.version == "7.0"
    assert installed_versions(artifacts) == ("7.0", "8.0")
    assert BootFiles(boot_dir, boot_dir).live().version == "7.0"
    assert artifacts.roll_back(OPERATOR).version == "8.0"
    assert [path.name.split("-")[0] for path in sorted((boot_dir / "sets").glob("[0-9]*"))] == [
        *("7.0", "8.0"),
    ]
    assert kinds(database)[-2:] == ["rolled_back", "rolled_back"]


def test_there_is_nothing_to_roll_back_to_before_a_second_set(
    artifacts: Artifacts, host: FileHost, database: Database, boot_dir: Path
) -> None:
    with pytest.raises(NotFoundError, match="no set before"):
        artifacts.roll_back(OPERATOR)
    for version in ("7.0", "8.0"):
        serve(host, made_set(version))
        artifacts.fetch(release(host, version), Listener())
    (boot_dir / "previous" / live_file("7.0", "initrd")).resolve().unlink()

    with pytest.raises(NotFoundError, match=r"damaged: .*initrd is missing"):
        artifacts.roll_back(OPERATOR)

    told = database.read(lambda tx: events.listed(tx, Query(limit=1)))[0]
    assert told.kind == "netboot.artifacts.roll_back.failed"
    assert (told.subject_id, told.source_ip) == (artifacts.sets.current(), OPERATOR.ip)
    assert "initrd is missing" in told.summary

    assert installed_versions(artifacts) == ("8.0", "7.0")


# -- interrupted ------------------------------------------------------------------------------


def test_a_cancelled_fetch_leaves_what_there_was_and_the_next_goes_on_from_there(
    artifacts: Artifacts, host: FileHost, database: Database
) -> None:
    serve(host, made_set("6.0"))
    artifacts.fetch(release(host, "6.0"), Listener())
    serve(host, made_set(V, size=2_000_000))

    with pytest.raises(CancelledError):
        artifacts.fetch(release(host), Listener(stop_after=20), OPERATOR)
    assert installed_versions(artifacts) == ("6.0", None)
    host.asked.clear()
    artifacts.fetch(release(host), Listener())

    assert installed_versions(artifacts) == (V, "6.0")
    assert any(wanted for _method, path, wanted in host.asked if path.endswith("vmlinuz"))
    assert kinds(database)[2:] == ["fetch.started", "fetch.cancelled", "fetch.started", "fetched"]


def test_a_fetch_that_is_cancelled_while_the_host_is_silent_ends_soon(
    artifacts: Artifacts, host: FileHost
) -> None:
    serve(host, made_set(V, size=2_000_000))
    host.stall_after = 1_000_000
    listener = Listener()
    ended: list[BaseException] = []

    def fetch() -> None:
        try:
            artifacts.fetch(release(host), listener)
        except CancelledError as error:
            ended.append(error)

    thread = threading.Thread(target=fetch)
    began = threading.Event()
    host.on_get.append(began)
    thread.start()
    while not any(step.done >= 900_000 for step in list(listener.steps)):
        assert thread.is_alive()
    listener._stop_after = 0
    thread.join(10)

    assert not thread.is_alive()
    assert ended


def test_a_host_that_breaks_off_is_asked_for_the_rest(
    artifacts: Artifacts, host: FileHost, boot_dir: Path
) -> None:
    files = made_set(V, size=3_000_000)
    serve(host, files)
    host.die_after = 1_200_000
    listener = Listener()

    artifacts.fetch(release(host), listener)

    assert content(boot_dir, live_file(V, "squashfs")) == files[live_file(V, "squashfs")]
    assert host.gets(f"/{live_file(V, 'squashfs')}") == 3
    assert listener.waited > 0
    assert any(
        "broke off" in step.words and "trying again" in step.words for step in listener.steps
    )


def test_a_host_without_ranges_is_asked_from_the_start_and_given_up_in_the_end(
    artifacts: Artifacts, host: FileHost, database: Database
) -> None:
    serve(host, made_set(V, size=500_000))
    host.die_after, host.ranges = 400_000, False

    with pytest.raises(UnavailableError, match="broke off after 400000 of 500000 bytes"):
        artifacts.fetch(release(host), Listener())

    assert host.gets(f"/{live_file(V, 'vmlinuz')}") == bringing.TRIES
    assert artifacts.sets.current() is None
    assert kinds(database) == ["fetch.started", "fetch.failed"]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_host_that_is_busy_is_asked_again(
    artifacts: Artifacts, host: FileHost, status: int
) -> None:
    serve(host, made_set(V))
    host.statuses[f"/{live_file(V, 'initrd')}"] = [status] * 3  # one for the HEAD

    artifacts.fetch(release(host), Listener())

    assert installed_versions(artifacts) == (V, None)


def test_what_was_left_of_another_build_is_fetched_anew(
    artifacts: Artifacts, host: FileHost, boot_dir: Path
) -> None:
    files = made_set(V)
    serve(host, files)
    manifest = parse_manifest(files[live_file(V, "sha256")], version=V)
    staging = artifacts.sets.staging(manifest.set_id)
    (staging / f".{live_file(V, 'vmlinuz')}.part").write_bytes(b"other" * 1000)
    (staging / f".{live_file(V, 'initrd')}.part").write_bytes(b"longer" * 100_000)
    (staging / live_file(V, "squashfs")).write_bytes(b"half written")

    artifacts.fetch(release(host), Listener())

    assert {name: content(boot_dir, name) for name in files} == files


def test_two_at_once_are_one_too_many(artifacts: Artifacts, host: FileHost) -> None:
    serve(host, made_set(V))

    with artifacts.sets.held(), pytest.raises(ConflictError, match="is under way"):
        artifacts.fetch(release(host), Listener())


# -- hosts that lie ---------------------------------------------------------------------------


def refused(artifacts: Artifacts, host: FileHost, error: type[BtyError], words: str) -> None:
    before = (artifacts.sets.current(), artifacts.sets.previous())
    with pytest.raises(error, match=words):
        artifacts.fetch(release(host), Listener())
    assert (artifacts.sets.current(), artifacts.sets.previous()) == before


def test_a_file_with_another_digest_is_refused_and_nothing_changes(
    artifacts: Artifacts, host: FileHost, database: Database
) -> None:
    serve(host, made_set("6.0"))
    artifacts.fetch(release(host, "6.0"), Listener())
    serve(host, made_set(V) | {live_file(V, "squashfs"): b"x" * 200_000})

    refused(
        artifacts, host, InvalidInputError, "squashfs has the digest [0-9a-f]{64}, its manifest"
    )

    assert kinds(database)[-1] == "fetch.failed"


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (b"", "the checksum file is empty"),
        (b"<html>not found</html>", "line 1 of the checksum file"),
        (b"\xff\xfe", "not UTF-8"),
        (sums({live_file(V, "vmlinuz"): b"x"}), "does not list .*vmlinuz and .*initrd"),
        (sums({live_file(V, "vmlinuz"): b"x"}) * 2, "twice"),
        (sums({"../../etc/passwd": b"x"}), "can be no file of a set"),
        (sums({".set.json": b"x"}), "can be no file of a set"),
        (sums({"a b": b"x"}), "can be no file of a set"),
        (b"a" * 64 + b"\n", "a digest without a name"),
        (sums({live_file(V, "sha256"): b"x"}), "can be no file of a set"),
        (sums({f"f{n}": b"x" for n in range(65)}), "more than 64 files"),
    ],
    ids=lambda value: repr(value)[:20] if isinstance(value, bytes) else None,
)
def test_a_manifest_that_is_none_is_refused(
    artifacts: Artifacts, host: FileHost, manifest: bytes, words: str
) -> None:
    serve(host, made_set(V) | {live_file(V, "sha256"): manifest})

    refused(artifacts, host, InvalidInputError, words)


def test_a_manifest_without_end_is_refused(artifacts: Artifacts, host: FileHost) -> None:
    serve(host, made_set(V) | {live_file(V, "sha256"): b"a" * 70_000})

    refused(artifacts, host, TooLargeError, "larger than 64 KiB")


def test_a_release_that_is_not_there_and_one_without_a_file_say_what_is_missing(
    artifacts: Artifacts, host: FileHost
) -> None:
    refused(artifacts, host, NotFoundError, rf"has no {live_file(V, 'sha256')}")
    files = made_set(V)
    del files[live_file(V, "initrd")]
    serve(host, files)

    refused(artifacts, host, UnavailableError, "initrd answers 404")


def test_a_host_that_is_away_is_said(artifacts: Artifacts) -> None:
    with file_host() as host:
        gone = release(host)

    with pytest.raises(UnavailableError, match="cannot be fetched"):
        artifacts.fetch(gone, Listener())


def test_a_set_that_does_not_fit_is_refused_before_it_is_fetched(
    artifacts: Artifacts, host: FileHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(host, made_set(V))
    monkeypatch.setattr(bringing.Bringing, "_room", staticmethod(lambda _place: 100_000))

    refused(artifacts, host, StorageError, "make room")

    assert host.gets(f"/{live_file(V, 'vmlinuz')}") == 0


def test_a_file_that_grows_beyond_the_room_is_cut_off(
    artifacts: Artifacts, host: FileHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(host, made_set(V))
    host.statuses |= {f"/{name}": [500] for name in made_set(V) if not name.endswith("sha256")}
    monkeypatch.setattr(bringing.Bringing, "_room", staticmethod(lambda _place: 100_000))

    refused(artifacts, host, TooLargeError, "is larger than")


# -- signed -----------------------------------------------------------------------------------


def signed_artifacts(database: Database, boot_dir: Path, key: str) -> Artifacts:
    settings = Settings(database, Revisions())
    return Artifacts(database, settings, Http(), boot_dir, key=parse_key(key))


KEY = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3"


def test_a_set_that_the_owner_of_the_key_signed_is_installed(
    database: Database, boot_dir: Path, host: FileHost, tmp_path: Path
) -> None:
    key = serve_signed(host, made_set(V), tmp_path)
    artifacts = signed_artifacts(database, boot_dir, key)

    done = artifacts.fetch(release(host), Listener())

    assert done.facts.signed_by is not None
    assert re.fullmatch(r"[0-9A-F]{16}", done.facts.signed_by)
    other = made_set(V, salt="another build")
    serve(host, other)
    refused(artifacts, host, InvalidInputError, "does not match the data")


def serve_signed(host: FileHost, files: dict[str, bytes], place: Path) -> str:
    """Serve a set whose manifest is signed with a new key; return the public one."""
    manifest = place / live_file(V, "sha256")
    manifest.write_bytes(files[manifest.name])
    keys = [str(place / name) for name in ("key.pub", "key.sec")]
    minisign("-G", "-W", "-p", keys[0], "-s", keys[1])
    minisign("-S", "-s", keys[1], "-m", str(manifest))
    signature = {f"{manifest.name}.minisig": Path(f"{manifest}.minisig").read_bytes()}
    serve(host, files | signature)
    return Path(keys[0]).read_text()


def minisign(*words: str) -> None:
    program = shutil.which("minisign")
    assert program, "the program minisign is missing: tests/run installs it"
    subprocess.run([program, *words], check=True, capture_output=True, input=b"")


def test_a_set_without_the_signature_that_is_asked_for_is_refused(
    database: Database, boot_dir: Path, host: FileHost
) -> None:
    artifacts = signed_artifacts(database, boot_dir, KEY)
    serve(host, made_set(V))

    refused(artifacts, host, InvalidInputError, r"has no .*\.sha256\.minisig: netboot.signing_key")
    serve(host, {live_file(V, "sha256") + ".minisig": b"no signature"})
    refused(artifacts, host, InvalidInputError, r"\.sha256: this is no signature of minisign")


# -- directories and archives -----------------------------------------------------------------


def test_a_directory_of_this_host_is_a_source_as_well(
    artifacts: Artifacts, tmp_path: Path, boot_dir: Path
) -> None:
    put(tmp_path / "releases" / f"v{V}", made_set(V))
    wanted = artifacts.release(str(tmp_path / "releases"), f"v{V}")

    artifacts.fetch(wanted, Listener())

    assert BootFiles(boot_dir, boot_dir).live().version == V


def test_the_only_set_in_a_directory_is_installed(artifacts: Artifacts, tmp_path: Path) -> None:
    artifacts.install_directory(put(tmp_path / "set", made_set(V)), Listener(), OPERATOR)

    assert installed_versions(artifacts) == (V, None)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"stranger.bin": b"x"}, "stranger.bin is not listed in"),
        ({live_file("8.0", "sha256"): b"x"}, r"needs one .*, and has manifests of 7.0, 8.0"),
        ({live_file(V, "sha256"): sums({live_file(V, s): b"" for s in ("vmlinuz", "initrd", "y")})},
         "y is missing"),
    ],
)  # fmt: skip
def test_a_directory_that_is_not_just_what_its_manifest_lists_is_refused(
    artifacts: Artifacts, tmp_path: Path, more: dict[str, bytes], words: str
) -> None:
    place = put(tmp_path / "set", made_set(V) | more)

    with pytest.raises(InvalidInputError, match=words):
        artifacts.install_directory(place, Listener(), OPERATOR)

    assert artifacts.sets.current() is None


def test_a_directory_without_a_set_or_that_is_not_there_says_so(
    artifacts: Artifacts, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInputError, match=r"needs one .*sha256, and has none"):
        artifacts.install_directory(tmp_path, Listener(), OPERATOR)
    with pytest.raises(NotFoundError, match="no such directory"):
        artifacts.install_directory(tmp_path / "x", Listener(), OPERATOR)


def test_a_pipe_in_a_directory_is_not_waited_for(artifacts: Artifacts, tmp_path: Path) -> None:
    place = put(tmp_path / "set", made_set(V))
    (place / live_file(V, "initrd")).unlink()
    os.mkfifo(place / live_file(V, "initrd"))

    with pytest.raises(InvalidInputError, match="not a regular file"):
        artifacts.install_directory(place, Listener(), OPERATOR)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("prefix", ["", "./", "release/"])
def test_the_set_in_an_archive_is_installed(
    artifacts: Artifacts, boot_dir: Path, mode: str, prefix: str
) -> None:
    data = packed(made_set(V), mode, prefix)

    done = artifacts.install_archive(io.BytesIO(data), "set.tar", Listener(), OPERATOR)

    assert done.facts.source == "set.tar"
    assert installed_versions(artifacts) == (V, None)
    assert not list(boot_dir.glob(".tmp-archive*"))


@pytest.mark.parametrize("cut", [0, 5, 511, 5000, 100_000])
def test_an_archive_that_is_cut_off_installs_nothing(
    artifacts: Artifacts, boot_dir: Path, cut: int
) -> None:
    data = packed(made_set(V), "w")[:cut]

    with pytest.raises(InvalidInputError):
        artifacts.install_archive(io.BytesIO(data), "set.tar", Listener(), OPERATOR)

    assert artifacts.sets.current() is None
    assert not list(boot_dir.glob(".tmp-archive*"))


def test_the_release_of_this_version_is_the_latest(artifacts: Artifacts) -> None:
    found = artifacts.release("safl/bty", "latest")

    assert found.version == __version__
    assert found.places[0].endswith(f"/releases/download/v{__version__}")


# -- both architectures -----------------------------------------------------------------------


def versions(boot_dir: Path) -> tuple[str, str]:
    """What machines of x86-64 boot, and those of arm64; empty for what they cannot."""
    live = BootFiles(boot_dir, boot_dir).live()
    lives = (live, live.arm64)
    found = [each.version if each and not each.not_ready else "" for each in lives]
    return found[0], found[1]


def test_what_a_release_has_for_arm64_comes_with_it(
    artifacts: Artifacts, host: FileHost, boot_dir: Path
) -> None:
    files = made_set(V) | made_set(V, arch=ARM64)
    serve(host, files)

    first = artifacts.fetch(release(host), Listener(), OPERATOR)
    again = artifacts.fetch(release(host), Listener(), OPERATOR)

    assert versions(boot_dir) == (V, V)
    assert first.facts.live == f"{V} for x86_64 and arm64"
    assert (first.again, again.again) == (False, True)
    present = {name: data for name, data in files.items() if not name.endswith("sha256")}
    assert {name: content(boot_dir, name) for name in present} == present


def test_one_manifest_may_list_both(artifacts: Artifacts, host: FileHost, boot_dir: Path) -> None:
    files = made_set(V) | made_set(V, arch=ARM64)
    lists = with_manifest(V, {n: d for n, d in files.items() if not n.endswith("sha256")})
    serve(host, lists)

    artifacts.fetch(release(host), Listener(), OPERATOR)

    assert versions(boot_dir) == (V, V)


def test_each_is_installed_beside_the_other_whatever_their_versions(
    artifacts: Artifacts, tmp_path: Path, boot_dir: Path
) -> None:
    def install(version: str, arch: str) -> None:
        place = put(tmp_path / f"{version}-{arch}", made_set(version, arch=arch))
        artifacts.install_directory(place, Listener(), OPERATOR)

    install("6.0", ARM64)
    assert versions(boot_dir) == ("", "6.0")
    install(V, X86_64)
    assert versions(boot_dir) == (V, "6.0")
    install("8.0", X86_64)
    assert versions(boot_dir) == ("8.0", "6.0")
    install("8.0", ARM64)
    assert versions(boot_dir) == ("8.0", "8.0")
    assert artifacts.sets.get(artifacts.sets.current() or "").is_whole
    artifacts.roll_back(OPERATOR)
    assert versions(boot_dir) == ("8.0", "6.0")


def test_one_that_is_damaged_is_left_behind_and_hinders_nothing(
    artifacts: Artifacts, tmp_path: Path, host: FileHost, boot_dir: Path
) -> None:
    artifacts.install_directory(put(tmp_path / "a", made_set(V, arch=ARM64)), Listener(), OPERATOR)
    stored = artifacts.sets.get(artifacts.sets.current() or "")
    name = live_file(V, "initrd", ARM64)
    (stored.path / name).write_bytes(b"x" * stored.path.joinpath(name).stat().st_size)
    serve(host, made_set(V))

    artifacts.fetch(release(host), Listener(), OPERATOR)

    assert versions(boot_dir) == (V, "")


def test_with_a_key_both_manifests_must_be_signed_and_what_stays_must_have_been(
    database: Database, tmp_path: Path, boot_dir: Path, host: FileHost
) -> None:
    settings = Settings(database, Revisions())
    free = Artifacts(database, settings, Http(), boot_dir)
    free.install_directory(put(tmp_path / "a", made_set("6.0", arch=ARM64)), Listener(), OPERATOR)
    key = serve_signed(host, made_set(V), tmp_path)
    strict = signed_artifacts(database, boot_dir, key)

    strict.fetch(release(host), Listener(), OPERATOR)

    assert versions(boot_dir) == (V, "")
    serve(host, made_set(V, arch=ARM64))
    with pytest.raises(InvalidInputError, match=r"arm64-v7.0.sha256.minisig: netboot.signing_key"):
        strict.fetch(release(host), Listener(), OPERATOR)
