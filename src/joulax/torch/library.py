"""PyTorch itself, found when this package is first used; checkers of types need not have it."""

import importlib
from typing import Any

torch: Any = importlib.import_module("torch")
pytree: Any = importlib.import_module("torch.utils._pytree")
DispatchMode: Any = importlib.import_module("torch.utils._python_dispatch").TorchDispatchMode
StorageWeakRef: Any = importlib.import_module("torch.multiprocessing.reductions").StorageWeakRef
