"""Litestream beside this server, asked over its control socket."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path

from bty_app.domain import json_bounds
from bty_app.errors import InvalidInputError, UnavailableError

SYNC_SECONDS = 5
_MAX_BYTES = 64 * 1024


class _Connection(http.client.HTTPConnection):
    """To a socket with a name."""

    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        """As `http.client` calls it."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def sync(control: Path, state_db: Path) -> int:
    """Have everything that is committed now replicated; return the number of the transaction.

    Raises:
        UnavailableError: Litestream does not answer on `control`, or cannot replicate.
    """
    asked = json.dumps({"path": str(state_db), "wait": True, "timeout": SYNC_SECONDS})
    line = _Connection(control, SYNC_SECONDS + 2.0)
    try:
        line.request("POST", "/sync", asked, {"Content-Type": "application/json"})
        answer = line.getresponse()
        said = json_bounds.object_of(answer.read(_MAX_BYTES))
    except (OSError, http.client.HTTPException, InvalidInputError) as error:
        raise UnavailableError(f"Litestream does not answer on {control}: {error}") from error
    finally:
        line.close()
    if answer.status != 200:
        raise UnavailableError(f"Litestream cannot replicate: {str(said.get('error'))[:200]}")
    done, wanted = said.get("replicated_txid"), said.get("txid")
    if not isinstance(done, int) or not isinstance(wanted, int) or done < wanted:
        raise UnavailableError(f"Litestream is behind: {done} of {wanted} transactions are there")
    return done
