"""Strict JAX, and every call of the library checked by jaxtyping and beartype.

Most of the time goes into compiling programs that run once, so XLA takes the shortest way: a sixth
of the time, the same results. JOULAX_PLAIN=1: as users have it, without any of this.
JOULAX_CHECKED=1: also every call inside of `_count`, which is slow and rarely needed: its types
are checked without running them already. JOULAX_SHARE=1/3: every third test, from the second on,
which is most cases of every function: other versions and precisions share the suite among them.
"""

import ctypes
import importlib.util
import itertools
import json
import os
import pathlib
import pkgutil
import sys

import jax
import numpy as np
import pytest
from beartype.claw import beartype_package
from hypothesis import settings
from jaxtyping import install_import_hook

from . import typechecker as typechecker  # imported by name in the hook

QUICK = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
if not os.environ.get("JOULAX_PLAIN"):
    os.environ.setdefault("XLA_FLAGS", QUICK)  # read at the first compilation
    jax.config.update("jax_disable_most_optimizations", True)
    jax.config.update("jax_numpy_rank_promotion", "raise")
    if not jax.config.jax_enable_x64:  # the models of the tests mix float32 with default floats
        jax.config.update("jax_numpy_dtype_promotion", "strict")
    if os.environ.get("JOULAX_CHECKED"):
        beartype_package("joulax._count", conf=typechecker.CONF)  # names no shapes
    where = importlib.util.find_spec("joulax").submodule_search_locations
    shaped = [f"joulax.{m.name}" for m in pkgutil.iter_modules(where) if m.name != "_count"]
    install_import_hook(shaped, "tests.typechecker.check").__enter__()


if not os.environ.get("JOULAX_PROGRAMS"):  # the same examples each time, new ones on demand
    settings.register_profile("same", derandomize=True, deadline=None)
    settings.load_profile("same")

SMOKE = ("idioms/test_births.py", "test_energy.py", "test_sites.py::test_dense", "test_pruning.py")


def pytest_collection_modifyitems(config: pytest.Config, items: list) -> None:
    """`-m smoke`: one file for each word of the sentence, in under half a minute."""
    for item in items:
        if any(item.nodeid.startswith(f"tests/{name}") for name in SMOKE):
            item.add_marker(pytest.mark.smoke)
    first, every = map(int, os.environ.get("JOULAX_SHARE", "0/1").split("/"))
    others = [item for k, item in enumerate(items) if k % every != first]
    config.hook.pytest_deselected(items=others)
    items[:] = items[first::every]


STARTS: dict[str, dict] = {}


@pytest.fixture(autouse=True)
def same_draws(request):
    """Every test draws the same numbers, whichever tests have run before it."""
    generator = getattr(request.module, "RNG", None)
    if generator is not None:
        state = generator.bit_generator.state
        generator.bit_generator.state = STARTS.setdefault(request.module.__name__, state)


STATM = pathlib.Path("/proc/self/statm")
ROOM = 750 * 2**20  # bytes of one process
finished, floor = itertools.count(1), [0]


@pytest.fixture(autouse=True)
def forgotten():
    """Compiled programs are dropped when they fill their room, and their memory is given back."""
    yield
    if STATM.exists():
        if resident() > max(ROOM, 1.3 * floor[0]):
            forget()
            floor[0] = resident()
    elif next(finished) % 50 == 0:
        forget()


def resident():
    """Bytes of this process."""
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def forget():
    jax.clear_caches()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)


CASES = pathlib.Path(__file__).parent / "cases"


class Case(dict):
    """One recorded run of a peer, with its arrays."""

    @property
    def arrays(self):
        return np.load(CASES / self["npz"]) if self["npz"] else {}


def recorded(peer: str, *kinds: str) -> list:
    """Recorded cases of a peer, as parameters of a test."""
    found = [
        Case(c)
        for c in json.loads((CASES / "cases.json").read_text())
        if c["peer"] == peer and c["kind"] in kinds
    ]
    assert found, f"no recorded case of {peer} {kinds}"
    return [pytest.param(c, id=c["id"].split("/")[1]) for c in found]
