"""A bundle read through a sliding window: one machine in memory at a time, whatever the file."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from bty_app.domain import bundle, json_bounds
from bty_app.domain.bundle import HardwareRecord, Rejected
from bty_app.errors import InvalidInputError

MAX_MACHINES = 1_000_000
# A window of this size decodes to less than 50 MB whatever is in it.
_UNCHECKED = 1024 * 1024
# More than any token that a window can cut outside a string: `\ud83d\ude00`, `-Infinity`.
_CUT = 32
_BLANK_RUN = re.compile(r"[ \t\n\r]*")
_SPECIAL = re.compile(r"(\\*)([^\x00-\x7f]+)")


def ascii_text(chunks: Iterable[bytes]) -> Iterator[str]:
    r"""The UTF-8 text of `chunks` with each character beyond ASCII as its JSON escape `\uXXXX`.

    One byte a character is then all that a window takes.

    Raises:
        InvalidInputError: not UTF-8, or it begins with a byte-order mark.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    kept, first = "", True
    for chunk, last in _with_last(chunks):
        try:
            text = kept + decoder.decode(chunk, last)
        except UnicodeDecodeError as error:
            raise InvalidInputError("the bundle is not UTF-8 text") from error
        if first and text:
            if text[0] == "\ufeff":
                raise InvalidInputError("the bundle begins with a byte-order mark")
            first = False
        # Backslashes at the end belong to what follows: their number decides what that is.
        kept = "" if last else text[len(text.rstrip("\\")) :]
        text = text[: len(text) - len(kept)]
        yield text if text.isascii() else _SPECIAL.sub(_escaped, text)


