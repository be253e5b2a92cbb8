"""`python -m ocisource` and the command `ocisource`."""

from __future__ import annotations

import os
import sys

from ocisource.cli.commands import dispatch
from ocisource.cli.exits import INTERRUPTED, UNHEARD


def main() -> int:
    """Runs the command that the arguments name; the exit status."""
    try:
        status = dispatch(sys.argv[1:])
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is flushed at exit
        return UNHEARD
    return status


if __name__ == "__main__":
    sys.exit(main())
