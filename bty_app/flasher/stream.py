"""An image as a row of runs: fetched in one thread, decoded in others."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bty_app.flasher.ahead import Ahead
from bty_app.flasher.decoders import DECODERS, Row, decoder_of
from bty_app.flasher.device import Device, Disk
from bty_app.flasher.fetch import PAUSES, Fetch
from bty_app.flasher.flow import Channel, Flow
from bty_app.flasher.order import Order
from bty_app.flasher.qcow2 import Qcow2
from bty_app.flasher.ring import Ring, Sink
from bty_app.flasher.sources import Sources
from bty_app.upstream.http import Http
from bty_app.upstream.pace import Pace
from bty_app.upstream.registry import Registry

AHEAD_BYTES = 8 * 1024 * 1024  # fetched, and not yet decoded
AGENT = "bty-flash"
PATIENCE = 1.0  # seconds, with a server that does not answer, once nobody waits for it any more


@dataclass(frozen=True, slots=True)
class Tools:
    """What a flash works with; tests and commands give others."""

    http: Http = field(default_factory=lambda: Http(agent=AGENT))
    registry: Registry | None = None
    decoders: Mapping[str, Sequence[Row]] = field(default_factory=lambda: DECODERS)
    open_device: Callable[[str], Device] = Disk
    pace: Pace = field(default_factory=Pace)
    pauses: Sequence[float] = PAUSES

    def sources(self, order: Order) -> Sources:
        """How the sources of an order are opened."""
        stall = order.stall_seconds
        pace = self.pace if stall is None else replace(self.pace, seconds=stall)
        return Sources(self.http, self.registry or Registry(self.http), pace)


class ImageStream:
    """The image of an order; `ring` has its runs."""

    def __init__(
        self,
        order: Order,
        flow: Flow,
        tools: Tools,
        look: Callable[[bytes], None] = lambda _head: None,
    ) -> None:
        """`look` gets the first bytes of the source before they are decoded, and may refuse."""
        self.sources = tools.sources(order)
        self.fetch = Fetch(order, self.sources, flow, pauses=tools.pauses)
        self.ring = Ring(flow)
        self._order = order
        self._flow = flow
        self._tools = tools
        self._look = look
        self._input = Channel(flow, AHEAD_BYTES)

    def start(self) -> None:
        """Begin; a failure is one of the flow."""
        self._flow.start("flash-fetch", self._do_fetch, patience=PATIENCE)
        self._flow.start("flash-decode", self._do_decode)

    def _do_fetch(self) -> None:
        is_first = True
        for chunk in self.fetch.chunks():
            if is_first:
                self._look(chunk)
                is_first = False
            self._input.put(chunk)
        self._input.put(None)

    def _do_decode(self) -> None:
        sink = Sink(self.ring)
        decoder = decoder_of(self._order.format, sink, self._flow, self._tools.decoders)
        if isinstance(decoder, Qcow2):
            decoder.ahead = self._ahead()
        while (chunk := self._input.get()) is not None:
            decoder.feed(chunk)
        decoder.finish()
        sink.end()

    def _ahead(self) -> Ahead:
        given, progress = self._order.sources, self.fetch.progress
        return Ahead(given, progress, self.sources, self._flow, self._tools.pauses)


def first_bytes(order: Order, tools: Tools, count: int) -> bytes:
    """The first bytes of the order's file, or all of a shorter one.

    Raises:
        As `Fetch.chunks`.
    """
    flow = Flow()
    found = bytearray()
    with contextlib.closing(
        Fetch(order, tools.sources(order), flow, pauses=tools.pauses).chunks()
    ) as it:
        for chunk in it:
            found += chunk
            if len(found) >= count:
                break
    return bytes(found[:count])
