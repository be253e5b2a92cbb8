"""The texts of refusals (flux-compat C10, C11, C13). Every expected text is what go-containerregistry makes of the same
answer: clients of this API know and compare these."""

from __future__ import annotations

import json

import pytest

from ocisource.registry.diagnostics import told


def of(*errors: object) -> bytes:
    return json.dumps({"errors": errors}).encode()


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (of({"code": "A", "message": "m"}), "A: m"),
        (of({"code": "A", "message": "m"}, {"code": "B"}), "multiple errors returned: A: m; B: "),
        (of({"code": "A", "message": "m", "detail": "text"}), "A: m; text"),
        (of({"code": "A", "message": "m", "detail": ""}), "A: m; "),
        (of({"code": "A", "message": "m", "detail": None}), "A: m"),
        (
            of({"code": "A", "message": "m", "detail": {"b": [1, None, True], "a": {}}}),
            "A: m; map[a:map[] b:[1 <nil> true]]",
        ),
        (b' \n{"ERRORS":[{"Code":"A","Message":"m","DETAIL":0}]}\n', "A: m; 0"),
        (of({"code": 5, "message": ["m"]}), ": "),
        (of({"code": "A"}, None, "text", []), "multiple errors returned: A: ; : ; : ; : "),
        (rb'{"errors":[{"code":"A","message":"\ud800x"}]}', "A: \N{REPLACEMENT CHARACTER}x"),
        (b'{"errors":[{"code":"A","message":"\xe2\x82x"}]}', "A: \N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}x"),
    ],
)
def test_the_registrys_own_errors_are_told_as_clients_know_them(body: bytes, text: str) -> None:
    assert told("GET", 404, body) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("0", "0"),
        ("-0", "-0"),
        ("100000", "100000"),
        ("999999.5", "999999.5"),
        ("1000000", "1e+06"),
        ("123456789", "1.23456789e+08"),
        ("12345678901234567890", "1.2345678901234567e+19"),
        ("0.0001", "0.0001"),
        ("0.00001", "1e-05"),
        ("5e-324", "5e-324"),
        ("1e999", "<nil>"),
    ],
)
def test_numbers_in_details_are_printed_as_in_go(number: str, text: str) -> None:
    assert told("GET", 404, b'{"errors":[{"code":"A","detail":[%s]}]}' % number.encode()) == f"A: ; [{text}]"


@pytest.mark.parametrize(
    "body",
    [
        b'{"errors":[]}',
        b'{"errors":{"code":"A"}}',
        b'[{"code":"A"}]',
        b'{"errors":[{"code":"A"}]} and more',
        b'{"errors":[{"code":"A","detail":NaN}]}',
        b'\xef\xbb\xbf{"errors":[{"code":"A"}]}',
        b"[" * 100_000,
        b"404 page not found\n",
        b"x" * 60_000,
    ],
    ids=lambda body: body[:20].decode("latin-1"),
)
def test_a_body_of_another_form_is_shown_whole(body: bytes) -> None:
    assert told("GET", 404, body) == f"unexpected status code 404 Not Found: {body.decode()}"


def test_each_byte_that_is_no_utf8_is_one_replacement_character() -> None:
    shown = told("GET", 404, b"caf\xe9 \xe2\x82 \xed\xa0\x80")
    assert shown == "unexpected status code 404 Not Found: caf? ?? ???".replace("?", "\N{REPLACEMENT CHARACTER}")


def test_without_a_body_the_status_is_all_there_is_to_tell() -> None:
    assert told("GET", 503, b"") == "unexpected status code 503 Service Unavailable"
    hint = " (HEAD responses have no body, use GET for details)"
    assert told("HEAD", 404, b"") == f"unexpected status code 404 Not Found{hint}"


@pytest.mark.parametrize(
    ("status", "phrase"),
    [
        (299, ""),
        (413, "Request Entity Too Large"),
        (414, "Request URI Too Long"),
        (416, "Requested Range Not Satisfiable"),
        (418, "I'm a teapot"),
        (422, "Unprocessable Entity"),
        (429, "Too Many Requests"),
        (600, ""),
    ],
)
def test_a_status_is_named_as_in_go(status: int, phrase: str) -> None:
    assert told("GET", status, b"") == f"unexpected status code {status} {phrase}"


def test_a_detail_of_any_depth_is_told() -> None:
    """How much of it is read as errors is the interpreter's affair; nothing of it ends a pass."""
    for depth in (100, 450, 900, 30_000):
        text = told("GET", 404, b'{"errors":[{"code":"A","detail":' + b"[" * depth + b"]" * depth + b"}]}")
        assert text.startswith(("A: ; [[", "unexpected status code 404 Not Found: {"))
