"""When something breaks: the step it broke in → condition, reason, message, retry or stall (flux-compat section C).

Rooms raise RoomErrors that know nothing of conditions. This is the one place where they become Failures.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ocisource.domain import conditions as c
from ocisource.domain.durations import go_format
from ocisource.domain.errors import (
    Failure,
    IgnoreError,
    InvalidPattern,
    InvalidRange,
    InvalidReference,
    ManifestError,
    RoomError,
    SecretMissing,
    StoreError,
    TrustError,
)
from ocisource.domain.source import Verify

AUTHENTICATION_FAILED = "AuthenticationFailed"
LAYER_FAILED = "OCIArtifactLayerOperationFailed"
PULL_FAILED = "OCIArtifactPullFailed"
READ_FAILED = "ReadOperationFailed"
URL_INVALID = "URLInvalid"
VERIFICATION_ERROR = "VerificationError"


@dataclass(frozen=True)
class Deadline:
    """When the time of a pass is up: `at` on the loop's clock, `seconds` as `spec.timeout` says."""

    at: float
    seconds: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        return cls(asyncio.get_running_loop().time() + seconds, seconds)

    def left(self) -> float:
        """Seconds until then."""
        return self.at - asyncio.get_running_loop().time()


@dataclass(frozen=True)
class Step:
    """One step of a pass, as it is named when it fails."""

    condition: str
    reason: str
    prefix: str

    def failed(self, problem: object, *, stalls: bool = False) -> Failure:
        judged = self.condition == c.SOURCE_VERIFIED and isinstance(problem, TrustError | SecretMissing)
        return Failure(self.condition, self.reason, f"{self.prefix}: {problem}", stalls=stalls, verdict=judged)

    @asynccontextmanager
    async def until(self, deadline: Deadline) -> AsyncIterator[None]:
        """Runs the step; what goes wrong in it becomes a Failure.

        Where only another spec can help (a range, pattern or reference that does not parse) it stalls
        (flux-compat C9, J11). Content and disk have conditions and reasons of their own, whatever the step.
        """
        try:
            async with asyncio.timeout_at(deadline.at):
                yield
        except TimeoutError as error:
            waited = go_format(deadline.seconds)
            raise self.failed(f"no answer within spec.timeout ({waited})") from error
        except (InvalidRange, InvalidPattern, InvalidReference) as error:
            raise self.failed(error, stalls=True) from error
        except ManifestError as error:
            raise Failure(c.FETCH_FAILED, LAYER_FAILED, str(error)) from error
        except IgnoreError as error:
            message = f"failed to load source ignore patterns from repository: {error}"
            raise Failure(None, "SourceIgnoreError", message) from error
        except StoreError as error:
            condition = c.STORAGE_OPERATION_FAILED if error.reason else None  # C2 has one without
            raise Failure(condition, error.reason or "Failed", str(error)) from error
        except RoomError as error:
            raise self.failed(error) from error


def credential(secret: str) -> Step:
    """C4; `secret` is `namespace/name`."""
    return Step(c.FETCH_FAILED, AUTHENTICATION_FAILED, f"failed to get credential: failed to get secret '{secret}'")


def credentials() -> Step:
    """C4, about a ServiceAccount."""
    return Step(c.FETCH_FAILED, AUTHENTICATION_FAILED, "failed to get credential")


def cloud(provider: str) -> Step:
    """C7."""
    return Step(c.FETCH_FAILED, AUTHENTICATION_FAILED, f"failed to get credential from {provider}")


def gate_closed() -> Failure:
    """C6: only another spec helps, or another operator."""
    message = (
        "to use spec.serviceAccountName for provider authentication please enable the "
        "ObjectLevelWorkloadIdentity feature gate in the controller"
    )
    return Failure(None, "FeatureGateDisabled", message, stalls=True)


def proxy_address() -> Step:
    """C5."""
    return Step(c.FETCH_FAILED, AUTHENTICATION_FAILED, "failed to get proxy address")


def transport(url: str) -> Step:
    """C8."""
    return Step(c.FETCH_FAILED, AUTHENTICATION_FAILED, f"failed to generate transport for '{url}'")


def location(url: str) -> Step:
    """C9."""
    return Step(c.FETCH_FAILED, URL_INVALID, f"URL validation failed for '{url}'")


def choice_of_tag(url: str) -> Step:
    """C10."""
    return Step(c.FETCH_FAILED, READ_FAILED, f"failed to determine the artifact tag for '{url}'")


def resolution() -> Step:
    """C11."""
    return Step(c.FETCH_FAILED, PULL_FAILED, "failed to determine artifact digest")


def verification(verify: Verify) -> Step:
    """C12. Its failure is a verdict where signatures were judged and none counts, or where the Secret is gone or
    cannot be used; it is none where an answer is missing."""
    keyless = verify.provider == "cosign" and not verify.secret
    provider = "cosign keyless" if keyless else verify.provider
    prefix = f"failed to verify the signature using provider '{provider}'"
    return Step(c.SOURCE_VERIFIED, VERIFICATION_ERROR, prefix)


def pull(url: str) -> Step:
    """C13."""
    return Step(c.FETCH_FAILED, PULL_FAILED, f"failed to pull artifact from '{url}'")


def layer() -> Step:
    """C14."""
    return Step(c.FETCH_FAILED, LAYER_FAILED, "failed to extract the first layer from artifact")


def content(*, copied: bool) -> Step:
    """C15; C16 where the layer is copied."""
    prefix = "failed to copy layer from artifact" if copied else "failed to extract layer contents from artifact"
    return Step(c.FETCH_FAILED, LAYER_FAILED, prefix)


def storage() -> Step:
    """C17, where the disk gives no reason of its own."""
    return Step(c.STORAGE_OPERATION_FAILED, "StatOperationFailed", "failed to stat source path")
