"""What a loop does to values: slices, stacks, states that start each step anew."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from ..axes import IDLE, MET, REPEATED, SOURCE, VARIES, WEIGHT
from ..joins import join
from ..kinds import Analog, Data, Events, Parameter, Term, Value, Weight, is_simple
from ..places import NONE, Layer, Path, Paths, Place, State
from .births import population
from .changes import untaught


def sliced(info: Value, path: Path, length: int) -> Value:
    """What a scan hands to one step."""
    loop = frozenset((path,))
    axes = info.axes.without((0,))
    if isinstance(info, Parameter):
        layer = info.layer or (Layer(path, length) if info.leaves else None)
        return info.anew(axes=axes, layer=layer, place=info.place.walked(loop))
    assert isinstance(info, Data)
    return info.anew(
        axes=axes,
        source=info.root,
        place=info.place.walked(loop),
        terms=frozenset(_sliced_term(t, loop) for t in info.terms),
        weight=_sliced_weight(info.weight, loop),
    )


def _sliced_weight(weight: Weight | None, loop: Paths) -> Weight | None:
    """The part of a leaf that data have changed which one step takes; of a gain in time nothing."""
    if weight is None or not weight.axes.has(0, WEIGHT):
        return None
    place = weight.place.walked(loop)
    return dataclasses.replace(weight, axes=weight.axes.without((0,)), place=place)


def _sliced_term(term: Term, loop: Paths) -> Term:
    weight, place = term.weight, term.place
    if len(term.axes) and term.axes.has(0, WEIGHT):
        weight = dataclasses.replace(weight, place=weight.place.walked(loop))
    if len(term.axes) and term.axes.has(0, SOURCE):
        place = place.walked(loop)
    axes = term.axes.without((0,)) if len(term.axes) else term.axes
    return term.but(axes=axes, weight=weight, place=place)


def stacked(info: Value, path: Path, length: int, others: bool = False) -> Value:
    """What a scan collects over its steps: the new axis is time, or `others`' neurons."""
    if isinstance(info, Parameter):
        return info.anew(axes=info.axes.inserted(0, length, VARIES), layer=None, place=Place())
    assert isinstance(info, Data)
    region = REPEATED if (info.feeds or info.births) and not others else 0
    out = _left(info, path)
    axes = info.axes.inserted(0, length, VARIES | region)
    out = out.but(size=min(out.size * length, float(axes.size(IDLE)))) if others else out
    return out.anew(
        axes=axes,
        terms=frozenset(_stacked_term(t, path, length) for t in info.terms),
        source=-1,
        place=Place(),
        origin=info.root,
        weight=None,
    )


def _stacked_term(term: Term, path: Path, length: int) -> Term:
    loops = term.weight.place.loops
    labels = (WEIGHT if path in loops else 0) | (SOURCE if path in term.place.loops else 0)
    place = term.weight.place.left(frozenset((path,)))
    layer = term.weight.layer  # its slices are together again: one layer
    layer = None if layer and layer.path == path else layer
    weight = dataclasses.replace(term.weight, place=place, layer=layer)
    own = term.place.left(frozenset((path,)))
    return term.but(axes=term.axes.inserted(0, length, labels), weight=weight, place=own)


def _left(info: Data, path: Path) -> Data:
    """A value outside a loop again: a running sum is complete."""
    out = info.but(held=_outside(info.held, path), turns=NONE)
    if not isinstance(out, Events):
        return out
    return out.but(running=_outside(out.running, path), piled=out.piled - {path}, poly=None)


def _outside(states: Paths, path: Path) -> Paths:
    return frozenset(s for s in states if s[: len(path)] != path)


def leaving(info: Value, path: Path) -> Value:
    """A state after the loop."""
    if isinstance(info, Parameter):
        place = info.place.left(frozenset((path,)))
        return info.anew(place=place)
    assert isinstance(info, Data)
    rows = frozenset(_behind(t, path) for t in info.terms if _stays(t, path))
    return _left(info, path).anew(terms=rows, source=-1, place=Place(), last=True)


def _stays(term: Term, path: Path) -> bool:
    """Whether a product is in a state as it was made: in a buffer, or put in place of the last."""
    return path in term.stored or (term.is_open and path in term.carried)


def _behind(term: Term, path: Path) -> Term:
    """A product in a state behind the loop: of all steps in a buffer, else of the last one."""
    loop, layer = frozenset((path,)), term.weight.layer
    weight = dataclasses.replace(term.weight, layer=None if layer and layer.path == path else layer)
    out = in_buffer(term.but(weight=weight), loop)
    return out.but(stored=term.stored - loop, still=term.still - loop)


def in_buffer(term: Term, loops: Paths, still: Paths = NONE) -> Term:
    """A product that loops have put at a place of its own in every step; in some it is `still`."""
    weight = dataclasses.replace(term.weight, place=term.weight.place.left(loops))
    return term.but(
        weight=weight,
        place=term.place.left(loops),
        stored=term.stored | loops,
        still=term.still | still,
        carried=term.carried - loops,
    )


def _replacing(old: Value, info: Value, state: Path) -> Value:
    """What a step makes of a state, where nothing of it is in that: products stay products.

    A constant may be what the state is before the first step alone.
    """
    if not (isinstance(old, Data) and isinstance(info, Data)) or state in info.held:
        return info
    loop, still = frozenset((state[:-1],)), frozenset(t for t in info.terms if t.is_open)
    return info.but(
        terms=info.terms - still | frozenset(t.but(carried=t.carried | loop) for t in still)
    )


