"""The registry of rules: every primitive of the installed JAX has a rule or is declared opaque."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest
from jax._src import core  # this test alone looks into JAX's private registry

import joulax
from joulax._count.rules import OPAQUE, RULES

LIST = """
import gc, importlib, pkgutil, jax, jax._src, jax.experimental.sparse
from jax._src import core
foreign = "test tpu mosaic triton cloud pallas cluster cuda".split()
modules = pkgutil.walk_packages(jax._src.__path__, "jax._src.", lambda name: None)
for module in modules:
    if not any(word in module.name for word in foreign):
        try:
            importlib.import_module(module.name)
        except Exception:  # modules for machines that are not here
            continue
print(*{o.name for o in gc.get_objects() if isinstance(o, core.Primitive)})
"""


def test_every_primitive_has_a_rule_or_is_opaque():
    """Listed by another interpreter, in which nothing but JAX has been imported."""
    run = subprocess.run([sys.executable, "-c", LIST], capture_output=True, text=True, check=True)
    found = set(run.stdout.split())
    assert len(found) > 250
    assert sorted(found - set(RULES) - OPAQUE) == []


def test_a_rule_and_opaque_exclude_each_other():
    assert set(RULES) & OPAQUE == set()


def test_registering_twice_is_an_error():
    with pytest.raises(ValueError, match="'dot_general' has a rule already"):
        joulax.rule("dot_general")(lambda eqn, ins, ctx: None)


def test_a_primitive_of_ones_own_is_opaque_until_it_has_a_rule():
    """`x W` as a primitive nobody knows: refused; with the rule of a product it is a site."""
    from joulax._count.rules.contractions import dot_geometry
    from joulax._count.rules.products import bilinear

    product = core.Primitive("my_product")
    numbers = (((1,), (0,)), ((), ()))
    f = lambda x, w: jax.lax.dot_general(x, w, numbers)
    product.def_impl(lambda x, w, **_: f(x, w))
    product.def_abstract_eval(lambda x, w, **_: core.ShapedArray((x.shape[0], w.shape[1]), x.dtype))
    from jax._src.interpreters import mlir

    mlir.register_lowering(product, mlir.lower_fun(lambda x, w, **_: f(x, w), False))
    model = lambda w, x: product.bind(x, w, dimension_numbers=numbers)
    w, x = jnp.ones((3, 2)), jnp.array([[1.0, 0.0, 1.0]])
    with pytest.raises(ValueError, match="`my_product` has no rule"):
        joulax.count(model, weights=0, spikes=1)(w, x)
    with pytest.raises(ValueError, match="`my_product` has no rule"):  # a leaf of two elements
        joulax.count(model, weights=0, spikes=1)(w[:1], x[:, :1])
    joulax.opaque("my_other_product")

    @joulax.rule("my_product")
    def _site(eqn, ins, ctx):
        return bilinear(eqn, ins, ctx, dot_geometry(eqn))

    try:
        record = next(iter(joulax.count(model, weights=0, spikes=1)(w, x)[1].values()))
        assert (float(record.dense_ac), float(record.synapses)) == (6, 6)
    finally:
        del RULES["my_product"]
        OPAQUE.discard("my_other_product")
