"""Strict JAX, and every call of the library checked by jaxtyping and beartype.

Most of the time goes into compiling programs that run once, so XLA takes the shortest way: a sixth
of the time, the same results. JOULAX_PLAIN=1: as users have it, without any of this.
"""

import json
import os
import pathlib

import jax
import numpy as np
import pytest
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
    install_import_hook("joulax", "tests.typechecker.check").__enter__()


if not os.environ.get("JOULAX_PROGRAMS"):  # the same examples each time, new ones on demand
    settings.register_profile("same", derandomize=True, deadline=None)
    settings.load_profile("same")

SMOKE = ("idioms/test_births.py", "test_energy.py", "test_sites.py::test_dense", "test_pruning.py")


def pytest_collection_modifyitems(items: list) -> None:
    """`-m smoke`: one file for each word of the sentence, in under half a minute."""
    for item in items:
        if any(item.nodeid.startswith(f"tests/{name}") for name in SMOKE):
            item.add_marker(pytest.mark.smoke)


@pytest.fixture(autouse=True, scope="module")
def forgotten():
    """Compiled programs are dropped after each file, so that the suite stays small."""
    yield
    jax.clear_caches()


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
