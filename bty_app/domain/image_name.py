"""The name of an image: what may be one, and what it says of format and architecture (8.3)."""

from __future__ import annotations

import re

# Longest first: `.img` is the end of none of the others, but reads last.
FORMATS = ("img.zst", "img.xz", "img.gz", "img.bz2", "qcow2", "img")

MAX_NAME_CHARS = 255

# C0, C1, the Unicode line separators and what is no character at all.
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

_TARBALL = re.compile(r".*\.(?:tar(?:\.[a-z0-9]+)?|tgz|txz|tbz2|tzst)", re.ASCII | re.DOTALL)

# In this order: the first that occurs anywhere in the name wins.
_ARCHITECTURES = (
    ("x86_64", "x86_64"),
    ("x86-64", "x86_64"),
    ("aarch64", "arm64"),
    ("amd64", "x86_64"),
    ("arm64", "arm64"),
    ("armhf", "arm"),
    ("armv7l", "arm"),
    ("armv6l", "armv6"),
    ("riscv64", "riscv64"),
    ("ppc64le", "ppc64le"),
    ("s390x", "s390x"),
    ("i686", "i386"),
    ("i386", "i386"),
)


def name_fault(name: str) -> str | None:
    """Why `name` cannot be an image's name, or None when it can."""
    if not name.strip():
        return "is empty"
    if len(name) > MAX_NAME_CHARS:
        return f"is longer than {MAX_NAME_CHARS} characters"
    if UNPRINTABLE.search(name):
        return "has control characters or line breaks"
    return None


def detect_format(name: str) -> str | None:
    """The format id by suffix, case-insensitive, or None: nothing that can be flashed."""
    lowered = name.lower()
    return next((known for known in FORMATS if lowered.endswith(f".{known}")), None)


def is_tarball(name: str) -> bool:
    """Whether `name` is an archive of files: never an image, and worth a word of its own."""
    return _TARBALL.fullmatch(name.lower()) is not None


def detect_arch(name: str) -> str | None:
    """The architecture that `name` mentions, in the spelling of catalogs, or None."""
    lowered = name.lower()
    return next((arch for part, arch in _ARCHITECTURES if part in lowered), None)
