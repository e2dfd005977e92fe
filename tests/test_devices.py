"""Many devices: what a mesh counts is what one device counts, to the last digit."""

import os
import pathlib
import socket
import subprocess
import sys
import time

import pytest

PROGRAM = """
import functools
import equinox as eqx, jax, jax.numpy as jnp, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
import joulax

assert len(jax.devices()) == 8


class SNN(eqx.Module):
    layers: list

    def __init__(self, key):
        keys = jax.random.split(key, 2)
        pairs = zip(((32, 64), (64, 16)), keys)
        self.layers = [jax.random.normal(k, n) * (jax.random.uniform(k, n) < 0.8) for n, k in pairs]

    def __call__(self, x):  # time, batch, inputs
        def step(state, x):
            new = []
            for w, v in zip(self.layers, state):
                v = 0.9 * v + x @ w
                x = (v > 1).astype(v.dtype)
                new.append(v - x)
            return new, x
        silent = jnp.zeros_like(x[0][:, :1])
        start = [jnp.broadcast_to(silent, (len(silent), w.shape[1])) for w in self.layers]
        return jax.lax.scan(step, start, x)[1].sum(0)


model = SNN(jax.random.key(0))
x = (jax.random.uniform(jax.random.key(1), (12, 16, 32)) < 0.3).astype(jnp.float32)
OPTIONS = {options}


def counted(model, x):
    out, account = joulax.count(model, spikes=0, **OPTIONS)(x)
    return out, account


one_out, one = jax.jit(counted)(model, x)


def same(found, of=one):
    # sums of currents may round otherwise on a mesh; of these numbers none is near a threshold
    for name in of:
        for a, b in zip(jax.tree.leaves(of[name]), jax.tree.leaves(found[name]), strict=True):
            np.testing.assert_array_equal(np.asarray(a), np.asarray(b), err_msg=name)


def automatic():
    mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=(AxisType.Auto,) * 2)
    place = lambda a, *spec: jax.device_put(a, NamedSharding(mesh, P(*spec)))
    shared = place(x, None, "data")
    same(jax.jit(counted)(jax.tree.map(lambda w: place(w), model), shared)[1])
    split = jax.tree.map(lambda w: place(w, None, "model"), model)  # outputs of layers apart
    same(jax.jit(counted)(split, shared)[1])
    same(counted(split, shared)[1])  # eagerly


def explicit():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        there = jax.device_put(x, NamedSharding(mesh, P(None, "data", None)))
        own = jax.tree.map(lambda w: jax.device_put(w, NamedSharding(mesh, P())), model)
        same(jax.jit(counted)(own, there)[1])


def mapped():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    split = jax.shard_map(
        lambda m, x: m(x), mesh=mesh, in_specs=(P(), P(None, "data")), out_specs=P("data")
    )
    counting = joulax.count(split, weights=0, spikes=1, **OPTIONS)
    same(jax.jit(lambda m, x: counting(m, x)[1])(model, x))


def summed():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))

    @functools.partial(
        jax.shard_map, mesh=mesh, in_specs=(P(), P(None, "data")), out_specs=P(), check_vma=False
    )
    def ledger(model, x):
        account = counted(model, x)[1]
        total = joulax.Ledger.init(account).add(account)
        return jax.lax.psum(total, "data")

    found = jax.jit(ledger)(model, x).totals()
    whole = joulax.Ledger.init(one).add(one).totals()
    assert found == whole, (found, whole)


{which}()
"""

TOTALS, NEURONS, STEPS = "{}", "dict(neurons=True)", "dict(steps=12)"


@pytest.mark.parametrize(
    ("which", "options"),
    [
        pytest.param("automatic", TOTALS, marks=pytest.mark.slow),
        pytest.param("automatic", NEURONS, marks=pytest.mark.slow),
        ("explicit", TOTALS),
        pytest.param("explicit", STEPS, marks=pytest.mark.slow),
        ("mapped", TOTALS),
        pytest.param("summed", TOTALS, marks=pytest.mark.slow),
    ],
)
def test_eight_devices_count_what_one_counts(which, options):
    program = PROGRAM.replace("{which}", which).replace("{options}", options)
    environment = {
        **os.environ,
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
        "JAX_PLATFORMS": "cpu",
        "JAX_ENABLE_X64": "0",
    }
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr[-3000:]


EXAMPLE = pathlib.Path(__file__).parent.parent / "examples" / "distributed_evaluation.py"


def start(process, port, state, pause):
    """One of two processes of the example."""
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_ENABLE_X64": "0"}
    options = dict(process=process, processes=2, coordinator=f"localhost:{port}", batches=12)
    options |= dict(state=state, pause=pause)
    command = [sys.executable, str(EXAMPLE), *(f"--{k}={v}" for k, v in options.items())]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def free_port():
    with socket.socket() as s:
        s.bind(("localhost", 0))
        return s.getsockname()[1]


@pytest.mark.slow
def test_a_killed_process_is_an_error_and_a_restart_goes_on(tmp_path):
    """Two processes, one killed: no total and a reason within a minute; restarted: the totals."""
    port = free_port()
    pair = [start(i, port, tmp_path, pause=0.5) for i in range(2)]
    while not (tmp_path / "share-1-of-2").exists():
        assert all(p.poll() is None for p in pair)
        time.sleep(0.1)
    pair[1].kill()
    begin = time.monotonic()
    out, errors = pair[0].communicate(timeout=60 + 12 * 0.5)
    pair[1].communicate()
    assert pair[0].returncode != 0, out
    assert "samples" not in out
    assert "another task died" in errors or "stopped sending heartbeats" in errors, errors[-2000:]
    assert time.monotonic() - begin < 60

    port = free_port()
    pair = [start(i, port, tmp_path, pause=0.0) for i in range(2)]
    out, errors = pair[0].communicate(timeout=300)
    pair[1].communicate(timeout=60)
    assert pair[0].returncode == pair[1].returncode == 0, errors[-2000:]
    alone = subprocess.run(
        [sys.executable, str(EXAMPLE), "--batches=12"], capture_output=True, text=True, check=True
    ).stdout
    counts = lambda text: [x for x in text.splitlines() if not x.startswith("[Gloo]")]
    assert "192 samples" in out
    assert counts(out) == counts(alone)
