"""The table of formats and their decoders, best first.

Libraries, called in place and outside of the interpreter's lock, are faster than programs behind
pipes, and they say where an image ends: igzip, pigz, bzip2 and lbzip2 call it a success when
garbage follows, so what is here does without them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from bty_app.errors import FlashRefusedError
from bty_app.flasher import isal, libzstd
from bty_app.flasher.bzip2_blocks import Bzip2
from bty_app.flasher.decoder import Decoder, Raw, gzip_members
from bty_app.flasher.flow import Flow
from bty_app.flasher.program import Program
from bty_app.flasher.qcow2 import Qcow2
from bty_app.flasher.ring import Sink
from bty_app.flasher.xz_blocks import Blocks
from bty_app.flasher.zstd_frames import Frames

Make = Callable[[Sink, Flow], Decoder]


@dataclass(frozen=True, slots=True)
class Row:
    """A decoder: its name, whether this host has it, and how to begin with it."""

    name: str
    is_here: Callable[[], bool]
    make: Make


def program(name: str, *arguments: str) -> Row:
    """A program of the system that decodes from standard input to standard output."""
    return Row(
        name,
        lambda: shutil.which(name) is not None,
        lambda sink, flow: Program(sink, flow, (name, *arguments)),
    )


def _always() -> bool:
    return True


DECODERS: Mapping[str, Sequence[Row]] = MappingProxyType(
    {
        "img": (Row("as it is", _always, lambda sink, _flow: Raw(sink)),),
        "img.gz": (
            Row("libisal", isal.available, lambda sink, _flow: isal.gzip_in_place(sink)),
            Row("zlib", _always, lambda sink, _flow: gzip_members(sink)),
        ),
        "img.xz": (Row("liblzma", _always, Blocks),),
        "img.zst": (
            Row("libzstd", libzstd.available, Frames),
            program("zstd", "-dcq", "--long=31"),
        ),
        "img.bz2": (Row("libbz2", _always, Bzip2),),
        "qcow2": (Row("ours", _always, Qcow2),),
    }
)


def decoder_of(
    image_format: str, sink: Sink, flow: Flow, table: Mapping[str, Sequence[Row]] = DECODERS
) -> Decoder:
    """The best decoder of this format that is here.

    Raises:
        FlashRefusedError: there is none.
    """
    rows = table.get(image_format)
    if not rows:
        raise FlashRefusedError(f"images of the format {image_format!r} cannot be flashed")
    for row in rows:
        if row.is_here():
            return row.make(sink, flow)
    names = " or ".join(row.name for row in rows)
    raise FlashRefusedError(f"{image_format} needs {names}, which this system does not have")
