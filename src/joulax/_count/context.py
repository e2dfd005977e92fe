"""What a rule may ask about the program around its equation."""

import math
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .findings import Birth, Context, Population, Site
from .kinds import Data, Leaves as LeafSet, Value
from .packs import Pack
from .places import Path, Paths, union
from .plan import Branch, Plan, Tables
from .resolution import within


@dataclass(frozen=True)
class Around(Context):
    """The program around an equation, for its rule."""

    _walker: Any = field(repr=False)

    def births(self, paths: Paths) -> list[Birth]:
        """What is known about some births, in program order."""
        return [self._walker.tables.births[p] for p in sorted(paths)]

    def site(self, path: Path) -> Site | None:
        """A site found before."""
        return self._walker.tables.sites.get(path)

    def own(self, births: Paths, feeds: Paths) -> Paths:
        """Those births that come from the region fed by these sites itself."""
        known = self._walker.tables.births
        return frozenset(b for b in births if b in known and known[b].feeds & feeds)

    def own_echo(self, feeds: Paths) -> bool:
        """Whether a region is fed by nothing but spikes that come from here: a refractory mask."""
        tables = self.tables
        entering = [tables.feeds[f] for f in feeds if f in tables.feeds]
        known = [b for f in entering for b in f.births if b in tables.births]
        here = (self.path in tables.ancestors(b) | tables.births[b].arrived for b in known)
        return len(entering) == len(feeds) and any(here)

    def own_mask(self, masks: Paths, births: Paths) -> bool:
        """Whether masks are made of nothing but the state of the population that fired."""
        tables = self.tables
        fed = self._origins(births)
        through = {p for p, f in tables.feeds.items() if f.births}
        known = [tables.births[m] for m in masks if m in tables.births]
        made = [(self._walker.regions(m.feeds) | self._origins(m.arrived)) - through for m in known]
        return bool(fed) and bool(made) and all(m and m <= fed for m in made)

    def _origins(self, births: Paths) -> Paths:
        """Sites that feed the regions that fired."""
        return union(self._walker.origins(b) for b in births)

    def one_population(self, births: Paths) -> bool:
        """Whether spikes are of one population, its one-to-one followers included."""
        origins: list[Paths] = [self._walker.origins(b) for b in births]
        return not any(origins) or bool(origins[0].intersection(*origins))

    def numbered(self, number: int) -> Value | None:
        """What is known about a numbered value."""
        return self._walker.values.get(number)

    def maker(self, number: int) -> tuple[Any, Sequence[Value]] | None:
        """The equation that made a numbered value, and its operands."""
        made = self._walker.makers.get(number)
        return None if made is None else made[:2]

    def notes(self, number: int) -> dict[str, Any]:
        """What rules have noted about a numbered value, until it is made again."""
        made = self._walker.makers.get(number)
        return {} if made is None else made[2]

    def pack(self, number: int) -> Pack | None:
        """The parts of a state of a loop, where it is put together of several."""
        return self._walker.packs.get(number)

    def number(self, *key: Any) -> int:
        """The number of a value that is known by a key."""
        return self._walker.number(*key)

    def within_steps(self) -> bool:
        """Whether the steps of a loop around are kept."""
        return within(self._walker.stepped, self.path)

    def keeps_steps(self, length: int) -> bool:
        """Whether the steps of this scan are kept: it is the outermost one of the wanted length."""
        return self._walker.keeps_steps(self.path, length)

    def steps(self, loops: Paths) -> float | None:
        """How many steps some loops have together, if that is known."""
        found = [self._walker.lengths.get(p) for p in loops]
        known = [n for n in found if n is not None]
        return float(math.prod(known)) if len(known) == len(found) else None

    @property
    def chosen(self) -> bool:
        """Whether the equation stands in a branch that data choose."""
        branch = self.tables.branches.get(self.frame)
        return branch is not None and branch.by_data

    def concrete(self, info: Value) -> np.ndarray | None:
        """The value of a constant that the program itself makes, unless it is large."""
        return self._walker.constants.value(info.number)

    def elements(self, leaves: LeafSet) -> float:
        """Elements of the largest of some leaves."""
        return float(max((self._walker.leaves.sizes[i] for i in leaves), default=0))

    def walk(
        self,
        jaxpr: Any,
        ins: Sequence[Value],
        *,
        at: int = 0,
        call: bool = False,
        chosen: Value | None = None,
        packs: Mapping[int, Pack] | None = None,
    ) -> Plan:
        """Plan an inner jaxpr, as part `at` of this equation.

        A `call` runs as often as its caller, a branch where it is `chosen` by an index. `packs`
        are the parts of some inputs.
        """
        if chosen is not None:
            currents = union(i.feeds for i in ins if isinstance(i, Data) and not i.held)
            branch = Branch(self.frame, currents, isinstance(chosen, Data))
            self.tables.branches[*self.path, at] = branch
        frame = self.frame if call else None
        with self._walker.inside(self):
            return self._walker.plan(jaxpr, ins, (*self.path, at), frame=frame, packs=packs)

    def by_sample(self, samples: int | None) -> Any:
        """Inside, counts of samples stay apart, where there are any."""
        return self._walker.by_sample(samples)

    @contextmanager
    def deciding(self) -> Generator[None]:
        """Inside, what is compared decides how long a loop runs: of others it makes no neurons."""
        with self._walker.deciding((*self.path, 0)):
            yield

    def fixpoint(self, run: Any, start: list[Value], joined: Any) -> Any:
        """Repeat `run(state)` with joined states until nothing changes."""
        return self._walker.fixpoint(run, start, joined)

    def claim(self, population: Population, frame: Path) -> None:
        """A carried state: the population is updated once in each step."""
        self._walker.claim(population, frame, self.path)

    def used(self, frames: Iterable[Path]) -> bool:
        """Whether any population is updated in these frames."""
        wanted = set(frames)
        return any(c.frame in wanted for c in self.tables.claimed)

    @property
    def tables(self) -> Tables:
        """Everything found so far."""
        return self._walker.tables

    @property
    def walker(self) -> Any:
        """The walker, for the runner."""
        return self._walker
