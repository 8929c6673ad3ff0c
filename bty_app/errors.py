"""Every failure we can name: a code and a sentence. The edges translate codes, nobody else."""

from __future__ import annotations

from collections.abc import Iterator


class BtyError(Exception):
    """A failure with a sentence that a person can act on."""

    code = "failed"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def of_code(code: str, message: str) -> BtyError | None:
    """The failure that another copy of this program named by its code; None for one unknown."""
    kind = next((found for found in _kinds(BtyError) if found.code == code), None)
    if kind is None:
        return None
    return ThrottledError(message, retry_after=0) if kind is ThrottledError else kind(message)


def _kinds(kind: type[BtyError]) -> Iterator[type[BtyError]]:
    yield kind
    for below in kind.__subclasses__():
        if below.__module__ == __name__:
            yield from _kinds(below)


class InvalidInputError(BtyError):
    """What was given can never succeed as it is written."""

    code = "invalid"


class ValidationError(InvalidInputError):
    """A field of a well-formed request is wrong (HTTP 422 where the wire contract says so)."""

    code = "validation"


class NotAuthenticatedError(BtyError):
    """No valid session or credential."""

    code = "unauthorized"


class NotAllowedError(BtyError):
    """A valid credential that may not do this; `needed` is the scope that may."""

    code = "forbidden"

    def __init__(self, message: str, *, needed: str = "") -> None:
        super().__init__(message)
        self.needed = needed


class NotFoundError(BtyError):
    """The thing named is not here."""

    code = "not_found"


class ConflictError(BtyError):
    """Busy, locked, in use, or changed meanwhile: may succeed later."""

    code = "conflict"


class PreconditionError(ConflictError):
    """It is not any more what the asker said that it must be."""

    code = "precondition"


class MovedError(ConflictError):
    """Nothing can be changed here: the appliance is being moved, or has moved, to another host."""

    code = "moved"


class CancelledError(BtyError):
    """The work was ended before it was done, because somebody asked for that."""

    code = "cancelled"


class TooLargeError(BtyError):
    """The input is over a bound that stands in the documentation."""

    code = "too_large"


class ThrottledError(BtyError):
    """Too many attempts; `retry_after` says in how many seconds to come back."""

    code = "throttled"

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class UnavailableError(BtyError):
    """Something we depend on over the network does not answer."""

    code = "unavailable"


class StorageError(UnavailableError):
    """The disk is full, read-only or broken."""

    code = "storage"


class ConfigError(BtyError):
    """The configuration cannot work; a supervisor must not try again."""

    code = "config"


class FlashError(BtyError):
    """A flash did not come to its end; the classes below say why, where that is known."""

    code = "flash"


class FlashRefusedError(FlashError):
    """The disk or the image must not be used. Nothing was written."""

    code = "refused"


class FlashRaceError(FlashRefusedError):
    """The disk changed between the plan and the first write. Nothing was written."""

    code = "race"


class FlashIntegrityError(FlashError):
    """The bytes are not those that were promised; the disk does not boot."""

    code = "integrity"


class FlashWriteError(FlashError):
    """The disk failed, or is full."""

    code = "write"
