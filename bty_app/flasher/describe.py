"""What will be erased and what will be written, in lines for a person to judge."""

from __future__ import annotations

from bty_app.flasher import words
from bty_app.flasher.disks import Disk
from bty_app.flasher.order import Order

MOST_PARTS = 10


def disk_row(disk: Disk) -> str:
    """A disk in one row of a list, with a word where it cannot be chosen."""
    name = disk.path.removeprefix("/dev/")
    word = "READ-ONLY" if disk.read_only else "IN USE" if disk.in_use else ""
    head = f"{name:9} {words.size(disk.size_bytes):>8}  {word:9}"
    return f"{head}  {disk.model or '-':20.20}  {disk.serial or 'no serial':20.20}".rstrip()


def erased(disk: Disk) -> list[str]:
    """All that is lost with the first byte."""
    bus = "".join(f", {word}" for word in (disk.tran, "removable" * disk.removable) if word)
    lines = [
        f"  disk    {disk.path}  {words.size(disk.size_bytes)} ({disk.size_bytes} bytes){bus}",
        f"  model   {' '.join(filter(None, (disk.vendor, disk.model))) or 'unknown'}",
        f"  serial  {disk.serial or 'none'}",
    ]
    if not disk.parts:
        lines.append("  holds   no partitions and no known file system")
    for part in disk.parts[:MOST_PARTS]:
        what = " ".join(filter(None, (part.fstype or "unknown content", part.label)))
        lines.append(f"  holds   {part.name}  {words.size(part.size_bytes)}  {what}")
    if len(disk.parts) > MOST_PARTS:
        lines.append(f"          and {len(disk.parts) - MOST_PARTS} more")
    return lines


def written(name: str, order: Order) -> list[str]:
    """What comes onto the disk, and how sure that is."""
    size = f", {words.size(order.size_bytes)}" if order.size_bytes else ""
    lines = [f"  image   {name}", f"  format  {order.format}{size}"]
    lines += [f"  from    {source.url} ({source.label})" for source in order.sources]
    if order.sha256:
        lines.append(f"  sha256  {order.sha256}")
    elif all(source.kind == "registry" for source in order.sources):
        lines.append("  sha256  as the registry says")
    else:
        lines.append("  sha256  NOT KNOWN: what arrives is written unchecked")
    if order.verify:
        lines.append("  then    everything is read back and compared")
    return lines
