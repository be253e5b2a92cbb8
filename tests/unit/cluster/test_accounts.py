"""ServiceAccounts of the cluster, and their tokens (flux-compat C4, E2, E6, J4)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from ocisource.cluster.accounts import ClusterAccounts
from ocisource.domain.accounts import ServiceAccount
from ocisource.domain.errors import AccountError, AccountMissing

from .conftest import Answer, FakeServer

if TYPE_CHECKING:
    from ocisource.cluster.api import KubeAPI

PATH = "/api/v1/namespaces/team/serviceaccounts/puller"
PULLER = ServiceAccount("team", "puller", ("a", "b"), {"azure.workload.identity/client-id": "c"})


def body(*secrets: str) -> dict[str, Any]:
    annotations = {"azure.workload.identity/client-id": "c"}
    return {
        "metadata": {"namespace": "team", "name": "puller", "annotations": annotations},
        "imagePullSecrets": [{"name": name} for name in secrets],
    }


class Learnt(list[tuple[str, str, frozenset[str]]]):
    def __call__(self, namespace: str, name: str, secrets: frozenset[str]) -> None:
        self.append((namespace, name, secrets))


async def test_the_name_of_a_service_account_leads_to_no_other_namespace(api: KubeAPI, server: FakeServer) -> None:
    with pytest.raises(AccountError, match=r"invalid resource name .*: \[may not contain '/'\]"):
        await ClusterAccounts(api, Learnt()).account("team", "../../kube-system/serviceaccounts/puller")
    assert server.requests == []


async def test_a_service_account_is_read_and_what_it_brings_is_told(api: KubeAPI, server: FakeServer) -> None:
    server.answer("GET", PATH, Answer(body=body("a", "b")))
    learnt = Learnt()

    assert await ClusterAccounts(api, learnt).account("team", "puller") == PULLER
    assert learnt == [("team", "puller", frozenset({"a", "b"}))]


async def test_who_asks_meanwhile_gets_the_same_answer_until_it_has_changed(api: KubeAPI, server: FakeServer) -> None:
    server.answer("GET", PATH, Answer(body=body("a", "b")), Answer(body=body("c")))
    accounts = ClusterAccounts(api, Learnt())
    together = [asyncio.create_task(accounts.account("team", "puller")) for _ in range(3)]
    while not server.requests:
        await asyncio.sleep(0)
    accounts.changed("team", "puller")

    assert (await accounts.account("team", "puller")).pull_secrets == ("c",)
    assert await asyncio.gather(*together) == [PULLER] * 3
    assert len(server.requests) == 2


async def test_one_that_is_missing_is_told_in_the_words_that_clients_know(api: KubeAPI) -> None:
    """C4"""
    with pytest.raises(AccountMissing) as caught:
        await ClusterAccounts(api, Learnt()).account("team", "puller")
    assert str(caught.value) == "serviceaccount 'team/puller' not found"


async def test_one_that_may_not_be_read_names_the_rule(api: KubeAPI, server: FakeServer) -> None:
    server.answer("GET", PATH, Answer(403, {"reason": "Forbidden", "message": "no"}))
    with pytest.raises(AccountError, match=r"failed to get serviceaccount 'team/puller': no; .*'serviceaccounts'"):
        await ClusterAccounts(api, Learnt()).account("team", "puller")


async def test_a_token_is_for_one_audience_and_for_minutes(api: KubeAPI, server: FakeServer) -> None:
    server.answer("POST", f"{PATH}/token", Answer(201, {"status": {"token": "jwt"}}))

    assert await ClusterAccounts(api, Learnt()).token(PULLER, "sts.amazonaws.com") == "jwt"
    (request,) = server.requests
    assert request.body == {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"audiences": ["sts.amazonaws.com"], "expirationSeconds": 600},
    }


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            Answer(403, {"reason": "Forbidden", "message": "no"}),
            r"no; .*'serviceaccounts/token'\], verbs: \['create'\]",
        ),
        (Answer(404, {"reason": "NotFound", "message": 'serviceaccounts "puller" not found'}), "not found"),
        (Answer(201, {"status": {}}), "there is none"),
        (Answer(201, {}), "there is none"),
    ],
    ids=["forbidden", "gone", "empty", "bare"],
)
async def test_a_token_that_cannot_be_had_says_why(api: KubeAPI, server: FakeServer, answer: Answer, said: str) -> None:
    server.answer("POST", f"{PATH}/token", answer)
    told = "failed to create kubernetes token for service account 'team/puller': .*"
    with pytest.raises(AccountError, match=told + said):
        await ClusterAccounts(api, Learnt()).token(PULLER, "sts.amazonaws.com")
