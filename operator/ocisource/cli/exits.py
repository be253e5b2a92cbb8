"""Exit statuses of the commands."""

READY = 0
NOT_READY = 1
BAD_INPUT = 2
