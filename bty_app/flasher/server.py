"""The server's endpoints as calls: to our server, and to the original's (CONTRACT 0.2).

Threads: any may call.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence
from enum import Enum
from urllib.parse import quote

from bty_app.domain.inventory import MAX_DISKS
from bty_app.domain.json_bounds import object_of
from bty_app.domain.mac import Mac
from bty_app.domain.progress import ProgressReport
from bty_app.errors import InvalidInputError, TooLargeError, UnavailableError
from bty_app.flasher.disks import Disk
from bty_app.flasher.inventory import MAX_DISKS_OF_THE_ORIGINAL, inventory
from bty_app.flasher.plan import MAX_PLAN_BYTES, Plan, parse_plan
from bty_app.flasher.reasons import shortened
from bty_app.flasher.retry import AwayError, Patience, Wait, insist
from bty_app.upstream.http import Answer, Http, Request

PLAN_SECONDS = 30.0  # the server may ask a registry first
REPORT_SECONDS = 15.0
INVENTORY_SECONDS = 30.0
PROGRESS_SECONDS = 5.0

FOR_EVER = Patience()
FOR_MINUTES = Patience(in_all=300.0)

_AGAIN = frozenset({408, 425, 429})


class Told(Enum):
    """How a report was taken."""

    TAKEN = "taken"
    NO_RECORD = "the server has no record of this machine"
    NO_CHANNEL = "a server of this age takes no reports of failures"
    REFUSED = "the server refuses it"
    AWAY = "the server did not answer"


class Server:
    """One server, for one machine. `wait` lets the time between two attempts pass."""

    def __init__(
        self,
        http: Http,
        url: str,
        mac: Mac,
        *,
        wait: Wait,
        jitter: Callable[[], float] = random.random,
        on_date: Callable[[str], None] = lambda _date: None,
    ) -> None:
        self.url = base_url(url)
        self.mac = mac
        self._http = http
        self._machine = f"{self.url}/pxe/{quote(mac, safe=':')}"
        self._wait = wait
        self._jitter = jitter
        self._on_date = on_date
        self._takes_progress = True
        self._takes_status = True

    @property
    def catalog_url(self) -> str:
        """Where the images are listed for people."""
        return f"{self.url}/catalog.toml"

    def plan(self, wait: Wait | None = None, patience: Patience = FOR_EVER) -> Plan:
        """What this machine is to do; asked for until it comes.

        Raises:
            AwayError: only where patience has an end.
        """
        return insist(self._plan, patience, wait or self._wait, self._jitter)

    def report_inventory(
        self,
        disks: Sequence[Disk],
        lshw: object = None,
        patience: Patience = FOR_MINUTES,
        wait: Wait | None = None,
    ) -> Told:
        """Say which hardware there is."""
        for most in (MAX_DISKS, MAX_DISKS_OF_THE_ORIGINAL):
            body = inventory(disks, lshw, most=most)
            told = self._report("inventory", body, patience, seconds=INVENTORY_SECONDS, wait=wait)
            if told is not Told.REFUSED or len(disks) <= MAX_DISKS_OF_THE_ORIGINAL:
                return told
        return Told.REFUSED

    def report_progress(self, report: ProgressReport) -> None:
        """Say how far a flash is, once: there will be news soon. The original has no place for it
        and is asked only the first time.
        """
        if not self._takes_progress:
            return
        fields = {
            "phase": report.phase,
            "bytes": report.bytes_done,
            "total": report.bytes_total,
            "rate": report.rate,
            "error": report.error,
        }
        body = json.dumps({key: value for key, value in fields.items() if value is not None})
        try:
            answer = self._ask("POST", "progress", body.encode(), PROGRESS_SECONDS)
        except AwayError:
            return
        self._takes_progress = not _is_no_route(answer)

    def report_done(
        self, extras: str | None = None, patience: Patience = FOR_EVER, wait: Wait | None = None
    ) -> Told:
        """Say that the flash is done, and what was done besides. A report that is lost means that
        it is done again.
        """
        more = {"reason": shortened(extras)} if extras else {}
        told = self._report_status({"status": "done", **more}, patience, wait)
        if told is Told.NO_CHANNEL:
            return self._report("done", None, patience, wait=wait)
        return told

    def report_failed(self, reason: str, patience: Patience = FOR_MINUTES) -> Told:
        """Say that the flash has failed, and why."""
        body = {"status": "failed", "reason": shortened(reason)}
        return self._report_status(body, patience, None)

    # -- exchanges -----------------------------------------------------------------------------

    def _plan(self) -> Plan:
        answer = self._ask("GET", "plan", None, PLAN_SECONDS)
        if answer.status != 200:
            raise AwayError(f"{self.url} gives no plan yet: it answers {answer.status}")
        try:
            return parse_plan(answer.body)
        except InvalidInputError as error:
            raise AwayError(
                f"{self.url} gives no plan that makes sense: {error.message}"
            ) from error

    def _report_status(self, body: dict[str, str], patience: Patience, wait: Wait | None) -> Told:
        if not self._takes_status:
            return Told.NO_CHANNEL
        return self._report("status", json.dumps(body).encode(), patience, wait=wait)

    def _report(
        self,
        name: str,
        body: bytes | None,
        patience: Patience,
        *,
        seconds: float = REPORT_SECONDS,
        wait: Wait | None = None,
    ) -> Told:
        def attempt() -> Told:
            answer = self._ask("POST", name, body or b"", seconds, has_type=body is not None)
            if 200 <= answer.status < 300:
                return Told.TAKEN
            if answer.status != 404:
                return Told.REFUSED
            if _detail(answer).startswith("no machine record"):
                return Told.NO_RECORD
            if name == "status" and _is_no_route(answer):
                self._takes_status = False
                return Told.NO_CHANNEL
            # A proxy answers like this while the server behind it restarts.
            raise AwayError(f"{self.url} does not take the {name} report: it answers 404")

        try:
            return insist(attempt, patience, wait or self._wait, self._jitter)
        except AwayError:
            return Told.AWAY

    def _ask(
        self, method: str, name: str, body: bytes | None, seconds: float, *, has_type: bool = True
    ) -> Answer:
        """The answer, unless it is one of a server that is not ready."""
        headers = {"Accept": "application/json"}
        if body is not None and has_type:
            headers["Content-Type"] = "application/json"
        request = Request(f"{self._machine}/{name}", method, headers, body)
        try:
            answer = self._http.ask(request, limit=MAX_PLAN_BYTES, seconds=seconds)
        except (UnavailableError, TooLargeError) as error:
            raise AwayError(error.message) from error
        if date := answer.headers.get("Date"):
            self._on_date(date)
        if answer.status >= 500 or answer.status in _AGAIN:
            raise AwayError(
                f"{self.url} is not ready: it answers {answer.status}",
                retry_after=_retry_after(answer),
            )
        return answer


def base_url(text: str) -> str:
    """`host`, `host:port` or a URL, as the beginning of every address of the server.

    Raises:
        InvalidInputError: it is none of them.
    """
    given = text.strip()
    scheme, _, rest = (given if "://" in given else f"http://{given}").partition("://")
    place = rest.rstrip("/")
    if scheme.lower() not in ("http", "https") or not place or not re.fullmatch(r"[!-~]+", place):
        raise InvalidInputError(f"{text[:200]!r} is not the address of a server")
    return f"{scheme.lower()}://{place}"


def _detail(answer: Answer) -> str:
    """What the JSON of a refusal says; empty where it says nothing, or is none."""
    try:
        detail = object_of(answer.body).get("detail")
    except InvalidInputError:
        return ""
    return detail if isinstance(detail, str) else ""


def _is_no_route(answer: Answer) -> bool:
    return answer.status == 404 and _detail(answer) == "Not Found"


def _retry_after(answer: Answer) -> float | None:
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
