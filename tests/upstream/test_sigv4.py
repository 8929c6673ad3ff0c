"""The examples that Amazon published for the S3 API ("Transferring Payload in a Single Chunk") and
for deriving the key (AWS General Reference, Signature Version 4).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from bty_app.upstream.sigv4 import (
    Credentials,
    Scope,
    Unsigned,
    authorization,
    query_text,
    quoted,
    signing_key,
)

WHO = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
WHEN = Scope(datetime(2013, 5, 24, tzinfo=UTC), "us-east-1")
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
WELCOME = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"
HOST = "examplebucket.s3.amazonaws.com"


def request(
    method: str, path: str, query: dict[str, str], more: dict[str, str], sha: str = EMPTY
) -> Unsigned:
    headers = {"Host": HOST, "x-amz-content-sha256": sha, "X-Amz-Date": WHEN.stamp, **more}
    return Unsigned(method, path, query, headers, sha)


@pytest.mark.parametrize(
    ("unsigned", "signature"),
    [
        (
            request("GET", "/test.txt", {}, {"Range": "bytes=0-9"}),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            request(
                "PUT",
                f"/{quoted('test$file.text')}",
                {},
                {
                    "Date": "Fri, 24 May 2013 00:00:00 GMT",
                    "x-amz-storage-class": "REDUCED_REDUNDANCY",
                },
                WELCOME,
            ),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            request("GET", "/", {"lifecycle": ""}, {}),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            request("GET", "/", {"prefix": "J", "max-keys": "2"}, {}),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)
def test_a_request_has_the_published_signature(unsigned: Unsigned, signature: str) -> None:
    told = authorization(unsigned, WHO, WHEN)

    assert told.endswith(f",Signature={signature}")
    assert "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request," in told
    assert WHO.secret_key not in told


def test_the_key_of_a_day_is_the_published_one() -> None:
    who = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    when = Scope(datetime(2015, 8, 30, 12, 36, tzinfo=UTC), "us-east-1", "iam")

    expected = "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"
    assert signing_key(who, when).hex() == expected


def test_the_scope_is_in_utc() -> None:
    there = datetime(2013, 5, 24, 1, tzinfo=timezone(timedelta(hours=2)))

    assert Scope(there, "x").text == "20130523/x/s3/aws4_request"


def test_a_query_is_quoted_and_in_order() -> None:
    query = {"uploads": "", "continuation-token": "a+b/c= d~", "Prefix": "ä"}

    assert query_text(query) == "Prefix=%C3%A4&continuation-token=a%2Bb%2Fc%3D%20d~&uploads="


def test_no_secret_is_in_what_is_shown() -> None:
    assert WHO.secret_key not in repr(WHO)
