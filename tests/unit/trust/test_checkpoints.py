"""Signed notes and checkpoints (c2sp.org/signed-note, c2sp.org/tlog-checkpoint)."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path

import pytest

from devkit.offline import NOW, OfflineSigstore, RekorLog, Window
from ocisource.trust.checkpoints import Checkpoint, check_checkpoint
from ocisource.trust.roots import read_trusted_root
from ocisource.trust.wire import RefusedError

LOGS = Path(__file__).parent / "recorded" / "logs"
HASH = bytes(range(32))
TEXT = f"rekor-v2.offline.example\n7\n{base64.b64encode(HASH).decode()}\n"
SIGSTORE = OfflineSigstore.create()
MALFORMED = "log entry's checkpoint is malformed"
UNSIGNED = "log entry's checkpoint is not signed by its log"


def key(log: RekorLog):
    return read_trusted_root(SIGSTORE.trusted_root(logs=[log])).logs[0]


def signed(text: str, log: RekorLog = SIGSTORE.rekor_v2) -> str:
    return f"{text}\n{log.note_signature(text)}"


def refusal(note: object, log: RekorLog = SIGSTORE.rekor_v2) -> str:
    with pytest.raises(RefusedError) as refused:
        check_checkpoint(note, key(log))
    return str(refused.value)


def test_a_checkpoint_of_a_public_log_with_two_witnesses_is_read():
    """A checkpoint of Sigstore's staging log, which witnesses signed as well (recorded/README.md)."""
    logs = read_trusted_root((LOGS / "staging.trusted_root.json").read_bytes()).logs
    note = (LOGS / "cosigned.checkpoint.txt").read_bytes().decode("utf-8")
    found = check_checkpoint(note, logs[1])
    root = base64.b64decode("rs1YPY0ydAV0lxgfrq5pE4oRpUJwo3syeps5+eGUTDI=")
    assert found == Checkpoint("log2025-alpha1.rekor.sigstage.dev", 736, root)
    with pytest.raises(RefusedError, match="not signed by its log"):
        check_checkpoint(note, logs[2])


@pytest.mark.parametrize("kind", ["p256", "p384", "rsa2048", "ed25519"])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_what_a_log_signed_is_read_whatever_its_kind_of_key(version, kind):
    log = RekorLog.create(version, Window.around(NOW), kind)
    assert check_checkpoint(log.checkpoint(7, HASH), key(log)) == Checkpoint(log.origin, 7, HASH)


def test_a_checkpoint_of_another_log_is_refused():
    other = RekorLog.create("v2", Window.around(NOW), host=SIGSTORE.rekor_v2.host)
    assert refusal(signed(TEXT, other)) == UNSIGNED


def test_a_signature_over_another_text_is_refused():
    assert refusal(signed(TEXT).replace("\n7\n", "\n8\n")) == UNSIGNED


def test_a_signature_without_the_hint_of_the_key_is_refused():
    hintless = base64.b64encode(b"\x00" * 4 + SIGSTORE.rekor_v2.key.sign(TEXT.encode())).decode()
    assert refusal(f"{TEXT}\n\u2014 rekor-v2.offline.example {hintless}\n") == UNSIGNED


def test_the_checkpoint_key_id_of_the_root_counts_before_the_log_id():
    """`checkpointKeyId` of media type 0.2: logId may then be anything."""
    posing = replace(SIGSTORE.rekor_v2, claimed=bytes(32))
    assert refusal(signed(TEXT), posing) == UNSIGNED
    log = replace(key(posing), checkpoint_id=SIGSTORE.rekor_v2.log_id)
    assert check_checkpoint(signed(TEXT), log).size == 7


@pytest.mark.parametrize("lines", ["before", "after"])
def test_signatures_of_others_count_for_nothing(lines):
    witness = RekorLog.create("v2", Window.around(NOW)).note_signature(TEXT)
    ours = SIGSTORE.rekor_v2.note_signature(TEXT)
    note = f"{TEXT}\n{witness}{ours}" if lines == "before" else f"{TEXT}\n{ours}{witness}"
    assert check_checkpoint(note, key(SIGSTORE.rekor_v2)).size == 7
    assert refusal(f"{TEXT}\n{witness}{witness}") == UNSIGNED


def test_extension_lines_are_signed_and_mean_nothing_to_us():
    assert check_checkpoint(signed(f"{TEXT}Timestamp: 1\n"), key(SIGSTORE.rekor_v2)).root == HASH
    assert refusal(signed(TEXT).replace("\n\n", "\nTimestamp: 1\n\n")) == UNSIGNED


