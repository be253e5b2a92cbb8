"""What the refresh takes and what it refuses, against a real TUF repository (TUF specification, section 5)."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tuf.api.exceptions import DownloadError, RepositoryError

from devkit.tufmirror import Answer, TufMirror
from ocisource.roots.refresh import MAX_TARGET, refreshed
from unit.roots.conftest import TARGET, root


def test_a_new_version_is_fetched(tuf: TufMirror, tmp_path: Path) -> None:
    refreshed(tuf.url, tmp_path, tuf.bootstrap)
    tuf.publish({TARGET: root(2)})

    assert refreshed(tuf.url, tmp_path, tuf.bootstrap) == root(2)


def test_what_is_known_already_is_not_fetched_again(tuf: TufMirror, tmp_path: Path) -> None:
    refreshed(tuf.url, tmp_path, tuf.bootstrap)
    tuf.asked.clear()

    assert refreshed(tuf.url, tmp_path, tuf.bootstrap) == root(1)
    assert tuf.asked == ["2.root.json", "timestamp.json"]


def test_keys_of_the_repository_may_change(tuf: TufMirror, tmp_path: Path) -> None:
    refreshed(tuf.url, tmp_path, tuf.bootstrap)
    tuf.rotate_root()
    tuf.publish({TARGET: root(2)})

    assert refreshed(tuf.url, tmp_path, tuf.bootstrap) == root(2)


def test_a_target_that_was_tampered_with_is_refused(tuf: TufMirror, tmp_path: Path) -> None:
    tuf.fault = lambda path, honest: b'{"root": 6}' if path.startswith("targets/") else honest

    with pytest.raises(RepositoryError, match="does not match"):
        refreshed(tuf.url, tmp_path, tuf.bootstrap)


def test_metadata_by_other_keys_is_refused(tuf: TufMirror, tmp_path: Path) -> None:
    tuf.forge()
    tuf.publish({TARGET: root(6)})

    with pytest.raises(RepositoryError, match="timestamp was signed by 0/1 keys"):
        refreshed(tuf.url, tmp_path, tuf.bootstrap)


def test_a_repository_of_another_bootstrap_root_is_refused(tuf: TufMirror, tmp_path: Path) -> None:
    with TufMirror({TARGET: root(1)}) as other, pytest.raises(RepositoryError, match="signed by 0/1 keys"):
        refreshed(tuf.url, tmp_path, other.bootstrap)


def test_metadata_that_has_expired_is_refused(tuf: TufMirror, tmp_path: Path) -> None:
    """Whoever holds back news cannot do so for longer than the timestamp holds."""
    tuf.publish({TARGET: root(1)}, expires=datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=1))

    with pytest.raises(RepositoryError, match=r"timestamp\.json is expired"):
        refreshed(tuf.url, tmp_path, tuf.bootstrap)


def test_an_older_version_is_refused(tuf: TufMirror, tmp_path: Path) -> None:
    old = dict(tuf.files)
    tuf.publish({TARGET: root(2)})
    refreshed(tuf.url, tmp_path, tuf.bootstrap)
    tuf.files = old

    with pytest.raises(RepositoryError, match="must be >= 2"):
        refreshed(tuf.url, tmp_path, tuf.bootstrap)


def test_a_repository_without_a_trusted_root_is_refused(tuf: TufMirror, tmp_path: Path) -> None:
    tuf.publish({"other.json": b"{}"})

    with pytest.raises(RepositoryError, match=r"the repository has no target trusted_root\.json"):
        refreshed(tuf.url, tmp_path, tuf.bootstrap)


def test_a_huge_root_is_refused_unseen(tuf: TufMirror, tmp_path: Path) -> None:
    tuf.publish({TARGET: b" " * (MAX_TARGET + 1)})

    with pytest.raises(RepositoryError, match="has 1048577 bytes, more than 1048576"):
        refreshed(tuf.url, tmp_path, tuf.bootstrap)
    assert not [path for path in tuf.asked if path.startswith("targets/")]


def test_bootstrap_metadata_that_is_none_is_told(tuf: TufMirror, tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="deserialize"):
        refreshed(tuf.url, tmp_path, b"nonsense")


def test_what_was_remembered_and_is_broken_is_fetched_anew(tuf: TufMirror, tmp_path: Path) -> None:
    refreshed(tuf.url, tmp_path, tuf.bootstrap)
    for path in tmp_path.rglob("*.json"):
        if path.is_file() and not path.is_symlink():
            path.write_bytes(b"\0")

    assert refreshed(tuf.url, tmp_path, tuf.bootstrap) == root(1)


def _endless(_path: str, _honest: Answer) -> Answer:
    return itertools.repeat(b"{" * 1000)


def test_metadata_without_an_end_is_given_up(tuf: TufMirror, tmp_path: Path) -> None:
    tuf.fault = _endless

    with pytest.raises(DownloadError, match="exceeding the maximum allowed length"):
        refreshed(tuf.url, tmp_path, tuf.bootstrap)
