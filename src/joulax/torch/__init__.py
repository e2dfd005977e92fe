"""Models of PyTorch, counted as they run: the same `(output, account)` as for a JAX program.

PyTorch is no dependency and is imported when a model is counted. Neuron modules of snnTorch,
SpikingJelly, Norse and Sinabs are known by their classes; others are named by `neurons=`.
"""

import importlib
from collections.abc import Callable, Sequence
from typing import Any

from .._activity.account import Account

__all__ = ["count"]


def count(
    model: Callable[..., Any],
    *,
    spikes: Any = None,
    weights: Any = None,
    neurons: Sequence[type] = (),
    strict: bool = True,
) -> Callable[..., tuple[Any, Account]]:
    """Count what a PyTorch model does while it runs.

    ```python
    import joulax
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    output, account = joulax.torch.count(model)(torch.tensor([[1.0, 0.0, 2.0]]))
    assert float(account["0"].mac) == 8  # two nonzero inputs reach four neurons each
    ```

    The operations of PyTorch are watched as they are executed, so loops over time, modules used
    twice, attention and functional products need nothing more. Whether an input of a layer is
    spiking is decided by what made it: a neuron module, a comparison, a declared argument, through
    movement, pooling and scaling; never by its values. Numbers are added as the model runs, and
    nothing is stored.

    **Arguments:**

    - `model`: a `torch.nn.Module`, or a function of tensors.

    **Options:**

    - `spikes`: arguments that carry spikes, by number or by name; the others are analog, boolean
      ones excepted.
    - `weights`: arguments that hold parameters, by number or by name, for functions.
    - `neurons`: further classes of modules whose (first) output is spikes.
    - `strict`: raise if there are synapses that stand in no record. With `strict=False` counting
      goes on, and the account is `partial`.

    **Returns:**

    A function that returns `(output, account)`. Layers are called like the modules that hold the
    weights; every field is a sum over the call, batch included.

    **Raises:**

    `ImportError` without PyTorch; `ValueError` for an argument that does not exist, or for a
    primitive that hides synapses.
    """
    try:
        importlib.import_module("torch")
    except ImportError as error:
        raise ImportError("joulax.torch counts models of PyTorch: pip install torch") from error
    from .counting import counter

    return counter(model, spikes, weights, tuple(neurons), strict)
