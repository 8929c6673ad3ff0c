"""The sections of the configuration that are about other hosts, as those of `config_sections`."""

from __future__ import annotations

from dataclasses import dataclass

from bty_app import config_values as values
from bty_app.config_row import key as _key


@dataclass(frozen=True, slots=True, kw_only=True)
class Withcache:
    """The image cache."""

    url: str = _key(
        "", values.url, "URL", "The withcache that images come from. None: from their origin."
    )
    password: str = _key(
        "",
        values.secret,
        "text",
        "withcache's own password, WITHCACHE_ADMIN_PASSWORD there: to have it fetch images.",
        secret=True,
    )
    password_file: str = _key(
        "",
        values.file_name,
        "file",
        "A file with withcache's password, read in place of it. Empty: none.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """OCI registries, where `oras://` images and catalogs come from."""

    credentials: tuple[values.RegistryLogin, ...] = _key(
        (),
        values.registry_logins,
        "host=user:password",
        "Logins by registry: a list, or separated by commas: ghcr.io=me:token.",
        secret=True,
    )
    plain_http: tuple[str, ...] = _key(
        (),
        values.registry_hosts,
        "hosts",
        "Registries that are spoken to without TLS: a list of host:port, or separated by commas.",
    )
    arch: str = _key(
        "amd64",
        values.choice(("amd64", "arm64")),
        "amd64 or arm64",
        "Which image to take of an index that has one for each architecture, where the catalog"
        " entry does not say.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """Where the catalog and the netboot artifacts come from, until a setting says otherwise."""

    catalog_url: str = _key(
        "https://github.com/safl/nosi/releases/latest/download/catalog.toml",
        values.source,
        "source",
        "The catalog that is fetched: an http, https, oras or file URL, or a path.",
    )

    netboot_repo: str = _key(
        "safl/bty",
        values.netboot_repo,
        "source",
        "Where releases of netboot artifacts are: owner/repository, the http or https URL of a"
        " mirror, or the path of a directory.",
    )
    netboot_tag: str = _key(
        "latest",
        values.netboot_tag,
        "tag",
        "The release to fetch; `latest` is that of the running version.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Nbdmux:
    """Accepted for the sake of existing files."""

    url: str = _key("", values.text, "URL", "Accepted from existing files, and not used.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Offsite:
    """Where backups are copied to."""

    url: str = _key(
        "",
        values.offsite_url,
        "URL",
        "A place that no other server uses: file:///directory,"
        " s3://bucket/prefix?endpoint=https://host (and &region=name), or the http or https URL of"
        " a WebDAV folder. None: there are no copies.",
    )
    user: str = _key("", values.text, "text", "The user there, or the access key of S3.")
    password: str = _key("", values.secret, "text", "The password, or secret key.", secret=True)
    password_file: str = _key(
        "", values.file_name, "file", "A file with the password, read in place of it."
    )
    ca_file: str = _key(
        "",
        values.file_name,
        "file",
        "Authorities in PEM form that are believed there beside those of the system, for a server"
        " whose certificate one of your own has signed.",
    )
    keep: int = _key(
        30,
        values.integer(0, 100_000),
        "number",
        "How many copies of scheduled backups stay there; 0: all. Those of other backups stay.",
    )
    key_file: str = _key(
        "",
        values.file_name,
        "file",
        "The key that copies are encrypted with (`bty offsite key create`). None: they are not.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhooks:
    """Who is told of events, beside the setting `webhook.targets`."""

    command: tuple[str, ...] = _key(
        (),
        values.argument_vector,
        "list",
        "A program and its arguments, run without a shell for each event, which it gets as JSON on"
        " standard input. Only a file can give it: a list.",
    )
    command_kinds: str = _key(
        "*failed", values.text, "patterns", "Which kinds of events the program gets."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Litestream:
    """Continuous replication of the database, by a program beside the server."""

    url: str = _key(
        "",
        values.replica,
        "URL",
        "Where Litestream replicates the database to: s3://bucket/path, file:///directory, ..."
        " None: it is not replicated.",
    )
    endpoint: str = _key(
        "",
        values.s3_endpoint,
        "URL",
        "The server that speaks S3, where it is not Amazon's: http://host:port.",
    )
