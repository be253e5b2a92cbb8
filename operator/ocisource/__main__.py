"""`python -m ocisource` and the command `ocisource`."""

from __future__ import annotations

import sys

from ocisource.cli.commands import dispatch


def main() -> int:
    """Runs the command that the arguments name; the exit status."""
    return dispatch(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
