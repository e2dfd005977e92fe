"""Programs of the shards of a mesh, here of one device, and kernels of other libraries by name."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import mlir
from jax.sharding import Mesh, PartitionSpec as Spec

import joulax

from .common import check, f32

RNG = np.random.default_rng(14)


S, T = (f32(RNG.random((4, 6)) < 0.5) for _ in range(2))
A = f32(RNG.normal(size=(4, 6)))
W = f32(RNG.uniform(1, 2, (6, 3)))


def events(x):
    return float(np.sum(np.asarray(x)))


MESH = Mesh(np.asarray(jax.devices()[:1]), ("x",))
on_mesh = functools.partial(jax.shard_map, mesh=MESH, check_vma=False)


def half_pool(s):
    return 0.5 * s.reshape(2, 2, 6).sum(1)


ARRIVING = {  # what meets the weight, and its events; None: analog
    "spikes": (lambda s, t: s, S),
    "all of them": (lambda s, t: lax.all_gather(s, "x", tiled=True), S),
    "all of them, on an axis": (lambda s, t: lax.all_gather(s, "x")[0], S),
    "all counts": (lambda s, t: lax.all_gather(half_pool(s), "x", tiled=True), S),
    "from another": (lambda s, t: lax.ppermute(s, "x", [(0, 0)]), S),
    "counts from another": (lambda s, t: lax.ppermute(half_pool(s), "x", [(0, 0)]), S),
    "exchanged": (lambda s, t: lax.all_to_all(s, "x", 0, 1, tiled=True), S),
    "added": (lambda s, t: lax.psum(s, "x"), S),
    "counts added": (lambda s, t: lax.psum(half_pool(s), "x"), S),
    "differences added": (lambda s, t: lax.psum(s - t, "x"), abs(S - T)),
    "scattered": (lambda s, t: lax.psum_scatter(s, "x", tiled=True), S),
    "the largest": (lambda s, t: lax.pmax(s, "x"), S),
    "the smallest": (lambda s, t: lax.pmin(s, "x"), S),
    "the largest mean": (lambda s, t: lax.pmax(half_pool(s), "x"), None),
    "two at once": (lambda s, t: sum(lax.psum((s, t), "x")), S + T),
    "analog data, added": (lambda s, t: lax.psum(jnp.exp(s), "x"), None),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_travels_between_shards():
    names = [*ARRIVING]

    def body(p, s, t):
        return {k: jnp.atleast_2d(ARRIVING[k][0](s, t) @ p[k]) for k in names}

    model = on_mesh(body, in_specs=(Spec(), Spec("x"), Spec("x")), out_specs=Spec())
    p = dict.fromkeys(names, W)
    p = {k: v + i for i, (k, v) in enumerate(p.items())}
    _, account = joulax.count(model, weights=0, spikes=(1, 2))(p, S, T)
    found = {k: account[k].ac for k in names}
    found = {k: v if v is None else float(v) for k, v in found.items()}
    assert found == {k: None if v is None else 3 * events(v) for k, (_, v) in ARRIVING.items()}


MOVED = {
    "gathered": lambda a: lax.all_gather(a, "x", tiled=True),
    "from another": lambda a: lax.ppermute(a, "x", [(0, 0)]),
    "exchanged": lambda a: lax.all_to_all(a, "x", 0, 0, tiled=True),
}


@pytest.mark.parametrize("moved", MOVED)
def test_products_that_travel_between_shards_are_synapses_where_they_are_added(moved):
    """Rows times events, one by one, moved and then added up: they were in no record."""
    body = lambda w, s: MOVED[moved](w * s[:, None]).sum(0)
    model = on_mesh(body, in_specs=(Spec(), Spec()), out_specs=Spec())
    record = joulax.count(model, weights=0, spikes=1)(W, S[0])[1]["w"]
    assert (float(record.ac), float(record.synapses)) == (3 * events(S[0]), 18)


@pytest.mark.parametrize("moved", ["gathered along a new axis", "added over shards"])
def test_products_that_no_rule_follows_between_shards_are_refused(moved):
    moves = {
        "added over shards": lambda a: lax.psum(a, "x"),
        "gathered along a new axis": lambda a: lax.all_gather(a, "x").sum(0),
    }
    body = lambda w, s: moves[moved](w * s[:, None]).sum(0)
    model = on_mesh(body, in_specs=(Spec(), Spec()), out_specs=Spec())
    with pytest.raises(ValueError, match=moved.split()[0]):
        joulax.count(model, weights=0, spikes=1)(W, S[0])


def test_neurons_of_shards():
    """Layers on a mesh: what one device counts."""

    def net(p, xs):
        def step(v, x):
            v = 0.5 * v + x @ p
            s = f32(v > 0.5)
            return v - s, s

        return lax.scan(step, jnp.zeros(3, jnp.float32), xs[0])[1][None]

    for weight in (Spec(), Spec(None, "x")):
        model = on_mesh(net, in_specs=(weight, Spec("x")), out_specs=Spec("x"))
        _, one = joulax.count(net, weights=0, spikes=1)(W, S[None])
        out, account = joulax.count(model, weights=0, spikes=1)(W, S[None])
        fired = events(out)
        check(account["p"], ac=3 * events(S), updates=12, neurons=3, spikes=fired, nonzero=18)
        assert jax.tree.all(jax.tree.map(jnp.array_equal, account["p"], one["p"]))


def test_products_that_are_added_over_shards_are_lost():
    """Rows of a weight, each on a shard of its own."""
    body = lambda w, s: lax.psum((w * s[0][:, None]).reshape(3, 2, 3), "x").sum(0)
    model = on_mesh(body, in_specs=(Spec(), Spec("x")), out_specs=Spec())
    with pytest.raises(ValueError, match="added over shards"):
        joulax.count(model, weights=0, spikes=1)(W, S)


# -- kernels of brainevent, by their names ------------------------------------------------------


def kernel(name, function):
    """A primitive of this name."""
    made = Primitive(name)
    made.multiple_results = True

    def evaluated(*args, **params):
        return [function(*args, **params)]

    def abstract(*avals, **params):
        out = jax.eval_shape(functools.partial(function, **params), *avals)
        return [jax.core.ShapedArray(out.shape, out.dtype)]

    made.def_impl(evaluated)
    made.def_abstract_eval(abstract)
    mlir.register_lowering(made, mlir.lower_fun(evaluated, multiple_results=True))
    return made


def dense(w, x, *, transpose):
    return jnp.matmul(w.T if transpose else w, f32(x), precision="highest")


def stored(w, indices, pointers, shape):
    """The matrix whose elements are stored row by row."""
    rows = jnp.repeat(jnp.arange(shape[0]), jnp.diff(pointers), total_repeat_length=len(indices))
    return jnp.zeros(shape, jnp.float32).at[rows, indices].add(w)


def sparse(w, indices, pointers, x, *, shape, transpose):
    matrix = stored(w, indices, pointers, shape)
    return dense(matrix, x, transpose=transpose)


DENSE = {n: kernel(f"binary_dense{n}", dense) for n in ("mv", "mm")}
SPARSE = {n: kernel(f"{n}", sparse) for n in ("binary_csrmv", "binary_csrmm", "csrmv", "csrmm")}
INDICES, POINTERS = jnp.asarray([0, 2, 1, 3, 0, 4]), jnp.asarray([0, 2, 3, 3, 6])
SHAPE = (4, 5)
HOLES = f32([[0, 1, 1], [1, 0, 0], [1, 1, 1], [1, 1, 0], [1, 1, 1], [1, 1, 1]])


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("transpose", [True, False])
def test_spikes_times_a_dense_matrix(transpose, columns):
    """A spike reaches the weights of its row, from the left, or of its column, that are there."""
    n, m = (6, 3) if transpose else (3, 6)
    there = HOLES * W
    x = RNG.random((n, columns)) < 0.6
    x = x[:, 0] if columns == 1 else x
    name = "mv" if columns == 1 else "mm"
    f = lambda w, x: jnp.tanh(DENSE[name].bind(w, x, transpose=transpose)[0])
    _, account = joulax.count(f, weights=0)(there, jnp.asarray(x))
    reach = np.asarray(HOLES).sum(1 if transpose else 0)
    each = x.reshape(n, -1).sum(1)
    made = dict(neurons=m, updates=m * columns, synapses=18, nonzero=events(HOLES))
    check(account["w"], ac=float(each @ reach), dense_ac=18.0 * columns, **made)


@pytest.mark.parametrize("name", SPARSE)
@pytest.mark.parametrize("transpose", [True, False])
@pytest.mark.parametrize("one", [True, False])
def test_spikes_times_stored_elements(name, transpose, one):
    """A spike reaches what is stored in its row, or in its column; one weight may serve all."""
    columns = 2 if name.endswith("mm") else 1
    n, m = SHAPE if transpose else SHAPE[::-1]
    w = f32([2.0]) if one else f32([1, 2, 0, 4, 5, 6])
    x = RNG.random((n, columns) if columns > 1 else n) < 0.6
    f = lambda w, x: jnp.tanh(
        SPARSE[name].bind(w, INDICES, POINTERS, x, shape=SHAPE, transpose=transpose)[0]
    )
    _, account = joulax.count(f, weights=0)(w, jnp.asarray(x))
    there = np.asarray(stored(f32(w != 0) * jnp.ones(6, jnp.float32), INDICES, POINTERS, SHAPE))
    each = x.reshape(n, -1).sum(1)
    ac = float(each @ there.sum(1 if transpose else 0))
    made = dict(neurons=m, updates=m * columns, synapses=6, nonzero=events(there))
    check(account["w"], ac=ac, dense_ac=6.0 * columns, **made)


def test_counts_and_analog_data_in_a_kernel():
    counts = lambda w, s, t: DENSE["mv"].bind(w, (s + t)[0], transpose=True)[0]
    _, account = joulax.count(counts, weights=0, spikes=(1, 2))(W, S, T)
    both = np.asarray(S[0] + T[0])
    check(account["w"], ac=3 * events(both), ac_graded=3 * events(both > 0), dense_ac=18)
    analog = lambda w, a: DENSE["mv"].bind(w, a, transpose=True)[0]
    _, account = joulax.count(analog, weights=0)(W, A[0].at[0].set(0.0))
    check(account["w"], mac=15.0, dense_mac=18, nonzero=18)


def test_a_kernel_that_draws_its_synapses():
    drawn = kernel("binary_jitsmv", lambda w, x: w * f32(x).sum() * jnp.ones(4, jnp.float32))
    f = lambda w, a: drawn.bind(w, a > 0)[0]
    with pytest.raises(ValueError, match="synapses inside a kernel"):
        joulax.count(f, weights=0)(W[0, 0], A[0])


def test_the_step_of_a_surrogate_of_braintools():
    fire = kernel("heaviside_surrogate_gradient", lambda v, alpha: f32(v > 0))
    f = lambda w, x: fire.bind(x @ w - 4.0, f32(0.3))[0]
    out, account = joulax.count(f, weights=0, spikes=1)(W, S)
    check(account["w"], ac=3 * events(S), spikes=events(out), updates=12, neurons=3)