ROOT = TEXT.split("\n")[2]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        f"7\n{ROOT}\n",
        f"\n7\n{ROOT}\n",
        f"origin\n{ROOT}\n",
        f"origin\n\n{ROOT}\n",
        f"origin\n-1\n{ROOT}\n",
        f"origin\n07\n{ROOT}\n",
        f"origin\n 7\n{ROOT}\n",
        f"origin\n7 \n{ROOT}\n",
        f"origin\n\u0667\n{ROOT}\n",
        f"origin\n1{'0' * 19}\n{ROOT}\n",
        "origin\n7\n",
        "origin\n7\n\n",
        f"origin\n7\n{ROOT}\n\nextension\n",
    ],
)
def test_a_text_that_is_no_checkpoint_is_refused_though_the_log_signed_it(text):
    assert refusal(signed(text)) == MALFORMED


def test_a_root_hash_that_is_not_base64_is_refused():
    assert refusal(signed("origin\n7\n?\n")) == "root hash of log entry's checkpoint is not base64"


def test_sizes_up_to_nineteen_digits_are_read():
    text = TEXT.replace("\n7\n", f"\n{'9' * 19}\n")
    assert check_checkpoint(signed(text), key(SIGSTORE.rekor_v2)).size == 10**19 - 1
    assert check_checkpoint(signed(TEXT.replace("\n7\n", "\n0\n")), key(SIGSTORE.rekor_v2)).size == 0


GOOD = signed(TEXT)
LINE = SIGSTORE.rekor_v2.note_signature(TEXT)


@pytest.mark.parametrize(
    "note",
    [
        "",
        TEXT,
        GOOD[:-1],
        GOOD + "\n",
        GOOD.replace("\n\n", "\n"),
        f"{TEXT}\n",
        GOOD.replace("\u2014 ", "- "),
        GOOD.replace("\u2014 ", "\u2014"),
        GOOD.replace(" rekor-v2.offline.example ", " "),
        GOOD.replace(" rekor-v2.offline.example ", " a+b "),
        GOOD.replace(" rekor-v2.offline.example ", " a b "),
        GOOD.replace(" rekor-v2.offline.example ", " a\u00a0b "),
        GOOD + "more\n",
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("\n7\n", "\n7\t\n"),
        f"\ud800{GOOD}",
    ],
)
def test_a_note_that_is_not_written_as_it_should_be_is_refused(note):
    assert refusal(note) == MALFORMED


@pytest.mark.parametrize("code", [code for code in range(0x20) if code != 0x0A])
def test_a_note_has_no_control_characters(code):
    """C2SP signed-note: no ASCII control character but newline, signed or not."""
    text = f"{TEXT}a{chr(code)}b\n"
    assert refusal(signed(text)) == MALFORMED


def test_a_signature_that_is_not_base64_is_refused():
    note = GOOD.replace(LINE, "\u2014 rekor-v2.offline.example ????\n")
    assert refusal(note) == "signature of log entry's checkpoint is not base64"


@pytest.mark.parametrize("note", [None, 7, [], {}])
def test_what_is_no_text_is_no_checkpoint(note):
    assert refusal(note) == "log entry has no checkpoint"


def test_a_checkpoint_has_bounds():
    """signatures.md rule 6: 64 KiB and 100 lines."""
    lines = 100 - GOOD.count("\n")
    assert check_checkpoint(signed(TEXT + "x\n" * lines), key(SIGSTORE.rekor_v2)).size == 7
    room = 65536 - len(GOOD)
    assert check_checkpoint(signed(f"{TEXT}{'x' * (room - 1)}\n"), key(SIGSTORE.rekor_v2)).size == 7
    for text in (TEXT + "x\n" * (lines + 1), f"{TEXT}{'x' * room}\n"):
        assert refusal(signed(text)) == "log entry's checkpoint is too long"


def test_of_several_signatures_in_the_name_of_the_log_only_the_first_is_checked():
    """However many lines there are: each check has its cost, and a bundle may hold 32 checkpoints."""
    asked = []

    def verify(signature: bytes, message: bytes) -> bool:
        asked.append(signature)
        return log.verify(signature, message)

    log = key(SIGSTORE.rekor_v2)
    forged = GOOD.rpartition(" ")[2].strip()
    forged = base64.b64encode(base64.b64decode(forged)[:-1] + b"x").decode()
    line = f"\u2014 rekor-v2.offline.example {forged}\n"
    with pytest.raises(RefusedError, match=UNSIGNED):
        check_checkpoint(GOOD.replace("\n\n", f"\n\n{line * 50}"), replace(log, verify=verify))
    assert len(asked) == 1
    assert check_checkpoint(GOOD + line * 50, replace(log, verify=verify)).size == 7
    assert len(asked) == 2
