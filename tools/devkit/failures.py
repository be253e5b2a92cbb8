"""What can go wrong in `make run`, for a reader who needs a sentence and no traceback."""

from __future__ import annotations

import http.client
import subprocess

from devkit.cluster import ApiError
from devkit.repository import PushError
from devkit.services import CosignError
from devkit.startup import StartError


class WalkError(Exception):
    """A step did not show what it should; the message says which and what was seen."""


# RuntimeError is how a keeper says that it was killed.
FAILURES = (
    *(WalkError, ApiError, PushError, CosignError, StartError),
    *(OSError, http.client.HTTPException, subprocess.SubprocessError, RuntimeError),
)
