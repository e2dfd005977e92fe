"""What labels have met: how a loss is told from a layer."""

import enum

from .places import Path


class Met(enum.Enum):
    """What a region has become, or how data that neither a site nor a neuron has made met it."""

    BENT = "behind an activation"
    SETTLED = "summed, or normalised, since it was bent"
    COMPARED = "compared with labels: a margin, an error"
    WEIGHED = "weighed by labels"
    JUDGED = "compared with labels when it was bent: a layer with an error of its own"
    LIKELY = "weighed by labels when it was bent: a likelihood"
    SLOPE = "of a gradient"


Target = tuple[Met, Path]  # by one of the feeds of the region
LABELS = frozenset((Met.COMPARED, Met.WEIGHED))
LIKELIHOOD = frozenset((Met.WEIGHED, Met.LIKELY))


def met(how: Met, known: frozenset[Target], feed: Path) -> Met:
    """How labels that compare or weigh meet a region of which something is known."""
    if (Met.BENT, feed) not in known:
        return how
    if how is Met.COMPARED:
        return Met.JUDGED
    return Met.SETTLED if (Met.SETTLED, feed) in known else Met.LIKELY


def settled(known: frozenset[Target]) -> frozenset[Target]:
    """What a sum or extremum over neurons or time makes of what is known of a region."""
    return known | {(Met.SETTLED, feed) for how, feed in known if how is Met.BENT}
