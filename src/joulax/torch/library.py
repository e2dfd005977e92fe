"""PyTorch itself, found when this package is first used; checkers of types need not have it."""

import importlib
from typing import Any

torch: Any = importlib.import_module("torch")
pytree: Any = importlib.import_module("torch.utils._pytree")
DispatchMode: Any = importlib.import_module("torch.utils._python_dispatch").TorchDispatchMode
StorageWeakRef: Any = importlib.import_module("torch.multiprocessing.reductions").StorageWeakRef


def tensors_of(tree: Any) -> list[Any]:
    """The tensors in a tree, those of packed sequences among them."""
    return [t for t in pytree.tree_leaves(tree) if isinstance(t, torch.Tensor)]
