"""Layers, provenance, and every refusal of the configuration."""

from __future__ import annotations

import json
import tomllib
from ipaddress import ip_network
from pathlib import Path

import pytest
import tomli_w
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bty_app import config_sources, config_values
from bty_app.config import DEFAULT, KEYS, MASK, SECTIONS, Config, did_you_mean
from bty_app.errors import ConfigError


class Host:
    """A host of its own under a temporary directory: /etc/bty, a home, and a default state."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.etc = root / "etc"
        self.default_state = root / "state"

    def write(self, name: str, content: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        return path

    def load(self, *files: Path, **variables: str) -> Config:
        return self.load_with({}, *files, **variables)

    def load_with(self, flags: dict[str, str], /, *files: Path, **variables: str) -> Config:
        return config_sources.load(
            environment=variables,
            files=files,
            flags=flags,
            system_dir=self.etc,
            default_state_dir=self.default_state,
        )

    def refusal(self, *files: Path, **variables: str) -> str:
        with pytest.raises(ConfigError) as caught:
            self.load(*files, **variables)
        return caught.value.message


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_nothing_configured_gives_the_defaults(host: Host) -> None:
    config = host.load()

    assert config.server.port == 8080
    assert config.server.host == "0.0.0.0"  # noqa: S104
    assert config.admin.password == ""
    assert config.netboot.live_version == ""
    assert config.paths.state_dir == host.default_state
    assert config.paths.boot_dir == host.default_state / "boot"
    assert config.paths.backup_dir == host.default_state / "backups"
    assert config.paths.catalog_file == host.default_state / "catalog.toml"
    assert config.tuning.backup_max_parallel == 1
    assert set(config.provenance.values()) == {"default"}
    assert config.notes == ()
    assert config.state_dir_note == ""


def test_every_default_is_what_its_own_parser_gives() -> None:
    for key in KEYS:
        assert key.parse(config_values.spelled(key.default)) == key.default, key.name


def test_no_secret_has_a_default() -> None:
    secrets = [key for key in KEYS if key.secret]

    assert {key.name for key in secrets} == {
        *(
            "admin.password",
            "server.session_secret",
            "registry.credentials",
            "withcache.password",
            "offsite.password",
            "power.url",
        ),
    }
    assert not any(key.default for key in secrets)


def test_names_and_variables_follow_the_section_and_the_option() -> None:
    for key in KEYS:
        assert key.name == f"{key.section}.{key.option}"
        assert key.env == f"BTY_{key.section.upper()}_{key.option.upper()}"
        assert key.help.endswith(".")
    assert {key.section for key in KEYS} == set(SECTIONS)


# The layers, from the weakest to the strongest; each test drops the strongest one more.
LAYERS = ("conf.d", "bty.toml", "config_dir", "config_file", "state_dir", "env", "flag")


@pytest.mark.parametrize("strongest", range(len(LAYERS)))
def test_later_layers_win_key_by_key(host: Host, strongest: int) -> None:
    files = {
        "conf.d": "etc/conf.d/a.toml",
        "bty.toml": "etc/bty.toml",
        "config_dir": "drop/b.toml",
        "config_file": "own.toml",
        "state_dir": "elsewhere/bty.toml",
    }
    present = LAYERS[: strongest + 1]
    for number, layer in enumerate(files, start=1):
        if layer in present:
            host.write(files[layer], f"[server]\nport = {number}\n")
    variables = {
        "BTY_CONFIG_DIR": str(host.root / "drop"),
        "BTY_CONFIG_FILE": str(host.root / "own.toml"),
        "BTY_PATHS_STATE_DIR": str(host.root / "elsewhere"),
    }
    if "env" in present:
        variables["BTY_SERVER_PORT"] = "6"

    config = host.load_with({"server.port": "7"} if "flag" in present else {}, **variables)

    expected = {
        **{layer: f"toml({host.root / name})" for layer, name in files.items()},
        "env": "env(BTY_SERVER_PORT)",
        "flag": "flag(--port)",
    }
    assert config.server.port == strongest + 1
    assert config.provenance["server.port"] == expected[LAYERS[strongest]]
    assert config.provenance["paths.state_dir"] == "env(BTY_PATHS_STATE_DIR)"
    assert config.provenance["server.host"] == "default"


def test_files_of_one_directory_are_read_in_the_order_of_their_names(host: Host) -> None:
    for number in (5, 3, 8, 1, 9, 2, 7, 4, 6):
        host.write(f"etc/conf.d/{number}0.toml", f"[server]\nport = {number}\n")
    host.write("etc/conf.d/00-first.toml", '[server]\nport = 100\nhost = "::"\n')
    host.write("etc/conf.d/99-last.txt", "not for us")

    config = host.load()

    assert (config.server.port, config.server.host) == (9, "::")


def test_a_list_replaces_the_list_before_it(host: Host) -> None:
    host.write("etc/conf.d/a.toml", '[server]\ntrusted_proxy = ["10.0.0.0/8", "::1"]\n')
    host.write("etc/bty.toml", '[server]\ntrusted_proxy = ["192.0.2.7"]\n')

    config = host.load()

    assert config.server.trusted_proxy == (ip_network("192.0.2.7/32"),)


def test_config_replaces_the_whole_list_for_every_key(host: Host) -> None:
    host.write("etc/bty.toml", '[admin]\npassword = "old"\n[withcache]\nurl = "http://old:1"\n')
    state = host.write("state/bty.toml", "[server]\nport = 1\n").parent
    mine = host.write("mine.toml", '[admin]\npassword = "s3cret"\n')
    told = host.write("told.toml", "[server]\nport = 2\n")

    config = host.load(
        mine, BTY_CONFIG_FILE=str(told), BTY_CONFIG_DIR=str(host.root), HOME=str(state)
    )

    assert config.admin.password == "s3cret"
    assert config.provenance["admin.password"] == f"toml({mine})"
    assert config.withcache.url == ""
    assert config.server.port == 8080


def test_config_may_be_given_several_times_and_name_a_directory(host: Host) -> None:
    one = host.write("one.toml", "[server]\nport = 1\nthreads = 3\n")
    drop = host.write("drop/x.toml", "[server]\nport = 2\n").parent

    config = host.load(one, drop)

    assert (config.server.port, config.server.threads) == (2, 3)


def test_variables_and_flags_win_over_config_too(host: Host) -> None:
    mine = host.write("mine.toml", "[server]\nport = 1\nthreads = 2\n")

    config = host.load_with({"server.port": "3"}, mine, BTY_SERVER_THREADS="4")

    assert (config.server.port, config.server.threads) == (3, 4)


def test_a_state_directory_named_in_a_file_counts(host: Host) -> None:
    mine = host.write("mine.toml", f'[paths]\nstate_dir = "{host.root}/kept"\nboot_dir = ""\n')

    config = host.load(mine)

    assert config.paths.state_dir == host.root / "kept"
    assert config.paths.boot_dir == host.root / "kept" / "boot"


def test_the_file_in_the_state_directory_that_a_flag_names_is_read(host: Host) -> None:
    host.write("flagged/bty.toml", "[server]\nport = 9\n")

    config = host.load_with({"paths.state_dir": str(host.root / "flagged")})

    assert config.server.port == 9


def test_relative_paths_of_variables_are_relative_to_the_working_directory(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(host.root)

    config = host.load(BTY_PATHS_STATE_DIR="here", BTY_PATHS_BACKUP_DIR="kept")

    assert config.paths.state_dir == host.root / "here"
    assert config.paths.boot_dir == host.root / "here" / "boot"
    assert config.paths.backup_dir == host.root / "kept"


def test_an_empty_variable_is_not_set(host: Host) -> None:
    config = host.load(BTY_SERVER_PORT="", BTY_PATHS_STATE_DIR="", BTY_SERVER_WHATEVER="")

    assert config.server.port == 8080
    assert config.provenance["server.port"] == "default"


def test_variables_of_others_are_left_alone(host: Host) -> None:
    config = host.load(
        BTY_DISPLAY_TZ="Europe/Copenhagen",
        BTY_BOOT_SEED_DIR="/seed",
        BTY_BOOT_RELEASE_REPO="safl/bty",
        BTY_DEBUG="1",
        PORT="1",
    )

    assert config == host.load()


@pytest.mark.parametrize(
    ("variable", "right"),
    [("BTY_CATALOG_FILE", "BTY_PATHS_CATALOG_FILE"), ("BTY_STATE_DIR", "BTY_PATHS_STATE_DIR")],
)
def test_stale_names_have_no_effect_and_say_so(host: Host, variable: str, right: str) -> None:
    config = host.load(**{variable: "/elsewhere"})

    assert config.paths == host.load().paths
    assert len(config.notes) == 1
    assert variable in config.notes[0]
    assert right in config.notes[0]


def test_a_config_file_that_is_not_there_is_passed_over_with_a_note(host: Host) -> None:
    config = host.load(BTY_CONFIG_FILE="/nowhere/bty.toml", BTY_CONFIG_DIR="/nowhere/d")

    assert len(config.notes) == 2
    assert all("passed over" in note for note in config.notes)


def test_the_published_password_of_the_original_is_complained_about_without_saying_it(
    host: Host,
) -> None:
    config = host.load(BTY_ADMIN_PASSWORD="bty-lab")

    assert config.admin.password == "bty-lab"
    assert len(config.notes) == 1
    assert "bty-lab" not in config.notes[0]


def test_a_password_of_nothing_but_space_is_none_and_another_keeps_its_space(host: Host) -> None:
    assert host.load(BTY_ADMIN_PASSWORD="   ").admin.password == ""
    assert host.load(BTY_ADMIN_PASSWORD=" a b ").admin.password == " a b "


ACCEPTED: list[tuple[str, object, object]] = [
    ("server.port", 0, 0),
    ("server.port", 65535, 65535),
    ("server.port", "80", 80),
    ("server.host", "::", "::"),
    ("server.host", "bty.example.org", "bty.example.org"),
    ("server.public_url", "https://bty.example.org/", "https://bty.example.org"),
    ("server.public_url", "http://[2001:db8::1]:8080", "http://[2001:db8::1]:8080"),
    ("server.public_url", "", ""),
    ("server.trusted_proxy", "", ()),
    (
        "server.trusted_proxy",
        "10.0.0.0/8, ::1",
        (ip_network("10.0.0.0/8"), ip_network("::1/128")),
    ),
    ("server.trusted_proxy", ["10.0.0.0/8"], (ip_network("10.0.0.0/8"),)),
    ("server.session_secret", "x" * 16, "x" * 16),
    ("withcache.url", "http://10.0.0.5:8081/", "http://10.0.0.5:8081"),
    (
        "withcache.url",
        "https://cache.example.org/with/cache",
        "https://cache.example.org/with/cache",
    ),
    ("nbdmux.url", "http://10.0.0.5:8082", "http://10.0.0.5:8082"),
    ("netboot.live_version", "v0.77.2", "0.77.2"),
    ("netboot.tftp", True, True),
    ("netboot.tftp", "Yes", True),
    ("netboot.proxy_dhcp", "0", False),
    ("netboot.address", "192.0.2.10", "192.0.2.10"),
    ("netboot.address", "", ""),
    ("netboot.interfaces", "eth0, br-lan", ("eth0", "br-lan")),
    ("netboot.interfaces", ["eth0"], ("eth0",)),
    ("netboot.tftp_probe_host", "127.0.0.1", "127.0.0.1"),
    ("tuning.max_upload_bytes", 1, 1),
    ("log.format", "JSON", "json"),
    ("log.level", "Debug", "debug"),
]


@pytest.mark.parametrize(("name", "given_value", "expected"), ACCEPTED)
def test_a_good_value_is_taken(
    host: Host, name: str, given_value: object, expected: object
) -> None:
    section, option = name.split(".")
    file = host.write("x.toml", tomli_w.dumps({section: {option: given_value}}))

    assert host.load(file).value(name) == expected


REFUSED: list[tuple[str, object, str]] = [
    ("server.port", -1, "must be a whole number from 0 to 65535"),
    ("server.port", 65536, "must be a whole number"),
    ("server.port", "8o80", "must be a whole number"),
    ("server.port", "1_000", "must be a whole number"),
    ("server.port", "٣", "must be a whole number"),
    ("server.port", True, "must be a whole number"),
    ("server.port", 8080.0, "must be a whole number"),
    ("server.port", "9" * 5000, "must be a whole number"),
    ("server.host", "", "must be an address or a host name"),
    ("server.host", "http://0.0.0.0", "must be an address or a host name"),
    ("server.host", "[::]", "must be an address or a host name"),
    ("server.host", "0.0.0.0:80", "must be an address or a host name"),
    ("server.host", 5, "must be text in quotes"),
    ("server.public_url", "bty.example.org", "must be a URL"),
    ("server.public_url", "ftp://bty.example.org", "must be a URL"),
    ("server.public_url", "http://bty.example.org/prefix", "no path behind it"),
    ("server.public_url", "http://user:word@bty.example.org", "must be a URL"),
    ("server.public_url", "http://bty.example.org?x", "must be a URL"),
    ("server.public_url", "http://bty.example.org#x", "must be a URL"),
    ("server.public_url", "http://bty.example.org:99999", "must be a URL"),
    ("server.public_url", "http://bty.example.org\nchain http://evil", "control characters"),
    ("server.public_url", "http://a/x || shell ;", "must be a URL"),
    ("server.public_url", "http://${net0/mac}", "must be a URL"),
    ("server.public_url", "http://[::1", "must be a URL"),
    ("server.public_url", "http://", "must be a URL"),
    ("server.trusted_proxy", "1", "must be networks"),
    ("server.trusted_proxy", "*", "must be networks"),
    ("server.trusted_proxy", "10.0.0.1/8", "host bits set"),
    ("server.trusted_proxy", ["10.0.0.0/8", 5], "must be text"),
    ("server.trusted_proxy", True, "must be a list of networks"),
    ("server.session_secret", "short", "at least 16 characters"),
    ("server.threads", 0, "from 1 to 256"),
    ("paths.state_dir", "relative/state", "begins with /"),
    ("paths.state_dir", "/a\u0001b", "control characters"),
    ("paths.boot_dir", 7, "must be text"),
    ("withcache.url", "10.0.0.5:8081", "must be a URL"),
    ("netboot.live_version", "../../etc", "must be a version"),
    ("upstream.netboot_repo", "no source", "must be owner/repository"),
    ("upstream.netboot_tag", "../x", "must be letters"),
    ("netboot.tftp", 1, "must be true or false"),
    ("netboot.tftp", "perhaps", "must be true or false"),
    ("netboot.proxy_dhcp", "", "must be true or false"),
    ("netboot.address", "bty.lan", "must be an IPv4 address"),
    ("netboot.address", "fe80::1", "must be an IPv4 address"),
    ("netboot.address", "0.0.0.0", "must be the address of one host"),  # noqa: S104
    ("netboot.address", "224.0.0.1", "must be the address of one host"),
    ("netboot.interfaces", "eth0/1", "must be names of network interfaces"),
    ("netboot.interfaces", "a" * 16, "must be names of network interfaces"),
    ("netboot.signing_key", "RWsecret", "must be a public key"),
    ("tuning.backup_max_parallel", 0, "from 1 to 16"),
    ("tuning.journal", "memory", "must be wal or delete"),
    ("tuning.max_upload_bytes", -1, "must be a whole number"),
    ("log.format", "xml", "must be text or json"),
    ("log.level", "loud", "must be debug or info or warning or error"),
    ("admin.password", "a\nb", "control characters"),
    ("admin.password", 12345678, "must be text"),
]


@pytest.mark.parametrize(("name", "given_value", "right"), REFUSED)
def test_a_bad_value_in_a_file_is_refused_with_file_key_and_what_would_be_right(
    host: Host, name: str, given_value: object, right: str
) -> None:
    section, option = name.split(".")
    file = host.write("x.toml", tomli_w.dumps({section: {option: given_value}}))

    sentence = host.refusal(file)

    assert sentence.startswith(f"{file}: {name} = ")
    assert right in sentence
    assert len(sentence) < 600


# A variable is text, is not set when empty, and may hold a relative path.
REFUSED_TEXT = [
    (name, value, right)
    for name, value, right in REFUSED
    if isinstance(value, str) and value and "begins with" not in right
]


@pytest.mark.parametrize(("name", "given_value", "right"), REFUSED_TEXT)
def test_a_bad_value_in_a_variable_is_refused_with_its_name(
    host: Host, name: str, given_value: str, right: str
) -> None:
    variable = f"BTY_{name.replace('.', '_').upper()}"

    sentence = host.refusal(**{variable: given_value})

    assert sentence.startswith(f"{variable} = ")
    assert right in sentence


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("admin.password", "hunter\n2"),
        ("server.session_secret", "hunter2"),
        ("admin.password", 77123),
    ],
)
def test_a_refused_secret_is_not_repeated(host: Host, name: str, secret: object) -> None:
    section, option = name.split(".")
    file = host.write("x.toml", tomli_w.dumps({section: {option: secret}}))

    sentence = host.refusal(file)

    assert MASK in sentence
    assert "hunter" not in sentence
    assert "77123" not in sentence


UNKNOWN = [
    ("[admin]\npasword = 's3cret'", "there is no key admin.pasword: did you mean 'password'?"),
    ("[servers]\nport = 1", "there is no section [servers]: did you mean 'server'?"),
    ("[zzz]\nport = 1", "there is no section [zzz]"),
    ("port = 1", "the key port stands in no section: it belongs into [server]"),
    ("zzz = 1", "the key zzz stands in no section"),
    ("[server]\npassword = 's3cret'", "there is no key server.password"),
    ("[admin]\nboot_dir = '/x'", "there is no key admin.boot_dir: did you mean 'paths.boot_dir'?"),
    ("server = 5", "server must be a section: write [server]"),
    ("[[server]]\nport = 5", "server must be a section"),
]


@pytest.mark.parametrize(("content", "right"), UNKNOWN)
def test_an_unknown_key_is_refused_with_the_nearest_right_one(
    host: Host, content: str, right: str
) -> None:
    file = host.write("x.toml", content)

    sentence = host.refusal(file)

    assert sentence.startswith(f"{file}: {right}")
    assert "s3cret" not in sentence


@pytest.mark.parametrize(
    ("variable", "right"),
    [
        ("BTY_SERVER_POTR", "BTY_SERVER_PORT"),
        ("BTY_ADMIN_PASSWD", "BTY_ADMIN_PASSWORD"),
        ("BTY_PATHS_STATEDIR", "BTY_PATHS_STATE_DIR"),
    ],
)
def test_an_unknown_variable_of_a_section_is_refused_with_the_nearest_right_one(
    host: Host, variable: str, right: str
) -> None:
    sentence = host.refusal(**{variable: "s3cret"})

    assert sentence == f"there is no variable {variable}: did you mean {right!r}?"


BROKEN = [
    (b"[server]\nport = 1\nport = 2\n", "line 3: is not TOML"),
    (b"[server\n", "line 1: is not TOML"),
    (b"[server]\nhost = '''", "line 2: is not TOML"),
    (b"[server]\nhost = '\xff'\n", "line 2: is not UTF-8"),
    (b"[server]\nport = " + b"9" * 5000, "is not TOML"),
    (b"a = " + b"[" * 100_000, "is nested too deeply"),
    (b"#" * (2**20 + 1), "is larger than 1048576 bytes"),
]


@pytest.mark.parametrize(("content", "right"), BROKEN, ids=[right for _, right in BROKEN])
def test_a_file_that_is_not_toml_is_refused_with_file_and_line(
    host: Host, content: bytes, right: str
) -> None:
    file = host.write("x.toml", "")
    file.write_bytes(content)

    assert host.refusal(file).startswith(f"{file}: {right}")


def test_a_file_named_by_config_must_be_there(host: Host) -> None:
    assert host.refusal(host.root / "nowhere.toml").endswith("there is no such file")


def test_a_directory_in_place_of_the_file_is_refused(host: Host) -> None:
    (host.etc / "bty.toml").mkdir(parents=True)

    assert "cannot be read: Is a directory" in host.refusal()


def test_secrets_are_not_in_the_representation(host: Host) -> None:
    config = host.load(BTY_ADMIN_PASSWORD="hunter22", BTY_SERVER_SESSION_SECRET="s" * 20)

    assert "hunter22" not in repr(config)
    assert "ssss" not in repr(config)


def test_a_word_without_a_neighbour_has_no_suggestion() -> None:
    assert did_you_mean("zzzzzz", ["port", "host"]) == ""


def test_the_provenance_names_every_key() -> None:
    assert Config().provenance == {key.name: DEFAULT for key in KEYS}


_toml_values = st.recursive(
    st.text() | st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from([key.name for key in KEYS]), value=_toml_values)
@example(name="withcache.url", value="http://[")
@example(name="withcache.url", value="http://a:b")
@example(name="server.trusted_proxy", value=["10.0.0.0/99"])
def test_any_value_is_taken_or_refused_with_a_sentence(
    host: Host, name: str, value: object
) -> None:
    section, option = name.split(".")
    text = tomli_w.dumps({section: {option: value}})
    file = host.root / "x.toml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        tomllib.loads(text)
    except ValueError:
        return  # the writer cannot spell it

    problem = ""
    try:
        shown = config_values.listed(host.load(file).value(name))
    except ConfigError as error:
        problem, shown = error.message, ""

    assert not problem or name in problem
    json.dumps(shown)
