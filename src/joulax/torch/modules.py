"""What happens around the call of a module: its name, and what neuron modules give."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from .kinds import Analog, Events, Owner, births_of, owner_of
from .library import tensors_of, torch
from .memory import Kinds
from .neurons import fires
from .tally import Tally


@contextlib.contextmanager
def hooked(
    modules: dict[str, Any], kinds: Kinds, tally: Tally, neurons: tuple[type, ...]
) -> Iterator[None]:
    """Know which module runs, and what neuron modules give; nothing stays behind."""
    seen = _Modules(kinds, tally, neurons)
    fast = torch.backends.mha.get_fastpath_enabled()
    onednn = torch._C._get_mkldnn_enabled()
    handles = []
    try:
        torch.backends.mha.set_fastpath_enabled(False)  # one operation, with all synapses inside
        for name, module in modules.items():
            before, after = seen.hooks(name, module)
            handles += [
                module.register_forward_pre_hook(before, with_kwargs=True),
                module.register_forward_hook(after, always_call=True),
            ]
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        torch._C._set_mkldnn_enabled(onednn)
        for handle in handles:
            handle.remove()


class _Modules:
    """What happens around the call of a module."""

    def __init__(self, kinds: Kinds, tally: Tally, neurons: tuple[type, ...]):
        self.kinds, self.tally, self.neurons = kinds, tally, neurons
        self.entered: list[tuple[Owner | None, Any]] = []

    def hooks(self, name: str, module: Any) -> tuple[Callable[..., None], Callable[..., None]]:
        """What runs before a module, and after it."""
        firing = fires(module, self.neurons)
        cell = isinstance(module, torch.nn.RNNBase | torch.nn.RNNCellBase)
        counts = firing is not None or cell

        def before(module: Any, args: Any, kwargs: Any) -> None:
            self.tally.modules.append(name)
            if counts:
                self.tally.inside += 1
                inputs = tensors_of((args, kwargs))
                self.entered.append((self._owner(inputs), inputs))
            if cell:
                torch._C._set_mkldnn_enabled(False)  # its recurrent layers hide their synapses

        def after(module: Any, args: Any, out: Any) -> None:
            self.tally.modules.pop()
            if not counts:
                return
            self.tally.inside -= 1
            entered = self.entered.pop()
            if not self.tally.inside and out is not None:
                if cell:
                    self._cell(name, module, out)
                else:
                    self._neurons(name, module, entered, bool(firing), out)

        return before, after

    def _owner(self, inputs: Any) -> Owner | None:
        """The current that a neuron module gets, or whose spikes; they have arrived."""
        kinds = [self.kinds[t] for t in tensors_of(inputs)[:1]]
        self.tally.arrive(births_of(kinds))
        return owner_of(kinds)

    def _source(self, name: str, inputs: Any, spikes: Any) -> Owner:
        """The current behind a module that no layer feeds: one inside, or that of the spikes."""
        found = self.kinds[spikes]
        inside = found.source if isinstance(found, Events) else None
        inside = found.owner if isinstance(found, Analog) else inside
        if inside is not None:
            return inside
        kinds = [self.kinds[t] for t in tensors_of(inputs)[:1]]
        before = next((k.source for k in kinds if isinstance(k, Events)), None)
        size = spikes.numel()
        return replace(before, layer=name) if before else Owner(name, 0, float(size), 1.0)

    def _neurons(self, name: str, module: Any, entered: Any, firing: bool, out: Any) -> None:
        """Spikes and updates of a neuron module, at the layer that feeds it."""
        tensors = tensors_of(out)
        if not tensors:
            return
        spikes = tensors[0]
        owner, inputs = entered
        owner = owner or self._source(name, inputs, spikes)
        layer = self.tally.advance(owner, spikes.numel())
        kind = f"{type(module).__name__} {name!r}"
        if not firing:
            self.kinds[spikes] = Analog(f"the membrane of {kind}")
            return
        value = spikes.detach()
        fired = float(value.abs().sum(dtype=torch.float64))
        self.tally.fire(layer, fired, float(torch.count_nonzero(value)))
        self.kinds[spikes] = Events(f"output of {kind}", source=owner)

    def _cell(self, name: str, module: Any, out: Any) -> None:
        """Units of a recurrent layer, each layer and direction at its input weights."""
        first = tensors_of(out)[0]
        weights = [n for n in module._parameters if n.startswith("weight_ih")]
        ways = 2 if getattr(module, "bidirectional", False) else 1
        for weight in weights:
            leaf = f"{name}.{weight}".lstrip(".")
            layer = frozenset((leaf,))
            if layer in self.tally.records:
                units = module.hidden_size
                size = first.numel() // ways
                self.tally.advance(self.tally.owner(layer, float(units), size / units), size)
        for tensor in tensors_of(out):
            self.kinds[tensor] = Analog(f"output of {type(module).__name__} {name!r}")
