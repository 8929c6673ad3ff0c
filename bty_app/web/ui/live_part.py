"""The part of a page that follows what happens: `polled.Polled` answers tabs that ask for it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from urllib.parse import urlencode

import falcon

from bty_app.web.pages import Pages
from bty_app.web.ui.shared import Shared


class LivePart(ABC):
    """A part that is the same for all who look at it, and made once for all of them."""

    def __init__(self, pages: Pages, template: str, here: str) -> None:
        """`here` is the address of the page; the part alone is at `here`/state."""
        self.pages = pages
        self._template = template
        self._here = here
        self._shared: Shared[str] = Shared()

    @abstractmethod
    def revision(self) -> str:
        """Another text once the part would look otherwise."""

    @abstractmethod
    def values(self) -> dict[str, object]:
        """What the template shows; the address to ask again comes by itself."""

    def html(self, *, exact: bool = True) -> str:
        """The part, marked with its revision; at most a second old where it need not be exact."""
        revision = self.revision()
        return self._shared.get("", revision, lambda: self._made(revision), exact=exact)

    def send(self, resp: falcon.Response, _query: object) -> None:
        """Answer with the part alone."""
        self.pages.send_part(resp, self.html(exact=False))

    def _made(self, revision: str) -> str:
        poll = f"{self._here}/state?{urlencode({'rev': revision})}"
        return self.pages.part(self._template, {**self.values(), "poll": poll})
