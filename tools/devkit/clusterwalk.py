"""`make run` on real parts: an API server, a registry, cosign, and the operator as a process."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devkit import manifests
from devkit.binaries import MissingToolError, locate
from devkit.controlplane import ControlPlane
from devkit.downloads import fetch
from devkit.failures import FAILURES, WalkError
from devkit.keeper import Keeper
from devkit.narration import columns, commands, conditions, heading, realigned, short, table, tell
from devkit.ocihttp import EmbeddedRegistry
from devkit.operatorprocess import OperatorProcess
from devkit.services import RegistryServer
from devkit.workshop import Workshop, furnish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CONFIG = Path(__file__).resolve().parents[2] / "config" / "default"
_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
_REQUESTED_AT = "reconcile.fluxcd.io/requestedAt"
_PATIENCE = 60  # seconds; the walk needs one or two


class ClusterWalk:
    """The steps in order; each tells what it shows. They raise WalkError."""

    def __init__(self, plane: ControlPlane, workshop: Workshop, operator: OperatorProcess) -> None:
        self._cluster = plane.cluster
        self._plane = plane
        self._workshop = workshop
        self._operator = operator
        self._source: dict[str, Any] = {}

    def walk(self) -> None:
        self._install()
        self._workshop.publish_signed()
        self._apply()
        self._start_operator()
        self._refuse(self._become_ready())

    def _install(self) -> None:
        heading("Installing config/default: CRD, namespace, rights, Deployment")
        objects = manifests.load(_CONFIG)
        crds = [each for each in objects if each["kind"] == "CustomResourceDefinition"]
        self._cluster.apply_crds(crds)
        for each in objects:
            if each not in crds:
                self._cluster.apply(each)
        tell("No kubelet runs here, so the Deployment makes no pod: the operator is a process, started below.")

    def _apply(self) -> None:
        heading("Applying this, and the Secret with the public key")
        tell(self._workshop.source.read_text())
        [self._source] = manifests.load(self._workshop.source)
        [secret] = manifests.load(self._workshop.secret)
        self._cluster.apply(secret)
        for warning in self._cluster.apply(self._source).warnings:
            tell(f"The API server answers: {_text(warning)}")

    def _start_operator(self) -> None:
        heading("Starting the operator as flux-system/source-controller, with the rights of config/rbac and no others")
        self._operator.start()
        tell(f"its log: {self._operator.log}")

    def _become_ready(self) -> dict[str, Any]:
        """The newest version is verified and stored; its artifact."""
        heading("It becomes Ready: the newest version is found, its signature verified, its content stored")
        found = self._wait(lambda status: _is(status, "Ready", "True"), "did not become Ready")
        self._show(found["status"])
        artifact: dict[str, Any] = found["status"]["artifact"]
        heading("The artifact, as the operator serves it")
        content = fetch(artifact["url"])
        if content.digest != artifact["digest"]:
            raise WalkError(f"{artifact['url']} is {content.digest}, the status says {artifact['digest']}")
        tell(f"{artifact['url']}\n{content.digest}, as the status says, {content.size} bytes")
        tell(f"files: {', '.join(content.files)}")
        return artifact

    def _refuse(self, before: dict[str, Any]) -> None:
        """A newer version without a signature changes the conditions and nothing else."""
        self._workshop.publish_unsigned()
        wanted = f"devkit-{time.time_ns()}"
        tell(f"and asking for a pass at once, with the annotation {_REQUESTED_AT}")
        self._cluster.patch(self._source, {"metadata": {"annotations": {_REQUESTED_AT: wanted}}})
        heading("It is refused: SourceVerified and Ready are False, and say why")
        found = self._wait(
            lambda status: status.get("lastHandledReconcileAt") == wanted, "was not looked at after the request"
        )
        status = found["status"]
        self._show(status)
        if not (_is(status, "SourceVerified", "False") and _is(status, "Ready", "False")):
            raise WalkError("the unsigned version was not refused")
        heading("The old artifact is still the one served")
        after = status["artifact"]
        served = fetch(after["url"])
        if served.digest != before["digest"] or after != before:
            raise WalkError(f"the artifact was {before}, now it is {after}, and its URL serves {served.digest}")
        tell(columns([("status", after["revision"]), ("URL", f"{after['url']}"), ("serves", f"{served.digest}")]))

    def play(self) -> None:
        """Says how to reach it all, and keeps it up until Ctrl-C."""
        source, push = "ocirepo app", shlex.quote(str(self._workshop.push))
        heading("All of it stays up for you until Ctrl-C; from another terminal:")
        missing = "" if shutil.which("kubectl") else "   # kubectl is not on PATH here; any recent one will do"
        tell(f"export KUBECONFIG={shlex.quote(str(self._plane.kubeconfig))}{missing}")
        commands(
            ("look around", f"kubectl get {source} --watch", f"kubectl describe {source}"),
            (
                "push a version that is signed, and ask for a pass: Ready again",
                f"{push} 1.3.0",
                f'kubectl annotate --overwrite {source} {_REQUESTED_AT}="$(date +%s)"',
            ),
            ("stay on an older line", _patch({"ref": {"semver": "1.0.x"}})),
            ("a mistake to make: a tag in the url; what does the status say?", _patch({"url": f"{self._url}:1.1.0"})),
            ("and back", _patch({"url": self._url, "ref": {"semver": "*"}})),
            ("a mistake that the API server refuses", _patch({"interval": "soon"})),
        )
        tell("")
        tell(columns([*self._workshop.facts(), ("operator's log", str(self._operator.log))]))
        self._workshop.stay(self._operator.require)

    @property
    def _url(self) -> str:
        return f"oci://{self._workshop.repository}"

    def _show(self, status: dict[str, Any]) -> None:
        tell(self._table())
        tell("")
        tell(conditions(status))

    def _table(self) -> str:
        """What `kubectl get ocirepo` prints; without kubectl, the same table from the API server."""
        kubectl = shutil.which("kubectl")
        if kubectl:
            with tempfile.TemporaryDirectory(dir=self._workshop.folder) as cache:
                command = [kubectl, f"--kubeconfig={self._plane.kubeconfig}", f"--cache-dir={cache}", "get", "ocirepo"]
                done = subprocess.run(
                    command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
                )
            if done.returncode == 0:
                return f"$ kubectl get ocirepo\n{realigned(short(done.stdout))}"
        path = self._cluster.path(self._source, collection=True)
        told = table(self._cluster.request("GET", path, accept=_TABLE).body)
        return f"What `kubectl get ocirepo` would print:\n{told}"

    def _wait(self, condition: Callable[[dict[str, Any]], bool], otherwise: str) -> Any:
        def reached(seen: Any) -> bool:
            self._operator.require()
            return condition(seen.get("status") or {})

        try:
            return self._cluster.wait(self._source, reached, _PATIENCE)
        except TimeoutError as late:
            told = conditions(self._cluster.read(self._source).get("status") or {})
            raise WalkError(f"the OCIRepository {otherwise} within {_PATIENCE} s:\n{told}") from late


def walk(*, once: bool) -> None:
    """All of it. Raises WalkError; MissingToolError before anything is started if there can be no API server."""
    for name in ("kube-apiserver", "etcd"):
        locate(name)
    with ExitStack() as stack:
        builds = _builds_registry()
        heading("Starting etcd, kube-apiserver and a registry")
        plane = stack.enter_context(ControlPlane())
        registry = RegistryServer() if builds else EmbeddedRegistry()
        stack.enter_context(registry)
        address = registry.address
        keeper = stack.enter_context(Keeper())
        note = "" if builds else ", in this process: the usual one is built with Go, which is not here"
        tell(columns([("API server", plane.url), ("registry", f"http://{address}{note}")]))
        tell("Below, digests are cut to 8 digits but for the artifact's.")
        operator = OperatorProcess(keeper, plane, keeper.folder / "storage", "--log-encoding=console")
        with _its_log(operator):
            steps = ClusterWalk(plane, furnish(keeper.folder, address), operator)
            steps.walk()
            if not once:
                steps.play()


def _builds_registry() -> bool:
    """Whether our registry is there. Without Go, with an API server from elsewhere, one in this process does as well:
    it knows referrers too."""
    try:
        locate("registry")
    except MissingToolError:
        return False
    return True


@contextmanager
def _its_log(operator: OperatorProcess) -> Iterator[None]:
    """What fails within is told with the end of the operator's log, which is gone afterwards."""
    try:
        yield
    except FAILURES as failure:
        tail = operator.tail()
        told = str(failure)
        if tail and tail not in told:
            told += f"\n\nThe end of the operator's log:\n{tail}"
        raise WalkError(told) from failure


def _is(status: dict[str, Any], kind: str, value: str) -> bool:
    found = status.get("conditions") or []
    return any(each["type"] == kind and each["status"] == value for each in found)


def _text(warning: str) -> str:
    """The words of a Warning header: `299 - "words"`."""
    return warning.partition('"')[2].rpartition('"')[0] or warning


def _patch(spec: dict[str, Any]) -> str:
    return f"kubectl patch ocirepo app --type=merge -p {shlex.quote(json.dumps({'spec': spec}, separators=(',', ':')))}"
