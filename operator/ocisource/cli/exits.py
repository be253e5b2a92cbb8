"""Exit statuses of the commands."""

READY = 0
VERIFIED = 0

NOT_READY = 1
NOT_VERIFIED = 1

BAD_INPUT = 2

NOT_JUDGED = 3
"""There was nothing to judge, or not all of it: the registry did not answer, or has no such artifact."""

INTERRUPTED = 130
"""Ctrl-C, as a shell reports SIGINT."""

UNHEARD = 141
"""Whoever read the output went away before the end of it, as a shell reports SIGPIPE."""
