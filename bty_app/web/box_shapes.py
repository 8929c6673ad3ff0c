"""What machines send and are sent, as it is described; the parsers of the domain check it."""

from __future__ import annotations

from bty_app.domain.inventory import MAX_DISKS, TEXT_LIMITS
from bty_app.domain.progress import LARGEST, MAX_REASON
from bty_app.domain.progress import PHASE as PROGRESS_PHASE
from bty_app.web.api.values import SHA256
from bty_app.web.records import Either, Items, Record, record
from bty_app.web.shapes import Anything, Flag, Nullable, Shape, Text, Whole

PRINTABLE = r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]*"


def _disk(key: str) -> Shape:
    least = 1 if key == "path" else 0
    text = Text(least=least, most=TEXT_LIMITS[key], pattern=PRINTABLE)
    return text if key == "path" else Nullable(text)


_TEXTS = {key: _disk(key) for key in TEXT_LIMITS}
_FLAGS = {"removable": Nullable(Flag()), "readonly": Nullable(Flag())}

DISK = Record(
    {**_TEXTS, **_FLAGS},
    "ReportedDisk",
    optional=frozenset({*_TEXTS, *_FLAGS} - {"path"}),
    is_open=True,
    example={"path": "/dev/nvme0n1", "size": "476.9G", "serial": "S64ENX0T123456"},
)
INVENTORY = Record(
    {
        "disks": Nullable(Items(DISK, MAX_DISKS)),
        "lshw": Nullable(Either((Record({}, is_open=True), Items(Anything())))),
    },
    "Inventory",
    optional=frozenset({"disks", "lshw"}),
)
STATUS = Record(
    {
        "status": Text(one_of=("done", "failed")),
        "reason": Nullable(Text("Why it failed.", most=MAX_REASON)),
    },
    "Status",
    optional=frozenset({"reason"}),
    example={"status": "failed", "reason": "the disk is gone"},
)
_AMOUNT = Nullable(Whole(most=LARGEST))
PROGRESS = Record(
    {
        "phase": Text(pattern=PROGRESS_PHASE.pattern),
        "bytes": _AMOUNT,
        "total": _AMOUNT,
        "rate": _AMOUNT,
        "error": Nullable(Text(most=MAX_REASON)),
    },
    "Progress",
    optional=frozenset({"bytes", "total", "rate", "error"}),
    example={"phase": "writing", "bytes": 1, "total": 2, "rate": 3, "error": None},
)

_FLASH = Record(
    {
        "mode": Text(one_of=("flash",)),
        "image": Text("Where its bytes are."),
        "target_disk_serial": Text(),
        "name": Text(),
        "disk_image_sha": SHA256,
        "format": Text(),
        "sources": Items(Record({"from": Text(), "url": Text()})),
    },
    "FlashPlan",
    optional=frozenset({"disk_image_sha", "format"}),
)
_ASK = Record(
    {"mode": Text(one_of=("interactive",)), "catalog": Text(), "retry_after": Whole("Seconds.")},
    "InteractivePlan",
    optional=frozenset({"retry_after"}),
)
_OTHER = record("OtherPlan", mode=Text(one_of=("inventory", "exit")))
PLAN = Either((_FLASH, _ASK, _OTHER))