def _with_last(chunks: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    for chunk in chunks:
        yield chunk, False
    yield b"", True


def _escaped(found: re.Match[str]) -> str:
    if len(found[1]) % 2:
        raise InvalidInputError("the bundle is not JSON: a backslash before a special character")
    return found[1] + json.dumps(found[2])[1:-1]


class BundleReader:
    """One pass over a bundle. Iterate `machines()` to its end; then its facts are known.

    Nothing of a bundle counts before the iteration has ended without error: the version may stand
    at the end, and so may the damage.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        """Read from `chunks`: pieces of the file, of any size, in order."""
        self._source = ascii_text(chunks)
        self._window = ""
        self._at = 0  # where in the window reading goes on
        self._ended = False
        self._checked = False  # the values of this window are counted
        self._decoder = json_bounds.decoder()
        self._macs: set[int] = set()
        self.exported_at: str | None = None
        self.exported_by: str | None = None
        self.count = 0

    def machines(self) -> Iterator[HardwareRecord | Rejected]:
        """Every machine of the bundle, checked.

        Raises:
            InvalidInputError: this is not a whole version 3 bundle, or exceeds a bound.
        """
        seen: set[str] = set()
        self._expect("{", "a bundle is a JSON object")
        if self._next() == "}":
            self._at += 1
        else:
            yield from self._members(seen)
        if "bty_export_version" not in seen:
            raise InvalidInputError("this is not a bundle: it has no bty_export_version")
        if self._next():
            raise InvalidInputError("the bundle goes on after its end")

    # -- structure -----------------------------------------------------------------------------

    def _members(self, seen: set[str]) -> Iterator[HardwareRecord | Rejected]:
        while True:
            key = self._key(seen)
            if key == "machines":
                yield from self._array()
            else:
                self._note(key, self._value(f"the value of {key[:40]!r}"))
            if self._separator("}"):
                return

    def _key(self, seen: set[str]) -> str:
        if self._next() != '"':
            raise self._malformed("a key is expected")
        key: str = self._value("a key")
        if key in seen:
            raise InvalidInputError(f"the key {key[:64]!r} stands twice in the bundle")
        if len(seen) >= 1000:
            raise InvalidInputError("the bundle has more than 1,000 keys")
        seen.add(key)
        self._expect(":", "a colon is expected")
        return key

    def _array(self) -> Iterator[HardwareRecord | Rejected]:
        self._expect("[", "machines must be an array")
        if self._next() == "]":
            self._at += 1
            return
        while True:
            self.count += 1
            if self._next() != "{":
                raise self._malformed(f"machine {self.count} is not an object")
            machine = bundle.parse_machine(self.count, self._value(f"machine {self.count}"))
            self._check_unique(machine)
            yield machine
            if self._separator("]"):
                return

    def _check_unique(self, machine: HardwareRecord | Rejected) -> None:
        if self.count > MAX_MACHINES:
            raise InvalidInputError(f"the bundle has more than {MAX_MACHINES:,} machines")
        if machine.mac is None:
            return
        number = int(machine.mac.replace(":", ""), 16)  # half the memory of the text
        if number in self._macs:
            raise InvalidInputError(f"the machine {machine.mac} stands twice in the bundle")
        self._macs.add(number)

    def _separator(self, closing: str) -> bool:
        """Pass a comma (False) or the closing bracket (True)."""
        found = self._next()
        if found not in (",", closing) or not found:
            raise self._malformed(f"a comma or {closing} is expected")
        self._at += 1
        return found == closing

    def _note(self, key: str, value: object) -> None:
        if key == "bty_export_version":
            bundle.check_version(value)
        elif key == "exported_at" and isinstance(value, str):
            self.exported_at = value[:64]
        elif key == "exported_by_bty_version" and isinstance(value, str):
            self.exported_by = value[:64]

    # -- the window ----------------------------------------------------------------------------

    def _next(self) -> str:
        """The next character that is not a blank, "" at the end; reading stays before it."""
        while True:
            found = _BLANK_RUN.match(self._window, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._window):
                return self._window[self._at]
            if not self._fill(1):
                return ""

    def _expect(self, mark: str, otherwise: str) -> None:
        if self._next() != mark:
            raise self._malformed(otherwise)
        self._at += 1

    def _fill(self, size: int) -> bool:
        """Drop what is read, and append at least `size` characters; False when there are none."""
        parts = [self._window[self._at :]]
        self._at = 0
        added = 0
        while added < size and not self._ended:
            piece = next(self._source, None)
            self._ended = piece is None
            parts.append(piece or "")
            added += len(parts[-1])
        self._window = "".join(parts)
        self._checked = False
        return added > 0

    def _value(self, what: str) -> Any:
        """The JSON value that begins here, after blanks."""
        self._next()
        while True:
            self._check_size(what)
            value, end = self._attempt(what)
            # A value that ends with the window may go on in the file.
            if end is not None and (end < len(self._window) or self._ended):
                break
            self._fill(max(1, len(self._window) - self._at))
        if json_bounds.exceeds_depth(value):
            raise InvalidInputError(f"{what} is {json_bounds.too_deep().message}")
        self._at = end
        return value

    def _attempt(self, what: str) -> tuple[Any, int | None]:
        """The value and its end in the window; no end when the window cuts it short."""
        try:
            return self._decoder.raw_decode(self._window, self._at)
        except json.JSONDecodeError as error:
            cut = error.msg.startswith("Unterminated") or error.pos >= len(self._window) - _CUT
            if cut and not self._ended:
                return None, None
            raise self._malformed(f"{what}: {error.msg}") from error
        except RecursionError as error:
            raise InvalidInputError(f"{what} is {json_bounds.too_deep().message}") from error
        except ValueError as error:
            raise InvalidInputError(f"{what} holds a number that is too long") from error

    def _check_size(self, what: str) -> None:
        size = len(self._window) - self._at
        if size <= _UNCHECKED or self._checked:
            return
        self._checked = True
        if json_bounds.nodes(self._window, self._at) > json_bounds.MAX_NODES:
            raise InvalidInputError(f"{what} holds more than {json_bounds.MAX_NODES:,} values")
        if size > bundle.MAX_MACHINE_TEXT + _UNCHECKED:
            limit = bundle.MAX_MACHINE_TEXT // 1024**2
            raise InvalidInputError(f"{what} is larger than {limit} MiB")

    def _malformed(self, what: str) -> InvalidInputError:
        if self._ended and self._at + _CUT >= len(self._window):
            return InvalidInputError(f"the bundle is cut short: {what}")
        return InvalidInputError(f"the bundle is not JSON of the right form: {what}")
