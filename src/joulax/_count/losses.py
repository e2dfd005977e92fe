"""Losses: regions that labels have met, and that leave in sums alone. They are no neurons."""

from collections.abc import Sequence
from dataclasses import dataclass

from .axes import IDLE
from .kinds import Data
from .labels import LABELS, LIKELIHOOD, Met
from .places import Path, Paths, union
from .plan import Claim, Tables

CHOSEN = frozenset((Met.SETTLED, Met.COMPARED))  # labels choose beside what normalises


def losses(tables: Tables, outs: Sequence[Data]) -> Paths:
    """Feeds of what was taken for neurons and is a loss.

    Labels are compared with what is bent then (a margin, an error), or weigh what was bent (a
    likelihood). What was bent before it is compared is a layer with an error of its own.
    """
    forwards = [o for o in outs if not o.is_gradient]
    sums = [o for o in forwards if o.axes.size(IDLE) <= 1]
    ends = _Ends(tables, sums, [*tables.entering, *(o for o in forwards if o not in sums)])
    return union(feeds for feeds in _silent(tables) if all(map(ends.is_loss, feeds)))


def _silent(tables: Tables) -> list[Paths]:
    """Feeds of each population that does not fire and that no loop carries, but as one number."""
    fired = union(tables.births[b].feeds for b in tables.living())
    driven: dict[Claim, Paths] = {}
    for feed, claim in tables.claims.items():
        if claim.reduced or not claim.state:
            driven[claim] = driven.get(claim, frozenset()) | {feed}
    return [feeds for feeds in driven.values() if not feeds & fired]


@dataclass(frozen=True)
class _Ends:
    """Where regions end: in sums that leave, or in sites and in outputs with all their neurons."""

    tables: Tables
    sums: Sequence[Data]
    uses: Sequence[Data]

    def is_loss(self, feed: Path) -> bool:
        """Whether labels say that this region is a loss."""
        left, used = _met(self.sums, feed), _met(self.uses, feed)
        if any(Met.JUDGED in hows for hows in left):
            return False
        if all(hows & LABELS for hows in self.tables.shown[feed]):
            return not any(hows & LABELS for hows in used)
        return _is_likelihood(left) and not any(Met.BENT in hows for hows in used)


def _is_likelihood(sums: Sequence[set[Met]]) -> bool:
    """Whether labels weigh all that was bent."""
    bent = [hows for hows in sums if Met.BENT in hows]
    return bool(bent) and all(hows & LIKELIHOOD or hows >= CHOSEN for hows in bent)


def _met(values: Sequence[Data], feed: Path) -> list[set[Met]]:
    """What a region has met in each of the values that it is in."""
    return [{how for how, f in d.targets if f == feed} for d in values if feed in d.feeds]
