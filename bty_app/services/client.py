"""The client that this server has for live environments: made once, when one is first wanted."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cached_property


class Client:
    """Its bytes and their digest. Any thread may ask."""

    def __init__(self, make: Callable[[], bytes]) -> None:
        self._make = make

    @cached_property
    def data(self) -> bytes:
        """The zip."""
        return self._make()

    @cached_property
    def sha256(self) -> str:
        """Its digest, in hexadecimal digits."""
        return hashlib.sha256(self.data).hexdigest()
