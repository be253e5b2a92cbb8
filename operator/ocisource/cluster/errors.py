"""What the Kubernetes API answers when it says no; the corridor's view of it is in domain/errors.py.

ClusterError                  (domain) the cluster cannot be used
 ├─ ConfigError               the way to the cluster is not described, or wrongly; names the file and the entry
 ├─ LeadershipLostError       another replica leads, or may: nothing may be written any more
 └─ ApiError                  one request failed: status, reason and message as the API server gave them
     ├─ NotFoundError         404; is a domain NotFound too
     ├─ ConflictError         409: somebody else was faster, or the name is taken; is a domain Conflict too
     ├─ ForbiddenError        403: names the RBAC rule that is missing
     └─ UnavailableError      no answer, or one that asks to come later
"""

from __future__ import annotations

from ocisource.domain.errors import ClusterError, Conflict, NotFound


class ConfigError(ClusterError):
    """The way to the API server is not described, or wrongly."""


class LeadershipLostError(ClusterError):
    """Another replica leads, or may: nothing may be written any more."""


class ApiError(ClusterError):
    """A request to the API server failed. `status` is the HTTP status (0 without an answer), `reason` the
    machine-readable word of the answer (metav1.Status), "" if it had none."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class NotFoundError(ApiError, NotFound):
    """What was asked for does not exist."""


class ConflictError(ApiError, Conflict):
    """The object changed since it was read, or exists already."""


class ForbiddenError(ApiError):
    """RBAC does not allow it."""


class UnavailableError(ApiError):
    """The API server did not answer, or cannot now."""


_FAMILY: dict[int, type[ApiError]] = {
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    429: UnavailableError,
}


def api_error(status: int, reason: str, message: str) -> ApiError:
    """The member of the family for an HTTP status."""
    family = UnavailableError if status >= 500 else _FAMILY.get(status, ApiError)
    return family(status, reason, message)
