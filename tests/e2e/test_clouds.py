"""A cloud that is asked as a ServiceAccount (flux-compat E6, G8)."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from devkit import manifests
from fakes.clouds import FakeAWS
from real.objects import condition, has_failed, oci_repository, outcomes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

    from devkit.controlplane import ControlPlane
    from real.operation import Operator

pytestmark = pytest.mark.e2e

CONFIG = Path(__file__).resolve().parents[2] / "config"
ROLE = "arn:aws:iam::123456789012:role/reader"
ECR = "oci://123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/app"


class EmbeddedAWS(FakeAWS):
    """On a thread of its own. It lets anybody in, keeps what was shown to it, and gives nothing of its registry."""

    def __init__(self) -> None:
        super().__init__(ROLE)
        self.shown: list[str] = []
        self.refuses = {"registry": 400}
        self._up = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()))

    def _sts(self, form: Any) -> Any:
        self.token = str(form["WebIdentityToken"])
        self.shown.append(self.token)
        return super()._sts(form)

    async def _serve(self) -> None:
        self._over = asyncio.Event()
        async with self:
            self._up.set()
            await self._over.wait()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._up.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def amazon(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedAWS]:
    with EmbeddedAWS() as fake:
        for name, value in fake.environment().items():
            monkeypatch.setenv(name, value)
        yield fake


@pytest.fixture
def tokens_granted(control_plane: ControlPlane) -> Iterator[None]:
    """What a cluster needs on top of config/default; other tests go without."""
    objects = manifests.load(CONFIG / "workload-identity")
    for each in objects:
        control_plane.cluster.apply(each)
    yield
    for each in objects:
        control_plane.cluster.delete(each)


@pytest.mark.usefixtures("tokens_granted")
def test_a_cloud_is_shown_a_token_of_the_service_account_for_itself_alone(
    control_plane: ControlPlane, new_operator: Callable[..., Operator], amazon: EmbeddedAWS, namespace: str
) -> None:
    """By the account and the RBAC rules that config/ installs."""
    new_operator("--feature-gates=ObjectLevelWorkloadIdentity=true").start()
    cluster = control_plane.cluster
    metadata = {"namespace": namespace, "name": "puller", "annotations": {"eks.amazonaws.com/role-arn": ROLE}}
    cluster.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    app = oci_repository(namespace, "app", ECR, ref={"tag": "1.0.0"}, provider="aws", serviceAccountName="puller")
    cluster.create(app)

    failed = cluster.wait(app, has_failed)
    assert outcomes(failed)["FetchFailed"] == ("True", "AuthenticationFailed")
    message = condition(failed, "FetchFailed")["message"]
    assert message.startswith("failed to get credential from aws: ")
    assert "GetAuthorizationToken" in message
    payload = amazon.shown[0].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["sub"] == f"system:serviceaccount:{namespace}:puller"
    assert claims["aud"] == ["sts.amazonaws.com"]
    assert claims["exp"] - claims["iat"] <= 600
