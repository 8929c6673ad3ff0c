"""The part of a page that an open tab asks for every two seconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import falcon

Query = TypeVar("Query")
Asked_contra = TypeVar("Asked_contra", contravariant=True)


class Table(Protocol[Asked_contra]):
    """Something to show that has a revision."""

    def revision(self) -> str: ...

    def send(self, resp: falcon.Response, query: Asked_contra, /) -> None: ...


class Polled(Generic[Query]):
    """Answers with the table when it has changed since the revision that the page holds."""

    def __init__(self, table: Table[Query], query_of: Callable[[falcon.Request], Query]) -> None:
        self._table = table
        self._query_of = query_of

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """204 when nothing has changed since `rev`, else the table."""
        if req.get_param("rev") == self._table.revision():
            resp.status = 204
            resp.set_header("Cache-Control", "no-store")
            return
        self._table.send(resp, self._query_of(req))
