"""Ed25519: what verifies, and everything beside it that does not."""

from __future__ import annotations

import time
from hashlib import sha512

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain.ed25519 import L, P, is_public_key, verify

# RFC 8032 7.1: public key, message, signature; the long message is that of "TEST 1024".
LONG_MESSAGE = """
08b8b2b733424243760fe426a4b54908632110a66c2f6591eabd3345e3e4eb98fa6e264bf09efe12ee50f8f54e9f77b1
e355f6c50544e23fb1433ddf73be84d879de7c0046dc4996d9e773f4bc9efe5738829adb26c81b37c93a1b270b20329d
658675fc6ea534e0810a4432826bf58c941efb65d57a338bbd2e26640f89ffbc1a858efcb8550ee3a5e1998bd177e93a
7363c344fe6b199ee5d02e82d522c4feba15452f80288a821a579116ec6dad2b3b310da903401aa62100ab5d1a36553e
06203b33890cc9b832f79ef80560ccb9a39ce767967ed628c6ad573cb116dbefefd75499da96bd68a8a97b928a8bbc10
3b6621fcde2beca1231d206be6cd9ec7aff6f6c94fcd7204ed3455c68c83f4a41da4af2b74ef5c53f1d8ac70bdcb7ed1
85ce81bd84359d44254d95629e9855a94a7c1958d1f8ada5d0532ed8a5aa3fb2d17ba70eb6248e594e1a2297acbbb39d
502f1a8c6eb6f1ce22b3de1a1f40cc24554119a831a9aad6079cad88425de6bde1a9187ebb6092cf67bf2b13fd65f270
88d78b7e883c8759d2c4f5c65adb7553878ad575f9fad878e80a0c9ba63bcbcc2732e69485bbc9c90bfbd62481d9089b
eccf80cfe2df16a2cf65bd92dd597b0707e0917af48bbb75fed413d238f5555a7a569d80c3414a8d0859dc65a46128ba
b27af87a71314f318c782b23ebfe808b82b0ce26401d2e22f04d83d1255dc51addd3b75a2b1ae0784504df543af8969b
e3ea7082ff7fc9888c144da2af58429ec96031dbcad3dad9af0dcbaaaf268cb8fcffead94f3c7ca495e056a9b47acdb7
51fb73e666c6c655ade8297297d07ad1ba5e43f1bca32301651339e22904cc8c42f58c30c04aafdb038dda0847dd988d
cda6f3bfd15c4b4c4525004aa06eeff8ca61783aacec57fb3d1f92b0fe2fd1a85f6724517b65e614ad6808d6f6ee34df
f7310fdc82aebfd904b01e1dc54b2927094b2db68d6f903b68401adebf5a7e08d78ff4ef5d63653a65040cf9bfd4aca7
984a74d37145986780fc0b16ac451649de6188a7dbdf191f64b5fc5e2ab47b57f7f7276cd419c17a3ca8e1b939ae49e4
88acba6b965610b5480109c8b17b80e1b7b750dfc7598d5d5011fd2dcc5600a32ef5b52a1ecc820e308aa342721aac09
43bf6686b64b2579376504ccc493d97e6aed3fb0f9cd71a43dd497f01f17c0e2cb3797aa2a2f256656168e6c496afc5f
b93246f6b1116398a346f1a641f3b041e989f7914f90cc2c7fff357876e506b50d334ba77c225bc307ba537152f3f161
0e4eafe595f6d9d90d11faa933a15ef1369546868a7f3a45a96768d40fd9d03412c091c6315cf4fde7cb68606937380d
b2eaaa707b4c4185c32eddcdd306705e4dc1ffc872eeee475a64dfac86aba41c0618983f8741c5ef68d3a101e8a3b8ca
c60c905c15fc910840b94c00a0b9d0
"""
VECTORS = {
    "TEST 1": (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    "TEST 2": (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    "TEST 3": (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
    "TEST 1024": (
        "278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e",
        LONG_MESSAGE,
        "0aab4c900501b3e24d7cdf4663326a3a87df5e4843b2cbdb67cbf6e460fec350"
        "aa5371b1508f9f4528ecea23c436d94b5e8fcd4f681e30a6ac00a9704a188a03",
    ),
    "TEST SHA(abc)": (
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
        "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
        "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ),
}
KEY, MESSAGE, SIGNATURE = (bytes.fromhex(text) for text in VECTORS["TEST 3"])
# The secret half of TEST 2, to sign what no honest signer would.
SEED = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
SEED_KEY = bytes.fromhex(VECTORS["TEST 2"][0])

BASE_POINT = (4 * pow(5, -1, P) % P).to_bytes(32, "little")
NEUTRAL_POINT = (1).to_bytes(32, "little")
# y of the points whose order divides 8; each with both signs of x.
SMALL_ORDER_Y = (
    0,
    1,
    P - 1,
    int.from_bytes(
        bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
    ),
    int.from_bytes(
        bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little"
    ),
)


def both_signs(y: int) -> tuple[bytes, bytes]:
    return y.to_bytes(32, "little"), (y | 1 << 255).to_bytes(32, "little")


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def with_s(signature: bytes, s: int) -> bytes:
    return signature[:32] + s.to_bytes(32, "little")


@pytest.mark.parametrize("name", VECTORS)
def test_every_vector_of_the_rfc_verifies(name: str) -> None:
    key, message, signature = (bytes.fromhex(text) for text in VECTORS[name])

    assert is_public_key(key)
    assert verify(key, message, signature)


def test_no_flipped_bit_of_key_message_or_signature_verifies() -> None:
    good = (KEY, MESSAGE, SIGNATURE)

    for part, data in enumerate(good):
        for bit in range(len(data) * 8):
            changed = (*good[:part], flipped(data, bit), *good[part + 1 :])
            assert not verify(*changed), (part, bit)


@given(st.binary(max_size=64), st.integers(min_value=0))
def test_a_signature_is_of_one_message(message: bytes, bit: int) -> None:
    assert verify(KEY, message, SIGNATURE) == (message == MESSAGE)
    if message:
        assert not verify(KEY, flipped(MESSAGE + message, bit % 16), SIGNATURE)


@pytest.mark.parametrize("times", range(1, 16))
def test_a_signature_has_one_s(times: int) -> None:
    s = int.from_bytes(SIGNATURE[32:], "little")

    assert not verify(KEY, MESSAGE, with_s(SIGNATURE, s + times * L))


def test_s_at_its_bound_is_refused() -> None:
    """S = L would stand for S = 0, which the sum below it would allow."""
    assert not verify(KEY, MESSAGE, with_s(SIGNATURE, L))
    assert not verify(KEY, MESSAGE, with_s(SIGNATURE, 2**256 - 1))


@pytest.mark.parametrize("y", SMALL_ORDER_Y)
def test_a_key_of_small_order_is_none(y: int) -> None:
    for key in both_signs(y):
        assert not is_public_key(key)


@given(st.binary(max_size=8))
def test_a_key_of_small_order_does_not_sign_everything(message: bytes) -> None:
    """With the neutral point as the key, [1]B = R + [k]A holds for R = B and any k."""
    assert not verify(NEUTRAL_POINT, message, with_s(BASE_POINT, 1))


@pytest.mark.parametrize("y", range(P, 2**255))
def test_a_y_beyond_the_prime_is_no_key(y: int) -> None:
    for key in both_signs(y):
        assert not is_public_key(key)


@pytest.mark.parametrize("y", [1, P - 1])
def test_zero_has_no_sign(y: int) -> None:
    assert not is_public_key(both_signs(y)[1])


def test_half_of_all_y_are_on_the_curve() -> None:
    on_curve = [y for y in range(2, 402) if is_public_key(y.to_bytes(32, "little"))]

    assert 150 < len(on_curve) < 250


def test_an_r_of_small_order_is_refused_even_from_the_owner_of_the_key() -> None:
    """The equation holds: with R neutral, S = k a. libsodium refuses it, so that we do."""
    secret = int.from_bytes(sha512(SEED).digest()[:32], "little") & ((1 << 254) - 8) | 1 << 254
    k = int.from_bytes(sha512(NEUTRAL_POINT + SEED_KEY + b"m").digest(), "little") % L

    assert not verify(SEED_KEY, b"m", with_s(NEUTRAL_POINT, k * secret % L))


@given(st.binary(max_size=65), st.binary(max_size=8), st.binary(max_size=96))
def test_anything_else_is_false_and_not_an_error(
    key: bytes, message: bytes, signature: bytes
) -> None:
    assert not verify(key, message, signature)
    assert not verify(key, MESSAGE, SIGNATURE)
    assert not verify(KEY, message, signature)


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64))
def test_random_keys_and_signatures_of_the_right_sizes_do_not_verify(
    key: bytes, signature: bytes
) -> None:
    assert not verify(key, MESSAGE, signature)
    assert not verify(KEY, MESSAGE, signature)


def test_the_wrong_length_is_no_signature_or_key() -> None:
    assert not verify(KEY, MESSAGE, SIGNATURE + b"\0")
    assert not verify(KEY, MESSAGE, SIGNATURE[:-1])
    assert not verify(KEY + b"\0", MESSAGE, SIGNATURE)
    assert not verify(KEY[:-1], MESSAGE, SIGNATURE)


def test_a_verification_is_a_matter_of_milliseconds() -> None:
    began = time.process_time()

    for _ in range(20):
        assert verify(KEY, MESSAGE, SIGNATURE)

    assert time.process_time() - began < 20 * 0.05  # about 2 ms each; wide, for slow machines
