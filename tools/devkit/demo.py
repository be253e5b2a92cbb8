"""`make run`: the main job, shown step by step, then left running for play.

    python -m devkit.demo [--once]       `--once` ends after the last step

With etcd and kube-apiserver (at hand, or built with Go) on real parts; without, by `ocisource check`. Exit status 0:
all was as it should be; 1: a step failed; 130: interrupted before the last step. Nothing stays behind.
"""

from __future__ import annotations

import argparse
import signal
import sys


def main() -> int:
    parser = argparse.ArgumentParser(prog="devkit.demo", description="Shows the main job, step by step.")
    parser.add_argument("--once", action="store_true", help="end after the last step instead of staying up")
    once = parser.parse_args().once
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        code = _run(once=once)
    except KeyboardInterrupt:
        code = 130
    if code != 1 and not (once and code == 0):
        print("\nstopped, and everything removed", flush=True)
    return code


def _run(*, once: bool) -> int:
    # Imported here, so that Ctrl-C during the imports is answered as well.
    from devkit import checkwalk, clusterwalk  # noqa: PLC0415
    from devkit.binaries import MissingToolError  # noqa: PLC0415
    from devkit.failures import FAILURES  # noqa: PLC0415

    try:
        try:
            clusterwalk.walk(once=once)
        except MissingToolError as missing:
            checkwalk.walk(str(missing), once=once)
    except FAILURES as failure:
        print(f"\nmake run failed: {failure}", file=sys.stderr)
        return 1
    return 0


def _interrupt(*_: object) -> None:
    """The first signal ends everything in order; that takes a moment, in which further ones are not needed."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
