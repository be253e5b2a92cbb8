"""What the Kubernetes API answers when it says no.

RoomError
 └─ ClusterError        the cluster cannot be used
     ├─ ConfigError     the way to the cluster is not described, or wrongly; names the file and the entry
     └─ ApiError        one request failed: status, reason and message as the API server gave them
         ├─ NotFound    404
         ├─ Conflict    409: somebody else was faster, or the name is taken
         ├─ Forbidden   403: names the RBAC rule that is missing
         └─ Unavailable no answer, or one that asks to come later
"""

from __future__ import annotations

from ocisource.domain.errors import RoomError


class ClusterError(RoomError):
    """The cluster cannot be used."""


class ConfigError(ClusterError):
    """The way to the API server is not described, or wrongly."""


class ApiError(ClusterError):
    """A request to the API server failed. `status` is the HTTP status (0 without an answer), `reason` the
    machine-readable word of the answer (metav1.Status), "" if it had none."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message


class NotFound(ApiError):
    """What was asked for does not exist."""


class Conflict(ApiError):
    """The object changed since it was read, or exists already."""


class Forbidden(ApiError):
    """RBAC does not allow it."""


class Unavailable(ApiError):
    """The API server did not answer, or cannot now."""


_FAMILY: dict[int, type[ApiError]] = {403: Forbidden, 404: NotFound, 409: Conflict, 429: Unavailable}


def api_error(status: int, reason: str, message: str) -> ApiError:
    """The member of the family for an HTTP status."""
    family = Unavailable if status >= 500 else _FAMILY.get(status, ApiError)
    return family(status, reason, message)
