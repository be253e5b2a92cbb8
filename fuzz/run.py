"""Feeds what reads signatures what no signer would write, guided by the branches that it takes (atheris, libFuzzer).

    make fuzz                              all targets, FUZZ_SECONDS=60 in total
    fuzz/run.py --seconds 300 --only COSE  one target; part of its name is enough
    fuzz/run.py --runs 3000 --seed 1       so many inputs, the same choices (keys are new in each process)

The first byte of an input names the target. A finding ends the run: its traceback says what got through, and the
input is kept in the folder of `--findings`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import atheris
from target import expect

from devkit.mutation import Mutation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from target import Target

with atheris.instrument_imports(include=["ocisource"]):
    import certificates
    import proofs
    import registries
    import signatures

    import notation

TARGETS: tuple[Target, ...] = (
    *signatures.TARGETS,
    *proofs.TARGETS,
    *certificates.TARGETS,
    *notation.TARGETS,
    *registries.TARGETS,
)

MAX_BYTES = 64 << 10
SLOW = 2.0
"""Seconds of CPU for one input."""


class SlowError(AssertionError):
    """An input costs more than it should."""


def one_input(data: bytes) -> None:
    """What libFuzzer calls."""
    if data:
        target = TARGETS[data[0] % len(TARGETS)]
        before = time.process_time()
        try:
            target.check(data[1:])
        except Exception as error:
            error.add_note(f"target {target.name!r}, input {data[1:]!r:.20000}")
            raise
        if time.process_time() - before > SLOW:
            raise SlowError(f"{target.name}: {data[1:]!r:.20000}")


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """One change or two, each somewhere in the structure; libFuzzer changes what has none."""
    random = Random(seed)
    change = Mutation(random, lambda content: bytes(atheris.Mutate(content, max(2 * len(content), 64)))).change
    head, content = data[:1], data[1:]
    for _ in range(random.choice((1, 1, 2))):
        content = change(content)
    return (head + content)[:max_size]


def main(arguments: Sequence[str]) -> None:
    """Ends the process."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=60, help="when to end (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=-1, help="after how many inputs to end")
    parser.add_argument("--seed", type=int, default=0, help="of the choices; 0: another one each time")
    parser.add_argument("--only", default="", help="part of the names of the targets")
    parser.add_argument("--findings", type=Path, default=Path(".run/fuzz"), help="(default: %(default)s)")
    parsed = parser.parse_args(arguments)
    for target in TARGETS:
        for seed in target.seeds:
            expect(target.check(seed), f"target {target.name!r} does not accept its seed", repr(seed))
    parsed.findings.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        seeds = [
            (number, seed)
            for number, target in enumerate(TARGETS)
            for seed in target.seeds
            if parsed.only.lower() in target.name.lower()
        ]
        if not seeds:
            parser.error(f"no target is called {parsed.only!r}; there are {', '.join(one.name for one in TARGETS)}")
        for place, (number, seed) in enumerate(seeds):
            (Path(folder) / f"{place:03}").write_bytes(bytes([number]) + seed)
        options = {
            "max_total_time": parsed.seconds,
            "runs": parsed.runs,
            "seed": parsed.seed,
            "max_len": MAX_BYTES,
            "len_control": 0,
            "cross_over": 0,
            "mutate_depth": 2,
            "timeout": 30,
            "rss_limit_mb": 2048,
            "artifact_prefix": f"{parsed.findings}/",
            "print_final_stats": 1,
        }
        atheris.Setup(
            [sys.argv[0], *(f"-{name}={value}" for name, value in options.items()), folder],
            one_input,
            custom_mutator=mutate,
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
