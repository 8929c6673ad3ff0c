"""The operator's account: another password, and the sessions that are open."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from bty_app.domain import auth_events
from bty_app.domain import sessions as rules
from bty_app.domain.moments import stamp
from bty_app.domain.sessions import Session
from bty_app.errors import BtyError, ConflictError, NotFoundError, StorageError, ValidationError
from bty_app.services import passwords
from bty_app.services.clock import Clock, utc_now
from bty_app.services.sessions import Sessions, Visitor
from bty_app.store import events, sessions
from bty_app.store.database import Database, Tx


@dataclass(frozen=True, slots=True)
class PasswordPlace:
    """Where the password is kept; `fixed_by` is what of the configuration gives it instead."""

    state_dir: Path
    fixed_by: str = ""


class AccountKeeper:
    """Any thread may call."""

    def __init__(
        self, database: Database, logins: Sessions, place: PasswordPlace, clock: Clock = utc_now
    ) -> None:
        self._database = database
        self._logins = logins
        self._place = place
        self._clock = clock

    @property
    def fixed_by(self) -> str:
        """What gives the password where it cannot be changed here: "env(BTY_ADMIN_PASSWORD)"."""
        return self._place.fixed_by

    @property
    def password_file(self) -> Path:
        """The file that holds the password where nothing else gives it."""
        return self._place.state_dir / passwords.PASSWORD_FILE

    def change_password(
        self, current: str, new: str, session: Session | None, *, ip: str | None
    ) -> int | None:
        """Take another password and end all sessions but `session`; return how many that were, or
        None when `current` is not the password.

        Raises:
            ConflictError: the configuration fixes the password.
            ValidationError: the new one cannot be taken; the sentence says why.
            ThrottledError: too many wrong passwords lately.
            StorageError: it cannot be written; the password is as before.
        """
        if self.fixed_by:
            raise ConflictError(f"the password is fixed by {self.fixed_by}: change it there")
        problem = rules.password_problem(new, current)
        if problem:
            raise ValidationError(f"new: {problem}")
        if not self._logins.is_password(current, Visitor(ip)):
            return None
        at = stamp(self._clock())

        def change(tx: Tx) -> int:
            ended = self._logins.take_password(tx, new, keep=session)
            events.record(tx, auth_events.password_changed(ended, ip), at=at)
            return ended

        # The file first: after a crash in between, the next start ends the sessions.
        passwords.keep_password(self._place.state_dir, new)
        try:
            ended = self._database.write(change)
        except BtyError:
            with contextlib.suppress(StorageError):
                passwords.keep_password(self._place.state_dir, current)
            raise
        self._logins.use_password(new)
        return ended

    def sessions(self) -> list[Session]:
        """The valid ones, the last used first."""
        now = self._clock()
        return [row for row in self._database.read(sessions.every) if row.is_valid(now)]

    def end(self, session_id: str, *, ip: str | None) -> None:
        """End the session of this public id, for every copy of its cookie.

        Raises:
            NotFoundError: there is none.
        """
        at = stamp(self._clock())

        def change(tx: Tx) -> None:
            found = [row for row in sessions.every(tx) if rules.public_id(row) == session_id]
            if not found:
                raise NotFoundError(f"there is no session {session_id[:40]!r}")
            for row in found:
                sessions.delete(tx, row.token_hash)
            events.record(tx, auth_events.sessions_revoked(len(found), ip), at=at)

        self._database.write(change)

    def end_others(self, keep: Session | None, *, ip: str | None) -> int:
        """End all sessions but this one; return how many that were."""
        at = stamp(self._clock())

        def change(tx: Tx) -> int:
            ended = sessions.delete_others(tx, keep.token_hash if keep else None)
            if ended:
                events.record(tx, auth_events.sessions_revoked(ended, ip), at=at)
            return ended

        return self._database.write(change)
