"""What a token must be allowed before a resource answers it.

A resource says so once, in its class: `scope = Scope.ADMIN` for all its methods, or
`scopes = {"POST": Scope.ADMIN}` for some. Else reading needs `read`, and all else `operate`.
Pages (/ui) are for people: they take a session alone.
"""

from __future__ import annotations

from bty_app.domain.tokens import Scope

READING = frozenset({"GET", "HEAD", "OPTIONS"})


def scope_of(resource: object, method: str) -> Scope:
    """The scope that `method` of a closed resource needs."""
    of_methods: dict[str, Scope] = getattr(resource, "scopes", {})
    of_all: Scope = getattr(resource, "scope", Scope.READ if method in READING else Scope.OPERATE)
    return of_methods.get(method, of_all)


def is_for_people(path: str) -> bool:
    """Whether the path is that of a page or of a form of one."""
    return path == "/ui" or path.startswith("/ui/")
