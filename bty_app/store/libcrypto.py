"""AES-256-GCM by OpenSSL's libcrypto, called in place (EVP_EncryptInit(3), "GCM Mode")."""

from __future__ import annotations

import ctypes
from functools import cache

from bty_app.errors import ConfigError

NONCE_BYTES = 12
TAG_BYTES = 16
KEY_BYTES = 32
_NAMES = ("libcrypto.so.3", "libcrypto.so.4")
_GET_TAG, _SET_TAG = 0x10, 0x11  # EVP_CTRL_AEAD_GET_TAG, EVP_CTRL_AEAD_SET_TAG
_POINTER, _INT, _BYTES = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
_COUNT = ctypes.POINTER(ctypes.c_int)
_FUNCTIONS: dict[str, tuple[object, tuple[object, ...]]] = {
    "EVP_CIPHER_CTX_new": (_POINTER, ()),
    "EVP_CIPHER_CTX_free": (None, (_POINTER,)),
    "EVP_aes_256_gcm": (_POINTER, ()),
    "EVP_CipherInit_ex": (_INT, (_POINTER, _POINTER, _POINTER, _BYTES, _BYTES, _INT)),
    "EVP_CipherUpdate": (_INT, (_POINTER, _POINTER, _COUNT, _BYTES, _INT)),
    "EVP_CipherFinal_ex": (_INT, (_POINTER, _POINTER, _COUNT)),
    "EVP_CIPHER_CTX_ctrl": (_INT, (_POINTER, _INT, _INT, _POINTER)),
}
# Test case 16 of "The Galois/Counter Mode of Operation" (McGrew, Viega).
_KEY = bytes.fromhex("feffe9928665731c6d6a8f9467308308" * 2)
_NONCE = bytes.fromhex("cafebabefacedbaddecaf888")
_AAD = bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
_PLAIN = bytes.fromhex(
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
)
_SEALED = bytes.fromhex(
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
    "76fc6ece0f4e1768cddf8853bb2d551b"
)


class ForgedError(Exception):
    """The tag does not fit: another key, or other bytes than were encrypted."""


class Gcm:
    """One key. Used by one thread at a time."""

    def __init__(self, key: bytes) -> None:
        """`key` has 32 bytes.

        Raises:
            ConfigError: there is no libcrypto here that does it.
        """
        if len(key) != KEY_BYTES:
            raise ValueError("a key of AES-256 has 32 bytes")
        self._library = _library()
        self._context = self._library.EVP_CIPHER_CTX_new()
        if not self._context:
            raise MemoryError
        self._key = key

    def seal(self, nonce: bytes, data: bytes, about: bytes) -> bytes:
        """`data` encrypted, with its tag behind; `about` is vouched for as well. A nonce is used
        once with a key.
        """
        self._begin(nonce, about, encrypting=True)
        sealed = self._crypted(data)
        tag = ctypes.create_string_buffer(TAG_BYTES)
        self._must(self._finished())
        self._must(self._library.EVP_CIPHER_CTX_ctrl(self._context, _GET_TAG, TAG_BYTES, tag))
        return sealed + tag.raw

    def open(self, nonce: bytes, sealed: bytes, about: bytes) -> bytes:
        """What was sealed.

        Raises:
            ForgedError: the tag does not fit; nothing of the data may be used.
        """
        if len(sealed) < TAG_BYTES:
            raise ForgedError
        self._begin(nonce, about, encrypting=False)
        data = self._crypted(sealed[:-TAG_BYTES])
        tag = ctypes.create_string_buffer(sealed[-TAG_BYTES:], TAG_BYTES)
        self._must(self._library.EVP_CIPHER_CTX_ctrl(self._context, _SET_TAG, TAG_BYTES, tag))
        if self._finished() != 1:
            raise ForgedError
        return data

    def _begin(self, nonce: bytes, about: bytes, *, encrypting: bool) -> None:
        if len(nonce) != NONCE_BYTES:
            raise ValueError("a nonce has 12 bytes")
        cipher = self._library.EVP_aes_256_gcm()
        begin = self._library.EVP_CipherInit_ex
        self._must(begin(self._context, cipher, None, self._key, nonce, int(encrypting)))
        if about:
            count = ctypes.c_int(0)
            update = self._library.EVP_CipherUpdate
            self._must(update(self._context, None, ctypes.byref(count), about, len(about)))

    def _crypted(self, data: bytes) -> bytes:
        if not data:
            return b""
        out = ctypes.create_string_buffer(len(data))
        count = ctypes.c_int(0)
        update = self._library.EVP_CipherUpdate
        self._must(update(self._context, out, ctypes.byref(count), data, len(data)))
        if count.value != len(data):
            raise ConfigError("libcrypto encrypts in a way that is not known here")
        return out.raw

    def _finished(self) -> int:
        rest = ctypes.create_string_buffer(TAG_BYTES)
        count = ctypes.c_int(0)
        return int(self._library.EVP_CipherFinal_ex(self._context, rest, ctypes.byref(count)))

    def _must(self, status: int) -> None:
        if status != 1:
            raise ConfigError("libcrypto refuses AES-256-GCM: its own settings forbid it")

    def __del__(self) -> None:
        if getattr(self, "_context", None):
            self._library.EVP_CIPHER_CTX_free(self._context)


@cache
def _library() -> ctypes.CDLL:
    for name in _NAMES:
        try:
            library = ctypes.CDLL(name)
            for function, (result, arguments) in _FUNCTIONS.items():
                found = getattr(library, function)
                found.restype, found.argtypes = result, arguments
        except (OSError, AttributeError):
            continue
        return library
    raise ConfigError(
        "there is no libcrypto 3 on this host, so nothing can be encrypted: install OpenSSL"
        " (Debian: libssl3), or leave offsite.key_file empty"
    )


@cache
def check() -> None:
    """See that the library does AES-256-GCM as it is defined.

    Raises:
        ConfigError: there is none, or it does something else.
    """
    gcm = Gcm(_KEY)
    sealed = gcm.seal(_NONCE, _PLAIN, _AAD)
    if sealed != _SEALED or gcm.open(_NONCE, _SEALED, _AAD) != _PLAIN:
        raise ConfigError("libcrypto of this host does not encrypt as AES-256-GCM is defined")
