"""What the reader of `make run` sees."""

from __future__ import annotations

from devkit.narration import conditions, realigned, short, table

DIGEST = "sha256:" + "0123456789abcdef" * 4
CUT = "sha256:01234567…"


def test_digests_are_cut_and_nothing_else_is() -> None:
    assert short(f"stored '1.0.0@{DIGEST}' from sha256:0123") == f"stored '1.0.0@{CUT}' from sha256:0123"


def test_a_table_of_the_api_server_looks_as_kubectl_prints_it() -> None:
    """meta.k8s.io/v1 Table: columns of a priority other than 0 are for `-o wide`."""
    answer = {
        "columnDefinitions": [
            {"name": "Name", "priority": 0},
            {"name": "Ready"},
            {"name": "Detail", "priority": 1},
            {"name": "Age", "priority": 0},
        ],
        "rows": [{"cells": ["app", "True", "hidden", "3s"]}, {"cells": ["a-longer-one", None, "hidden", "12d"]}],
    }
    assert table(answer).splitlines() == [
        "NAME           READY    AGE",
        "app            True     3s",
        "a-longer-one   <none>   12d",
    ]


def test_columns_are_aligned_again_once_a_digest_is_cut() -> None:
    status = f"stored artifact for digest '{DIGEST}'"
    printed = f"NAME   STATUS{' ' * (len(status) - 6)}   AGE\napp    {status}   3s\n"
    assert realigned(short(printed)).splitlines() == [
        f"NAME   STATUS{' ' * (len(short(status)) - 6)}   AGE",
        f"app    {short(status)}   3s",
    ]


def test_a_table_that_is_not_understood_stays_as_it_was_printed() -> None:
    printed = "NAME   STATUS\napp    a   b\n"
    assert realigned(printed) == printed


def test_conditions_are_a_line_each_with_the_message_below() -> None:
    status = {
        "conditions": [
            {"type": "Ready", "status": "False", "reason": "VerificationError", "message": "no " * 50},
            {"type": "ArtifactInStorage", "status": "True", "reason": "Succeeded", "message": f"stored {DIGEST}"},
        ]
    }
    lines = conditions(status).splitlines()
    assert lines[0] == "Ready               False   VerificationError"
    assert lines[-2:] == ["ArtifactInStorage   True    Succeeded", f"    stored {CUT}"]
    assert " ".join(lines[1:-2]).split() == ["no"] * 50
    assert max(map(len, lines)) <= 110


def test_no_conditions_are_told_too() -> None:
    assert conditions({}) == "(no conditions)"
