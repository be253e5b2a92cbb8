"""Measures `ocisource run` in five scenarios, alone or beside a peer: one JSON line each.

    make bench
    bench/scenarios.py cold verified --n 1000 --runs 3 --peer 'controller --kubeconfig={kubeconfig} …'

Starts a control plane and a registry of its own and leaves nothing behind. See bench/README.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from contender import Contender
from readiness import watching
from workload import NAMESPACE, Workload, clear

from devkit import manifests
from devkit.binaries import MissingToolError
from devkit.controlplane import ControlPlane
from devkit.keeper import Keeper
from devkit.services import RegistryServer
from devkit.signer import Signer
from devkit.startup import StartError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from contender import Run
    from readiness import Readiness

CRDS = Path(__file__).resolve().parent.parent / "crds"
OURS = (
    f"'{sys.executable}' -m ocisource run --kubeconfig={{kubeconfig}} --storage-path={{storage}} "
    "--storage-addr={storage_addr} --storage-adv-addr={storage_addr} "
    "--metrics-addr={metrics_addr} --health-addr={health_addr}"
)

PATIENCE = 900.0
"""Seconds to wait until every object is Ready."""

QUIET = 0.02
"""CPU seconds a second below which the first sync is over: some of its work, such as events, comes after Ready."""

QUIET_WITHIN = 60.0
WARM_UP = 15.0
"""Seconds in which the intervals of many objects get out of step."""

Figures = dict[str, float]


@dataclass(frozen=True)
class Options:
    n: int
    mib: int
    seconds: float
    runs: int


@dataclass(frozen=True)
class Scenario:
    """`workload` says what there is to do, `meaning` why it is measured. `steady`: measured after all are Ready."""

    meaning: str
    workload: Callable[[Options], Workload]
    steady: bool = False


SCENARIOS = {
    "cold": Scenario("N objects, N digests", lambda o: Workload(o.n, o.n)),
    "verified": Scenario("N objects, N cosign signatures by key", lambda o: Workload(o.n, o.n, signed=True)),
    "shared": Scenario("N objects on one digest", lambda o: Workload(o.n, 1)),
    "steady": Scenario(
        "N ready objects at interval 10 s, CPU a minute", lambda o: Workload(o.n, o.n, interval="10s"), steady=True
    ),
    "big": Scenario("one large artifact", lambda o: Workload(1, 1, mib=o.mib)),
}


@dataclass(frozen=True)
class Bench:
    """Where everything runs."""

    plane: ControlPlane
    registry: str
    keeper: Keeper
    signer: Signer

    def measure(self, contender: Contender, workload: Workload, *, steady: float) -> Figures:
        """One run from nothing to all Ready, and `steady` seconds after it."""
        clear(self.plane.cluster)
        workload.declare(self.plane.cluster, self.registry, self.signer)
        with (
            TemporaryDirectory(dir=self.keeper.folder) as storage,
            watching(self.plane) as readiness,
            contender.running(self.keeper, self.plane.kubeconfig, Path(storage)) as run,
        ):
            figures = {"first_ready_s": _awaited(run, readiness, 1)}
            figures["all_ready_s"] = _awaited(run, readiness, workload.objects)
            figures["cpu_s"] = run.cpu()
            if steady:
                figures["steady_cpu_s_per_min"] = _steady(run, steady)
            else:
                figures["settled_cpu_s"] = _settled(run)
            return figures | {"peak_rss_mib": run.peak_mib()}


def _awaited(run: Run, readiness: Readiness, count: int) -> float:
    """Seconds from the start until `count` objects are Ready. Raises RuntimeError if that does not come."""
    while not readiness.wait(count, 1):
        run.require_alive()
        if run.seconds() > PATIENCE:
            raise RuntimeError(f"only {len(readiness)} of {count} are Ready:\n{run.log()[-2000:]}")
    return run.seconds()


def _settled(run: Run) -> float:
    """CPU seconds until the first sync is over."""
    deadline = time.monotonic() + QUIET_WITHIN
    before = run.cpu()
    while time.monotonic() < deadline:
        time.sleep(1)
        after = run.cpu()
        if after - before < QUIET:
            return after
        before = after
    return before


def _steady(run: Run, seconds: float) -> float:
    time.sleep(WARM_UP)
    began, before = time.monotonic(), run.cpu()
    time.sleep(seconds)
    return (run.cpu() - before) * 60 / (time.monotonic() - began)


def main() -> int:
    options, names, contenders, extra = _arguments()
    try:
        with ExitStack() as stack:
            plane = stack.enter_context(ControlPlane())
            objects = [each for path in (CRDS, *extra) for each in manifests.load(path)]
            plane.cluster.apply_crds([each for each in objects if each["kind"] == "CustomResourceDefinition"])
            plane.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
            registry = stack.enter_context(RegistryServer()).address
            bench = Bench(plane, registry, stack.enter_context(Keeper()), Signer.generate())
            for name in names:
                _measure(bench, name, contenders, options)
    except KeyboardInterrupt:
        return 130
    except (MissingToolError, StartError, RuntimeError) as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


def _measure(bench: Bench, name: str, contenders: Sequence[Contender], options: Options) -> None:
    """Contenders take turns, so that a machine that is slow for a while is slow for each of them."""
    scenario = SCENARIOS[name]
    workload = scenario.workload(options)
    _note(f"{name}: {scenario.meaning}")
    workload.push(bench.registry, bench.signer)
    runs: dict[str, list[Figures]] = {each.label: [] for each in contenders}
    for number in range(options.runs):
        for contender in contenders:
            figures = bench.measure(contender, workload, steady=options.seconds if scenario.steady else 0)
            runs[contender.label].append(figures)
            _note(f"  {contender.label} {number + 1}/{options.runs}: {_rounded(figures)}")
    for label, all_figures in runs.items():
        medians = {key: statistics.median(each[key] for each in all_figures) for key in all_figures[0]}
        size = {"mib": workload.mib} if workload.mib else {"n": workload.objects}
        print(json.dumps({"scenario": name, "label": label, **size, "runs": options.runs, **_rounded(medians)}))
        sys.stdout.flush()


def _rounded(figures: Figures) -> dict[str, Any]:
    return {key: round(value, 2) for key, value in figures.items()}


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _arguments() -> tuple[Options, list[str], list[Contender], list[Path]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS) + " (default: all)")
    parser.add_argument("--n", type=int, default=200, help="objects (default: 200)")
    parser.add_argument("--mib", type=int, default=256, help="size of the large artifact, unpacked (default: 256)")
    parser.add_argument("--seconds", type=float, default=60, help="how long `steady` is measured (default: 60)")
    parser.add_argument("--runs", type=int, default=1, help="runs of which the median is told (default: 1)")
    parser.add_argument("--ours", metavar="COMMAND", default=OURS, help="another command line of ours")
    parser.add_argument(
        "--peer",
        metavar="COMMAND",
        help="another controller to measure in turn with ours; {kubeconfig}, {storage}, {storage_addr}, "
        "{metrics_addr} and {health_addr} are filled in",
    )
    parser.add_argument(
        "--crds",
        metavar="PATH",
        type=Path,
        action="append",
        default=[],
        help="YAML of further CustomResourceDefinitions that the peer needs",
    )
    given = parser.parse_args()
    unknown = sorted(set(given.scenarios) - set(SCENARIOS))
    if unknown:
        parser.error(f"there is no scenario {', '.join(unknown)}: choose from {', '.join(SCENARIOS)}")
    contenders = [Contender("ours", given.ours)]
    if given.peer:
        contenders.append(Contender("peer", given.peer))
    options = Options(given.n, given.mib, given.seconds, given.runs)
    return options, given.scenarios or list(SCENARIOS), contenders, given.crds


if __name__ == "__main__":
    sys.exit(main())
