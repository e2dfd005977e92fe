"""Time and memory of `joulax.summary` beside those of tracing the same model, each in a process of
its own. Seconds are those of the processor, on all cores.

    python benchmarks/summaries.py            # ResNet-50, ViT-B/16, GPT-2
    python benchmarks/summaries.py resnet50   # one of them

Memory is the largest resident size of the process, JAX and Python included; `trace` is
`jax.make_jaxpr` of the model on shapes.
"""

import pathlib
import resource
import subprocess
import sys
import time

import equinox as eqx
import jax
import jax.numpy as jnp

import joulax

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "examples"))
import networks

IMAGE = jax.ShapeDtypeStruct((3, 224, 224), jnp.float32)
CASES = {
    "resnet50": (networks.ResNet50, IMAGE),
    "vit": (networks.ViT, IMAGE),
    "gpt2": (networks.GPT2, jax.ShapeDtypeStruct((1024,), jnp.int32)),
}


def trace(model, shapes):
    """The model's jaxpr, from shapes alone."""
    arrays, rest = eqx.partition(model, lambda x: isinstance(x, jax.ShapeDtypeStruct))
    jax.make_jaxpr(lambda arrays, x: eqx.combine(arrays, rest)(x))(arrays, shapes)


def measured(name: str, mode: str) -> None:
    """Prints the seconds of processor and the largest size of this process [MB]."""
    network, shapes = CASES[name]
    model = eqx.filter_eval_shape(network, jax.random.key(0))
    work = {"trace": trace, "summary": lambda model, x: joulax.summary(model)(x).total}[mode]
    start = time.process_time()
    work(model, shapes)
    seconds = time.process_time() - start
    print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main(names: list[str]) -> None:
    """A row for each network."""
    print(f"{'network':<12}{'trace':>8}{'summary':>10}{'trace':>12}{'summary':>10}{'ratio':>8}")
    for name in names or CASES:
        found = {}
        for mode in ("trace", "summary"):
            command = [sys.executable, __file__, "--one", name, mode]
            text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            found[mode] = [float(x) for x in text.split()]
        (a, m), (b, n) = found["trace"], found["summary"]
        print(f"{name:<12}{a:>6.1f} s{b:>8.1f} s{m:>9.0f} MB{n:>7.0f} MB{n / m:>8.2f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        measured(*sys.argv[2:])
    else:
        main(sys.argv[1:])
