"""Rules of logins: how long one lasts, who has to wait, and which forms were made by us."""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

FINGERPRINT = "auth.password_fingerprint"  # where the settings have that of the password
LIFETIME = timedelta(days=7)
NOTED_EVERY = timedelta(minutes=10)  # so that reading pages writes next to nothing
LOGIN_FORM_LIFETIME = timedelta(hours=24)
MIN_PASSWORD = 12
MAX_PASSWORD = 1024


@dataclass(frozen=True, slots=True)
class Session:
    """A login. The token itself is known to the browser alone."""

    token_hash: str
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    source_ip: str | None
    user_agent: str | None

    def is_valid(self, now: datetime) -> bool:
        """Whether it still counts at `now`."""
        return now < self.expires_at

    def is_due(self, now: datetime) -> bool:
        """Whether its use at `now` is worth writing down."""
        return now - self.seen_at >= NOTED_EVERY


def public_id(session: Session) -> str:
    """What names a session on pages and in addresses; nobody can come in with it."""
    return session.token_hash[:16]


def token_hash(token: str) -> str:
    """What is kept of a token: its SHA-256. A token is 256 random bits, so no salt is needed."""
    return hashlib.sha256(_bytes(token)).hexdigest()


def same_text(first: str, second: str) -> bool:
    """Whether two secrets are the same, in a time that does not tell where they differ."""
    return hmac.compare_digest(_bytes(first), _bytes(second))


def password_problem(password: str, current: str) -> str:
    """Why this cannot become the password, as a sentence; empty when it can."""
    if len(password) < MIN_PASSWORD:
        return f"must have at least {MIN_PASSWORD} characters"
    if len(password.encode("utf-8", "surrogatepass")) > MAX_PASSWORD:
        return f"must have at most {MAX_PASSWORD} bytes"
    if not password.isprintable() or password != password.strip():
        return "must be one line of text, without spaces around it"  # it is a line of a file
    if same_text(password, current):
        return "must be another one than the current password"
    return ""


def password_fingerprint(key: bytes, salt: str, password: str) -> str:
    """What is kept of a password, to notice that another one was configured: salt and HMAC.

    The key is not in the database, so a copy of the database does not help to guess.
    """
    return f"{salt}:{_signed(key, 'password', salt, password)}"


def form_token(key: bytes, session: Session) -> str:
    """What every form of a session carries."""
    return _signed(key, "form", session.token_hash)


def login_form_token(key: bytes, now: datetime) -> str:
    """What a login form carries: when it was made, signed."""
    made = str(int(now.timestamp()))
    return f"{made}.{_signed(key, 'login', made)}"


def login_form_is_ours(key: bytes, token: str, now: datetime) -> bool:
    """Whether a login form with this token was made by us, and not too long ago."""
    made, _, signature = token.partition(".")
    if not same_text(signature, _signed(key, "login", made)):
        return False
    age = now.timestamp() - int(made)
    return age <= LOGIN_FORM_LIFETIME.total_seconds()


def _signed(key: bytes, *parts: str) -> str:
    text = "\0".join(parts)
    return hmac.new(key, _bytes(text), hashlib.sha256).hexdigest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # a browser can be made to send anything


@dataclass(frozen=True, slots=True)
class Patience:
    """How many wrong guesses are free, how long one waits then (doubling), when all is forgotten.

    Times are in seconds.
    """

    free: int
    longest: float
    forgotten_after: float


PER_NETWORK = Patience(free=5, longest=900, forgotten_after=3600)
ALTOGETHER = Patience(free=50, longest=30, forgotten_after=3600)


@dataclass(frozen=True, slots=True)
class Guesses:
    """Wrong guesses in a row, and when the last one was (seconds of any clock)."""

    count: int = 0
    last: float = 0.0


def wait_of(guesses: Guesses, patience: Patience, now: float) -> float:
    """In how many seconds the next guess is heard; 0 when it is now."""
    over = guesses.count - patience.free
    if over < 0:
        return 0.0
    delay = min(patience.longest, 2.0 ** min(over, 30))
    # A clock that was set back must not make anybody wait for longer than the delay itself.
    return max(0.0, min(delay, guesses.last + delay - now))


def another_wrong(guesses: Guesses, patience: Patience, now: float) -> Guesses:
    """The record after one more wrong guess."""
    quiet = now - guesses.last > patience.forgotten_after
    return Guesses(1 if quiet else guesses.count + 1, now)


class Throttle:
    """Who has to wait before the next guess: each network for itself, and all together.

    A network from which somebody has logged in is spared the common wait, so that a guessing
    stranger cannot keep the operator out. Not locked: its owner locks.
    """

    def __init__(self, *, capacity: int = 10_000) -> None:
        self._capacity = capacity
        self._networks: OrderedDict[str, Guesses] = OrderedDict()
        self._familiar: OrderedDict[str, None] = OrderedDict()
        self._all = Guesses()

    def wait(self, network: str, now: float) -> float:
        """In how many seconds this network may guess; 0 when it may now."""
        own = wait_of(self._networks.get(network, Guesses()), PER_NETWORK, now)
        if network in self._familiar:
            return own
        return max(own, wait_of(self._all, ALTOGETHER, now))

    def wrong(self, network: str, now: float) -> None:
        """A guess was wrong."""
        before = self._networks.pop(network, Guesses())
        self._networks[network] = another_wrong(before, PER_NETWORK, now)
        self._all = another_wrong(self._all, ALTOGETHER, now)
        _bound(self._networks, self._capacity)

    def right(self, network: str) -> None:
        """Somebody has logged in from this network."""
        self._networks.pop(network, None)
        self._familiar.pop(network, None)
        self._familiar[network] = None
        _bound(self._familiar, self._capacity)


def _bound(kept: OrderedDict[str, Guesses] | OrderedDict[str, None], capacity: int) -> None:
    if len(kept) > capacity:
        kept.popitem(last=False)
