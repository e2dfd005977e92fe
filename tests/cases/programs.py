"""Programs that the first edition of `count` got wrong, each with its truth.

Truths are NumPy on the values that the program really makes, or hand arithmetic. `None`: the thing
must not be there.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import joulax

R = np.random.default_rng(0)
f32 = lambda a: jnp.asarray(np.asarray(a, np.float32))
W, V = f32(R.normal(size=(5, 7))), f32(R.normal(size=(7, 3)))
P = {"a": W, "b": V}
X = f32(R.random((12, 5)) < 0.4)  # 12 steps or samples of 5 spikes
S = X[0]
npx, npw, npv = np.asarray(X), np.asarray(W), np.asarray(V)
fired = (npx @ npw) > 0.5  # (12, 7)
PRE, POST = R.integers(0, 5, 20), R.integers(0, 7, 20)
PROGRAMS = []


def program(name, args, want, **options):
    def add(fn):
        PROGRAMS.append((name, fn, args, want, options))
        return fn

    return add


one = dict(weights=0, spikes=1)

# -- synapses by index ----------------------------------------------------------


@program(
    "edge list, segment_sum",
    ({"w": f32(R.normal(size=20))}, S),
    {"w": dict(ac=npx[0][PRE].sum())},
    **one,
)
def edges(p, s):
    return jnp.tanh(jax.ops.segment_sum(p["w"] * s[PRE], POST, 7))


@program(
    "rows gathered by a spike list and summed", (P, S), {"a": dict(ac=npx[0].sum() * 7)}, **one
)
def rows(p, s):
    index = jnp.nonzero(s, size=5, fill_value=5)[0]
    return jnp.tanh(p["a"].at[index].get(mode="fill", fill_value=0.0).sum(0))


@program(
    "recurrent edge list in a scan",
    ({"w": f32(R.normal(size=20)) * 0.5}, X),
    {"w": dict(updates=12 * 5, neurons=5)},
    **one,
)
def recurrent_edges(p, xs):
    def step(c, x):
        v, s = c
        v = 0.9 * v + x + jax.ops.segment_sum(p["w"] * s[PRE], PRE[::-1], 5)
        s = (v > 0.5) * 1.0
        return (v - s, s), s

    return lax.scan(step, (jnp.zeros(5), jnp.zeros(5)), xs)[1]


# -- encoders and closed-over data ----------------------------------------------


@program(
    "latency code by a scatter at data indices",
    (P, f32(R.random(5))),
    {"a": dict(ac=35)},
    weights=0,
)
def latency(p, x):
    t = jnp.clip(((1 - x) * 6).astype(jnp.int32), 0, 5)
    return jnp.zeros((6, 5)).at[t, jnp.arange(5)].set(1.0) @ p["a"]


@program("the batch is closed over: refuse, or count it", (P,), "refuse", weights=0)
def closed(p):
    return jnp.sum(((X @ p["a"]) > 0.5) * 1.0 @ p["b"])


# -- sums written by hand -------------------------------------------------------


@program(
    "hand-written sum, analog input", (P, f32(R.normal(size=5))), {"a": dict(mac=35)}, weights=0
)
def by_hand(p, x):
    return jnp.tanh((p["a"] * x[:, None]).sum(0))


@program("unrolled sum of rows", (P, S), {"a": dict(ac=npx[0].sum() * 7)}, **one)
def unrolled_rows(p, s):
    return jnp.tanh(sum(p["a"][i] * s[i] for i in range(5)))


# -- events ----------------------------------------------------------------------


@program(
    "leaky trace before the weights is analog",
    (P, X),
    {"a": dict(mac=int((np.cumsum(npx, 0) > 0).sum()) * 7, ac=None)},
    **one,
)
def trace(p, xs):
    def step(t, x):
        t = 0.9 * t + x
        return t, t @ p["a"]

    return lax.scan(step, jnp.zeros(5), xs)[1]


@program(
    "delta code counts what changed",
    (P, X),
    {"a": dict(ac=np.abs(np.diff(npx, axis=0)).sum() * 7)},
    **one,
)
def delta(p, xs):
    return (xs[1:] - xs[:-1]) @ p["a"]


@program(
    "and-not of two trains",
    (P, X, X[::-1]),
    {"a": dict(ac=(npx * (1 - npx[::-1])).sum() * 7, mac=None)},
    weights=0,
    spikes=(1, 2),
)
def iand(p, y, z):
    return (y * (1 - z)) @ p["a"]


def _ste_docs(v):
    zero = v - lax.stop_gradient(v)
    return zero + lax.stop_gradient((v > 0).astype(v.dtype))


@program(
    "straight-through as in JAX's documentation",
    (P, X),
    {"b": dict(ac=fired.sum() * 3, mac=None)},
    **one,
)
def ste(p, x):
    return _ste_docs(x @ p["a"] - 0.5) @ p["b"]


@program(
    "straight-through, soft part computed twice",
    (P, X),
    {"b": dict(ac=fired.sum() * 3, mac=None)},
    **one,
)
def ste_twice(p, x):
    v = x @ p["a"] - 0.5
    hard = (v > 0).astype(jnp.float32)
    return (lax.stop_gradient(hard - jax.nn.sigmoid(v)) + jax.nn.sigmoid(v)) @ p["b"]


# -- spikes are counted once, where they leave -----------------------------------


@program(
    "used and logged", (P, X), {"a": dict(spikes=fired.sum()), "b": dict(ac=fired.sum() * 3)}, **one
)
def logged(p, x):
    z = x @ p["a"] > 0.5
    return z.astype(jnp.float32) @ p["b"], jnp.mean(z)


@program(
    "boolean straight into a product",
    (P, X),
    {"a": dict(spikes=fired.sum()), "b": dict(ac=fired.sum() * 3)},
    **one,
)
def boolean(p, x):
    return (x @ p["a"] > 0.5) @ p["b"]


def _chain(p, xs):
    def step(c, x):
        v, u = c
        v = 0.9 * v + x @ p["a"]
        s = (v > 0.5) * 1.0
        u = 0.8 * u + p["g"] * s
        z = (u > 0.6) * 1.0
        return (v - s, u - z), (z @ p["b"], s)

    return lax.scan(step, (jnp.zeros(7), jnp.zeros(7)), xs)[1]


G = {**P, "g": jnp.full(7, 0.5)}


@program(
    "one-to-one into a second population",
    (G, X),
    {"a": dict(spikes=float(_chain(G, X)[1].sum()))},
    **one,
)
def chain(p, xs):
    return _chain(p, xs)[0]


# -- populations keep their size -------------------------------------------------


@program("state packed in one array", (P, X), {"a": dict(neurons=7, updates=84)}, **one)
def packed(p, xs):
    def step(c, x):
        v, i = jnp.split(c, 2)
        i = 0.8 * i + x @ p["a"]
        v = 0.9 * v + i
        s = (v > 0.5) * 1.0
        return jnp.concatenate([v - s, i]), s @ p["b"]

    return lax.scan(step, jnp.zeros(14), xs)[1]


@program(
    "a recurrent current that waits a step",
    ({**P, "r": f32(R.normal(size=(7, 7)))}, X),
    {"a": dict(updates=84), "r": dict(updates=None, neurons=None)},
    **one,
)
def waiting(p, xs):
    def step(c, x):
        v, i = c
        v = 0.9 * v + x @ p["a"] + i
        s = (v > 0.5) * 1.0
        return (v - s, s @ p["r"]), s

    return lax.scan(step, (jnp.zeros(7), jnp.zeros(7)), xs)[1]


M = f32(R.random((6, 6)) < 0.5)
A6, B6, X6 = f32(R.normal(size=(6, 6))), f32(R.normal(size=(6, 6))), f32(R.random((4, 6)) < 0.5)
S6 = ((np.asarray(X6) @ (np.asarray(M) * np.asarray(A6))) > 0.3) * 1.0


@program(
    "one mask over two layers",
    ({"m": M, "a": A6, "b": B6}, X6),
    {
        "a": dict(ac=(np.asarray(X6) @ np.asarray(M)).sum()),
        "b": dict(ac=(S6 @ np.asarray(M)).sum()),
    },
    **one,
)
def masked(p, x):
    return (((x @ (p["m"] * p["a"])) > 0.3) * 1.0) @ (p["m"] * p["b"])


# -- movement, effects -----------------------------------------------------------


@program("stacked steps", (P, X), {"b": dict(mac=None)}, **one)
def stacked(p, xs):
    v, out = jnp.zeros(7), []
    for x in xs:
        v = 0.9 * v + x @ p["a"]
        s = (v > 0.5) * 1.0
        v, out = v - s, [*out, s]
    return jnp.stack(out) @ p["b"]


@program("debug.print", (P, S), {"a": dict(ac=npx[0].sum() * 7)}, **one)
def printing(p, x):
    jax.debug.callback(lambda v: None, x.sum())
    return x @ p["a"]


@program("sparse matrix of JAX", (f32(R.random((7, 5)) < 0.5), S), "bcoo", weights=0, spikes=1)
def sparse(w, s):
    from jax.experimental import sparse as formats

    return formats.BCOO.fromdense(w, nse=35) @ s


def total(record, field):
    value = getattr(record, field)
    return None if value is None else float(np.sum(np.asarray(value, np.float64)))


def wrong(fn, args, want, options):
    """What an account says that is not so."""
    if want == "refuse":
        try:
            account = joulax.count(fn, **options)(*args)[1]
        except ValueError:
            return ""
        found = {n: total(account[n], "ac") or total(account[n], "mac") for n in account}
        return (
            "" if len(found) == 2 and all(found.values()) else f"an account {found} without a word"
        )
    out, account = joulax.count(fn, **options)(*args)
    if want == "bcoo":
        truth = float(np.asarray(args[0]).sum(0) @ np.asarray(args[1]))
        got = sum(total(account[n], "ac") or 0 for n in account)
        return "" if got == truth else f"ac: got {got}, true {truth}"
    found = []
    for layer, fields in want.items():
        for field, truth in fields.items():
            got = total(account[layer], field) if layer in account.layers else None
            if (truth is None and got) or (
                truth is not None and (got is None or abs(got - truth) > 1e-4 * max(1, truth))
            ):
                found.append(f"{layer}.{field}: got {got}, true {truth}")
    same = jax.tree.all(
        jax.tree.map(lambda a, b: bool(jnp.allclose(a, b, atol=1e-5)), fn(*args), out)
    )
    return "; ".join(found + ([] if same else ["output changed"]))


if __name__ == "__main__":
    right = 0
    for name, fn, args, want, options in PROGRAMS:
        try:
            what = wrong(fn, args, want, options)
        except Exception as error:
            what = f"{type(error).__name__}: {str(error)[:120]}"
        right += not what
        if what:
            print(f"{name}: {what}")
    print(f"{right} of {len(PROGRAMS)} right")
