"""The process that refreshes: `python -m ocisource.roots.refresh URL FOLDER SECONDS`, bootstrap root on standard input.

Writes the target `trusted_root.json` of the TUF repository at URL to standard output once TUF vouches for it (TUF
specification, section 5: signatures, thresholds, expiry, no rollback, lengths and hashes). What TUF must remember to
see a rollback is kept in FOLDER. On failure: exit status 1, and the reason as the last line of standard error.

It is a process of its own so that the operator never pays for these imports, and so that nothing that hangs or breaks
here can hold up or end the operator.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from tuf.api.exceptions import DownloadError, RepositoryError
from tuf.ngclient.config import UpdaterConfig
from tuf.ngclient.updater import Updater

TARGET = "trusted_root.json"
MAX_TARGET = 1 << 20
"""Bytes. The public one has seven thousand."""


def main(arguments: list[str]) -> int:
    """Runs the process; the exit status. It ends itself after SECONDS, should nobody be left to do that."""
    url, folder, seconds = arguments
    signal.alarm(int(seconds))
    try:
        document = refreshed(url, Path(folder), sys.stdin.buffer.read())
    except (DownloadError, RepositoryError, OSError) as error:
        sys.stderr.write(f"{_told(error)}\n")
        return 1
    sys.stdout.buffer.write(document)
    return 0


def refreshed(url: str, folder: Path, bootstrap: bytes) -> bytes:
    """The trusted root as the repository has it now. Raises DownloadError, RepositoryError, OSError."""
    metadata, targets = folder / "metadata", folder / "targets"
    for each in (metadata, targets):
        each.mkdir(parents=True, exist_ok=True)
    updater = Updater(
        metadata_dir=str(metadata),
        metadata_base_url=url,
        target_dir=str(targets),
        target_base_url=f"{url.rstrip('/')}/targets/",
        config=UpdaterConfig(app_user_agent="oci-source-operator"),
        bootstrap=bootstrap,
    )
    updater.refresh()
    info = updater.get_targetinfo(TARGET)
    if info is None:
        raise RepositoryError(f"the repository has no target {TARGET}")
    if info.length > MAX_TARGET:
        raise RepositoryError(f"its {TARGET} has {info.length} bytes, more than {MAX_TARGET}")
    return Path(updater.find_cached_target(info) or updater.download_target(info)).read_bytes()


def _told(error: Exception) -> str:
    """The error and what lies behind it, in one line."""
    cause = error.__cause__
    behind = getattr(cause, "reason", None) or cause  # urllib3 wraps the reason once more
    return " ".join(": ".join(str(each) for each in (str(error) or "no answer", behind) if each).split())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
