"""What an answer that is no success means for who wants to store a file."""

from __future__ import annotations

from bty_app.errors import BtyError, NotAllowedError, NotFoundError, StorageError, UnavailableError

_FULL = frozenset({"QuotaExceeded", "XMinioStorageFull", "ServiceQuotaExceededException"})
_SECRET = frozenset({"SignatureDoesNotMatch", "InvalidAccessKeyId", "InvalidSecurity"})


def refusal(shown: str, status: int, *, code: str = "", their_time: str = "") -> BtyError:
    """The error for `status`; `code` is that of S3, `their_time` the Date that came with it."""
    said = f"{status} {code}" if code else str(status)
    if code == "RequestTimeTooSkewed":
        theirs = f" (it says {their_time})" if their_time else ""
        return UnavailableError(
            f"{shown} refuses the time of this host{theirs}: set the clock right, by NTP"
        )
    if status == 507 or code in _FULL:
        return StorageError(f"{shown} has no room for more ({said}): make room there")
    if code in _SECRET:
        why = "the access key or its secret is wrong"
        return NotAllowedError(f"{shown} refuses the credentials ({said}): {why}")
    if status == 401:
        return NotAllowedError(f"{shown} refuses the user or the password ({said})")
    if status == 403:
        return NotAllowedError(f"{shown} does not allow it ({said}): look at the rights there")
    if code == "NoSuchBucket":
        return NotFoundError(f"{shown}: there is no such bucket; make it first")
    if status in {404, 410}:
        return NotFoundError(f"{shown}: is not there ({said})")
    if status in {301, 307} or code in {"PermanentRedirect", "AuthorizationHeaderMalformed"}:
        return UnavailableError(f"{shown} wants another region or endpoint ({said})")
    return UnavailableError(f"{shown} answers {said}")
