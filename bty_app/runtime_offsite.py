"""The place for copies of backups, as it is configured."""

from __future__ import annotations

from pathlib import Path

from bty_app.config import Config
from bty_app.domain.offsite import BucketTarget, DirectoryTarget, WebTarget, parse_target
from bty_app.domain.place import Place
from bty_app.errors import ConfigError
from bty_app.services import passwords
from bty_app.services.clock import Clock, utc_now
from bty_app.services.jobs import Jobs
from bty_app.services.offsite import Offsite
from bty_app.services.offsite_jobs import OffsiteJobs
from bty_app.store.copies import Directory
from bty_app.store.database import Database
from bty_app.store.sealed import read_key
from bty_app.upstream.http import Http
from bty_app.upstream.s3 import Bucket
from bty_app.upstream.sigv4 import Credentials, Scope
from bty_app.upstream.trust import authorities
from bty_app.upstream.webdav import WebFolder


def offsite(config: Config, http: Http, clock: Clock = utc_now) -> Offsite | None:
    """What copies backups, where a place is configured.

    Raises:
        ConfigError: a file with a secret cannot be used, or nothing here encrypts.
    """
    known = config.offsite
    if not known.url:
        return None
    key = read_key(Path(known.key_file)) if known.key_file else None
    place = _place(config, _believing(http, known.ca_file), clock)
    return Offsite(place, config.paths.backup_dir, keep=known.keep, key=key, clock=clock)


def offsite_jobs(
    config: Config, jobs: Jobs, http: Http, database: Database, clock: Clock = utc_now
) -> OffsiteJobs:
    """What copies them in the background. A secret that cannot be read stops no server."""
    shown = config.offsite.url.partition("?")[0]
    return OffsiteJobs(jobs, shown, lambda: offsite(config, http, clock), database, clock)


def _believing(http: Http, ca_file: str) -> Http:
    if not ca_file:
        return http
    try:
        return http.believing(authorities(Path(ca_file)))
    except ConfigError as error:
        raise ConfigError(f"offsite.ca_file: {error.message}") from error


def _place(config: Config, http: Http, clock: Clock) -> Place:
    known = config.offsite
    match parse_target(known.url):
        case DirectoryTarget() as directory:
            return Directory(directory)
        case WebTarget() as folder:
            return WebFolder(http, folder, known.user, _password(config))
        case BucketTarget() as bucket:
            credentials = Credentials(known.user, _password(config))
            if not credentials.access_key or not credentials.secret_key:
                raise ConfigError(
                    "offsite.url is a bucket: offsite.user must have its access key, and"
                    " offsite.password or offsite.password_file the secret key"
                )
            return Bucket(http, bucket, credentials, lambda: Scope(clock(), bucket.region))


def _password(config: Config) -> str:
    option, known = "offsite.password_file", config.offsite
    found = passwords.configured(option, "", known.password_file)
    if known.password_file and not found:
        raise ConfigError(f"{option}: {known.password_file}: must hold one line with the password")
    return found or known.password