def entering(info: Value, path: Path, k: int) -> Value:
    """State k at the start of a step: a source of its own."""
    if not isinstance(info, Data):
        return info
    loop, state = frozenset((path,)), (*path, k)
    terms = frozenset(
        _read_back(t, loop) if _stays(t, path) else t.but(counted=True, carried=t.carried | loop)
        for t in info.terms
        if _stays(t, path) or path in t.weight.place.loops & t.place.loops
    )
    fresh: dict[str, Any] = dict(source=-1, place=Place(), terms=terms)
    if isinstance(info, Events):
        piled = info.piled | (loop if state in info.running else NONE)
        fresh |= dict(piled=piled, running=_outside(info.running, path), poly=None)
    held = _outside(info.held, path) | {state}
    learned = info.learned and not _is_of_leaf(info)  # a leaf that decays a state is in it
    return info.anew(held=held, turns=NONE, learned=learned, **fresh)


def _is_of_leaf(info: Data) -> bool:
    return info.weight is not None and any(info.weight.axes.flags(WEIGHT))


def _read_back(term: Term, loop: Paths) -> Term:
    """A product in a state, in a later step: other elements than those of this step."""
    walked = term.weight.place.walked(loop & term.stored - term.still)
    weight = dataclasses.replace(term.weight, place=walked)
    return term.but(weight=weight, place=term.place.walked(loop), carried=term.carried | loop)


def rejoined(path: Path, old: list[Value], new: list[Value]) -> list[Value]:
    """States that may be those of the start or those of any step."""
    pairs = enumerate(zip(old, new, strict=True))
    return [_again(path, k, a, _replacing(a, b, (*path, k))) for k, (a, b) in pairs]


def _again(path: Path, k: int, old: Value, new: Value) -> Value:
    if isinstance(old, Parameter) and isinstance(new, Parameter):
        return _again_parameter(path, old, new)
    old, new = entering(old, path, k), entering(new, path, k)
    found = entering(join(_corrected(old, new), new), path, k)
    if isinstance(found, Events) and not is_simple(found.values):
        found = found.but(values=None)
    return found


def _corrected(old: Value, new: Value) -> Value:
    """A state without products of which a later walk says more: in a record, or carried as made."""
    if not (isinstance(old, Data) and isinstance(new, Data)):
        return old
    opened = {t.factors for t in new.opened}
    known = {t.factors for t in new.terms if t.counted} - opened
    made = {t.factors for t in new.opened if t.carried and not t.stored}
    said = (t for t in old.terms if t.factors in (made if t.counted else known))
    return old.but(terms=old.terms - frozenset(said))


def _again_parameter(path: Path, old: Parameter, new: Parameter) -> Parameter:
    """A parameter that each step may change: of its values, few and simple ones are known."""
    both = join(old.anew(), new.anew())
    assert isinstance(both, Parameter)
    values = both.values if is_simple(both.values) else None
    return both.but(values=values, place=Place((State(path),), both.place.loops | {path}))


def _walks(term: Term, path: Path) -> bool:
    """Whether a loop goes over both factors of a product, or has put them into a buffer."""
    return path in (term.weight.place.loops & term.place.loops) | term.stored


def _neurons_of(ctx: Any, info: Data) -> float:
    """Neurons whose state this may be: of weights that change, those that they drive.

    What nothing but data that met data deliver is learned too.
    """
    sites = [s for s in map(ctx.site, info.feeds) if s is not None]
    layers = [s.neurons for s in sites if s.leaves or not s.pair]
    if len(sites) == len(info.feeds) and not layers:
        return 0.0
    return min([info.size, *layers]) if info.weight is not None else info.size


def _by_others(ctx: Any, info: Analog, path: Path) -> bool:
    """Whether other weights drive a state in every step: heads or layers, not time."""
    sites = [s for s in map(ctx.site, info.feeds) if s is not None and s.leaves]
    return bool(sites) and all(path in (s.layer, *s.walked) for s in sites)


def _is_learned(info: Data) -> bool:
    """Whether a state is a leaf that gradients change, or adds up products of what is before
    synapses and of what is behind.

    A leaf that meets these in every step is a decay: that of neurons.
    """
    met = info.weight is not None and any(info.weight.axes.flags(MET))
    return (info.is_leaf and info.is_gradient) or (info.learned and not met)


def _is_added_up(ctx: Any, info: Analog, path: Path) -> bool:
    """Whether a loop adds up something else than currents: a weighted sum, gradients, a weight."""
    if _is_learned(info) or untaught(info, ctx).is_gradient:
        return True
    return any(t.counted and _walks(t, path) for t in info.terms) or _by_others(ctx, info, path)


def claim_states(ctx: Any, frame: Path, states: Sequence[Value], path: Path) -> None:
    """A state that is carried on from itself makes its region a population of neurons.

    What spikes alone reach, one to one, is one only if it fires.
    """
    for info in states if not ctx.backward else ():
        if not isinstance(info, Analog) or _is_added_up(ctx, info, path):
            continue
        info = untaught(info, ctx)
        size, driven = _neurons_of(ctx, info), any(map(ctx.site, info.feeds))
        if size and driven and any(s[:-1] == path for s in info.held):
            ctx.claim(population(info.but(size=size), info.axes.shape, state=True), frame)
