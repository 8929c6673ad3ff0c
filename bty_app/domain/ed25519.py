"""Ed25519 signatures, verified (RFC 8032): nothing here holds a secret, so it may take its time.

Cofactorless: [S]B = R + [k]A, as the second sentence of RFC 8032 5.1.7 step 3 allows. That is what
libsodium and OpenSSL compute, so that no signature is good here and bad with the programs that
people check it with. As in libsodium, a key or an R of small order is refused too.
"""

from __future__ import annotations

from hashlib import sha512

KEY_BYTES = 32
SIGNATURE_BYTES = 64

# RFC 8032 5.1, table 1: the field's prime, the order of the base point, and the curve's d.
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, P) % P

# A point (x, y) as (X, Y, Z, T): x = X/Z, y = Y/Z, xy = T/Z. No step needs a division (5.1.4).
_Point = tuple[int, int, int, int]

_NEUTRAL: _Point = (0, 1, 1, 0)
_BASE_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202
_BASE_Y = 46316835694926478169428394003475163141307993866256225615783033603165251855960
_BASE: _Point = (_BASE_X, _BASE_Y, 1, _BASE_X * _BASE_Y % P)


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the owner of the key signed the message; about 2 ms. False for anything malformed."""
    point = _key_point(public_key)
    if point is None or len(signature) != SIGNATURE_BYTES:
        return False
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    if s >= L:
        return False  # S + L would be a second signature of the same message (8.4)
    k = int.from_bytes(sha512(r + public_key + message).digest(), "little") % L
    expected = _combined(s, k, _negative(point))
    # R is compared as bytes: an encoding that is not canonical is none that we would write.
    return _encoded(expected) == r and not _has_small_order(expected)


def is_public_key(public_key: bytes) -> bool:
    """Whether `verify` can be true for it: the canonical bytes of a point of large order."""
    return _key_point(public_key) is not None


def _key_point(public_key: bytes) -> _Point | None:
    point = _decoded(public_key)
    # With a key of small order, one signature fits many messages.
    return None if point is None or _has_small_order(point) else point


def _decoded(data: bytes) -> _Point | None:
    """The point of 32 bytes (5.1.3); None where they are not its one encoding."""
    if len(data) != KEY_BYTES:
        return None
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    # The divisor is never 0: -1/d has no square root.
    x = _root((y * y - 1) * pow(_D * y * y + 1, -1, P) % P) if y < P else None
    if x is None or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


def _root(square: int) -> int | None:
    """A square root modulo P; None where there is none (5.1.3, for P = 5 modulo 8)."""
    root = pow(square, (P + 3) // 8, P)
    if root * root % P != square:
        root = root * pow(2, (P - 1) // 4, P) % P  # times the square root of -1
    return root if root * root % P == square else None


def _encoded(point: _Point) -> bytes:
    x, y, z, _ = point
    inverse = pow(z, -1, P)
    return (y * inverse % P | (x * inverse % P & 1) << 255).to_bytes(KEY_BYTES, "little")


def _combined(s: int, k: int, point: _Point) -> _Point:
    """[s]B + [k]point: both from the highest bit down, so that they share the doublings."""
    terms = (_NEUTRAL, _BASE, point, _sum(_BASE, point))
    total = _NEUTRAL
    for bit in range(max(s.bit_length(), k.bit_length()) - 1, -1, -1):
        total = _double(total)
        term = (s >> bit & 1) | (k >> bit & 1) << 1
        if term:
            total = _sum(total, terms[term])
    return total


def _sum(one: _Point, other: _Point) -> _Point:
    """5.1.4; complete: also for equal points and the neutral one."""
    (x1, y1, z1, t1), (x2, y2, z2, t2) = one, other
    a, b = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    c, d = 2 * _D * t1 * t2 % P, 2 * z1 * z2
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def _double(point: _Point) -> _Point:
    """5.1.4."""
    x, y, z, _ = point
    a, b, c = x * x % P, y * y % P, 2 * z * z
    h = a + b
    e, g = h - (x + y) * (x + y), a - b
    f = c + g
    return e * f % P, g * h % P, f * g % P, e * h % P


def _negative(point: _Point) -> _Point:
    x, y, z, t = point
    return -x % P, y, z, -t % P


def _has_small_order(point: _Point) -> bool:
    """Whether the order divides the cofactor, 8."""
    x, y, z, _ = _double(_double(_double(point)))
    return x == 0 and y == z
