"""The room as a whole: what is loaded, what is shared, and what is not (flux-compat C7, E6, J16)."""

from __future__ import annotations

import builtins
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from fakes.clouds import FakeAWS
from ocisource.clouds.room import CloudRoom
from ocisource.domain.accounts import ServiceAccount
from ocisource.domain.clouds import ROLE_ARN, CloudAccess
from ocisource.domain.errors import AccountError, CloudError
from ocisource.domain.proxies import Proxy

from .conftest import OTHER_ROLE, ROLE, Issued, Rooms

REGISTRY = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"


def as_account(
    name: str = "puller", role: str = ROLE, namespace: str = "team", registry: str = REGISTRY
) -> CloudAccess:
    return CloudAccess("aws", registry, ServiceAccount(namespace, name, (), {ROLE_ARN: role}))


async def test_one_question_serves_all_objects_of_an_identity(amazon: FakeAWS, room: Rooms, issued: Issued) -> None:
    one = room()
    first = await one.credentials(as_account())

    assert await one.credentials(as_account()) == first
    assert len(amazon.sessions) == len(issued) == 1


@pytest.mark.parametrize(
    "other",
    [
        as_account("other"),
        as_account(namespace="elsewhere"),
        as_account(role=OTHER_ROLE),
        as_account(registry=REGISTRY.replace("eu-central-1", "us-west-2")),
    ],
    ids=["name", "namespace", "role", "region"],
)
async def test_another_identity_asks_for_itself(amazon: FakeAWS, room: Rooms, other: CloudAccess) -> None:
    """J16. An annotation that changes makes another one of the same ServiceAccount, too."""
    one = room()
    await one.credentials(as_account())
    await one.credentials(other)

    assert len(amazon.sessions) == 2


async def test_without_room_for_tokens_every_pass_asks(amazon: FakeAWS, room: Rooms) -> None:
    one = room(0)
    for _ in range(2):
        await one.credentials(as_account())

    assert len(amazon.sessions) == 2


async def test_a_service_account_that_gets_no_token_of_the_cluster_asks_nobody(amazon: FakeAWS) -> None:
    async def refuse(account: ServiceAccount, audience: str) -> str:
        raise AccountError("no token")

    with pytest.raises(AccountError, match=r"no token"):
        await CloudRoom(refuse).credentials(as_account())
    assert amazon.asked == []


async def test_a_socks_proxy_is_refused_in_plain_words(room: Rooms) -> None:
    asked = CloudAccess("aws", REGISTRY, None, Proxy("socks5", "proxy.example", 1080))
    with pytest.raises(CloudError, match=r"cannot be asked through a SOCKS proxy"):
        await room().credentials(asked)


@pytest.mark.parametrize(
    ("name", "library"), [("aws", "botocore"), ("azure", "azure.identity"), ("gcp", "google.auth")]
)
async def test_a_library_that_is_not_installed_is_told_with_its_extra(
    room: Rooms, monkeypatch: pytest.MonkeyPatch, name: str, library: str
) -> None:
    real: Callable[..., Any] = builtins.__import__

    def hidden(module: str, *rest: Any) -> Any:
        if module == library or module.startswith(f"{library}."):
            raise ModuleNotFoundError(f"No module named '{module}'", name=module)
        return real(module, *rest)

    monkeypatch.delitem(sys.modules, f"ocisource.clouds.{name}", raising=False)
    monkeypatch.setattr(builtins, "__import__", hidden)
    with pytest.raises(CloudError) as caught:
        await room().credentials(CloudAccess(name, REGISTRY))

    assert str(caught.value).startswith(
        f"this operator was installed without what spec.provider {name} needs: install it with the extra '{name}', as "
        f"in pip install 'oci-source-operator[{name}]' (there is no module {library}"
    )


def test_a_room_that_nobody_asks_loads_no_library() -> None:
    program = """
import json, sys
import ocisource.clouds.room
print(json.dumps([name for name in ("botocore", "azure", "google.auth", "requests") if name in sys.modules]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(done.stdout) == []
