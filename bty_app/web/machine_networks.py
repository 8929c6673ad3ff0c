"""What is open to every machine can be kept to the networks of machines (SPEC 11)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import falcon

from bty_app.errors import NotAllowedError
from bty_app.web.auth import is_open
from bty_app.web.middleware import Network, is_within

_ROUTES: Final = ("/pxe/", "/boot/")
_SINGLE: Final = frozenset({"/pxe-bootstrap.ipxe", "/client.pyz"})


class MachineNetworks:
    """Refuses machines that ask from elsewhere; no networks means that all may ask.

    Whoever has logged in, or has a token, uses the closed methods of these routes from anywhere.
    """

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = tuple(networks)

    def process_resource(
        self,
        req: falcon.Request,
        _resp: falcon.Response,
        resource: object,
        _params: dict[str, Any],
    ) -> None:
        """Let the request through, or not.

        Raises:
            NotAllowedError: it is for machines, and comes from no network of theirs.
        """
        if not self._networks or not is_open(resource, req.method):
            return
        route = req.uri_template or ""
        if route not in _SINGLE and not route.startswith(_ROUTES):
            return
        if not is_within(req.context.client_ip, self._networks):
            raise NotAllowedError(
                f"{req.context.client_ip} is in none of server.machine_networks: machines are"
                " answered from those alone"
            )
