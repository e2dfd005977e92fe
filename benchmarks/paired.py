"""Interleaved, paired, pinned measurements: ratios with 95 % intervals, in CPU seconds.

On machines that others use too, wall time says little and the CPU time of one run moves by
several per cent. So the process is pinned to one core, all variants run in one process, every
round runs each of them once in an order that rotates, and a ratio is the median over rounds of
the ratios within a round, with the distribution-free interval of a median. Import this module
before JAX: its pool of threads is made for the cores it sees.
"""

import json
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

CORE = max(os.sched_getaffinity(0))
if "JOULAX_UNPINNED" not in os.environ:
    os.sched_setaffinity(0, {CORE})

Runs = dict[str, Callable[[], Any]]
SHORTEST = 0.02  # seconds of one sample: shorter calls are repeated within it


@dataclass(frozen=True)
class Times:
    """Seconds of one call, a sample for each round."""

    cpu: list[float]
    wall: list[float]


@dataclass(frozen=True)
class Ratio:
    """Median of paired ratios and its 95 % interval."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3f} [{self.low:.3f}, {self.high:.3f}]"


def interleaved(runs: Runs, rounds: int, warm: bool = True) -> dict[str, Times]:
    """Time every run once in each round; results of a run must be ready when it returns.

    `warm`: run each before, and as often in a round as makes a sample that can be timed.
    """
    repeats = dict.fromkeys(runs, 1)
    for name, run in runs.items() if warm else ():
        run()
        start = time.perf_counter()
        run()
        repeats[name] = max(1, math.ceil(SHORTEST / max(time.perf_counter() - start, 1e-7)))
    names = list(runs)
    found = {name: Times([], []) for name in names}
    for i in range(rounds):
        turned = names[i % len(names) :] + names[: i % len(names)]
        for name in turned if i % 2 else turned[::-1]:
            run, n = runs[name], repeats[name]
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in range(n):
                run()
            found[name].cpu.append((time.process_time() - cpu) / n)
            found[name].wall.append((time.perf_counter() - wall) / n)
    return found


def ratio(of: list[float], to: list[float]) -> Ratio:
    """How much one takes of the other, from samples in pairs."""
    pairs = sorted(a / b for a, b in zip(of, to, strict=True))
    n = len(pairs)
    outside, below = 0.0, 0
    while below < n // 2:  # ranks whose binomial tail stays below 2.5 %
        outside += math.comb(n, below) / 2**n
        if outside > 0.025:
            break
        below += 1
    rank = max(below - 1, 0)
    return Ratio(statistics.median(pairs), pairs[rank], pairs[n - 1 - rank])


def summary(times: dict[str, Times], base: str) -> dict[str, Any]:
    """Medians, and ratios to one of the runs, in CPU and in wall time."""
    return {
        name: {
            "cpu_s": statistics.median(t.cpu),
            "wall_s": statistics.median(t.wall),
            "cpu_ratio": asdict(ratio(t.cpu, times[base].cpu)),
            "wall_ratio": asdict(ratio(t.wall, times[base].wall)),
            "rounds": len(t.cpu),
        }
        for name, t in times.items()
    }


def show(title: str, found: dict[str, Any]) -> None:
    """A table of a summary."""
    print(f"\n{title}")
    print(f"{'':<28}{'CPU s':>12}{'ratio [95 %]':>26}{'wall s':>12}{'ratio':>9}")
    for name, row in found.items():
        print(
            f"{name:<28}{row['cpu_s']:>12.5f}{Ratio(**row['cpu_ratio'])!s:>26}"
            f"{row['wall_s']:>12.5f}{row['wall_ratio']['median']:>9.3f}",
            flush=True,
        )


def conditions() -> dict[str, Any]:
    """Machine and versions."""
    import importlib.metadata as metadata

    import jax

    import joulax

    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((x.split(":")[1].strip() for x in file if x.startswith("model name")), "")
    versions = {"python": platform.python_version(), "joulax": joulax.__version__}
    for package in ("jax", "jaxlib", "numpy", "equinox", *PEERS):
        if package in sys.modules or package in ("jaxlib",):
            versions[package] = metadata.version(package)
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "pinned_to": CORE,
        "backend": jax.default_backend(),
        "versions": versions,
        "date": time.strftime("%Y-%m-%d"),
    }


PEERS = ("torch", "sinabs", "spikingjelly", "neurobench", "snntorch")


def finish(path: str | None, found: dict[str, Any]) -> None:
    """Say on what it was measured, and write everything to a file."""
    where = conditions()
    versions = ", ".join(f"{k} {v}" for k, v in where["versions"].items())
    print(f"\n{where['cpu']}, one core of {where['cores']}; {versions}")
    write(path, found, where)


def write(path: str | None, found: dict[str, Any], where: dict[str, Any] | None = None) -> None:
    """Write what has been found so far: a long run that is cut short leaves what it had."""
    where = where or conditions()
    if path:
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"conditions": where, "results": found}, file, indent=1)
