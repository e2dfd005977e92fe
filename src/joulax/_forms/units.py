"""Numbers in words: energies with their prefix, counts, shares; shapes where there are none yet."""

from typing import Any

import numpy as np
from jax.core import Tracer

PREFIXES = ((1e12, "J"), (1e9, "mJ"), (1e6, "µJ"), (1e3, "nJ"), (1.0, "pJ"))
UNKNOWN = "n/a"
NOTHING = "–"


def prefix(pj: float) -> tuple[float, str]:
    """The largest unit that an energy fills, and what one of it is [pJ]."""
    return next(((s, u) for s, u in PREFIXES if abs(pj) >= s), PREFIXES[-1])


def joules(pj: float) -> str:
    """Picojoules with three significant digits and a prefix; `n/a` where a price is unknown."""
    if pj != pj:
        return UNKNOWN
    scale, unit = prefix(pj)
    return f"{digits(pj / scale)} {unit}"


def with_range(pj: float, low: float, high: float) -> str:
    """A value with the ends of its range, in one unit and two significant digits.

    `2.1 µJ (1.4–3.3)`.
    """
    scale, unit = prefix(pj)
    value, bottom, top = (f"{float(f'{x / scale:.1e}'):g}" for x in (pj, low, high))
    return f"{value} {unit} ({bottom}–{top})"


def with_spread(pj: float, std: float) -> str:
    """A mean with its standard deviation, in one unit: `2.90 ± 0.21 µJ`."""
    if pj != pj:
        return UNKNOWN
    scale, unit = prefix(pj)
    return f"{spread(pj / scale, std / scale)} {unit}"


def spread(mean: float, std: float) -> str:
    """A mean with its standard deviation, to the same place; more digits if that says nothing."""
    text = digits(mean)
    places = len(text.partition(".")[2])
    rounded = f"{std:.{places}f}"
    return f"{text} ± {rounded if float(rounded) or not std else f'{std:.1g}'}"


def number(x: float) -> str:
    """A count with three significant digits, and a suffix above ten thousand."""
    if x != x:
        return UNKNOWN
    for scale, suffix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(x) >= scale:
            return f"{digits(x / (scale if suffix != 'k' else 1e3))} {suffix}"
    return digits(x)


def digits(x: float) -> str:
    """Three significant digits; whole numbers below ten thousand as they are."""
    if x == 0 or x == int(x) and abs(x) < 1e4:
        return f"{x:g}"
    for size, form in ((100, ".0f"), (10, ".1f"), (0.1, ".2f")):
        if abs(x) >= size:
            return format(x, form)
    return f"{x:.2g}"


def share(x: float) -> str:
    """A part of the whole in percent."""
    return UNKNOWN if x != x else "100 %" if x == 1 else f"{100 * x:.1f} %"


def plain(x: float) -> str:
    """Any other number: whole ones below a million as they are, else three significant digits."""
    if x != x:
        return UNKNOWN
    return f"{x:.0f}" if x == round(x) and abs(x) < 1e6 else f"{x:.3g}"


def figure(x: float) -> str:
    """A number that is compared with other tools: six significant digits."""
    return UNKNOWN if x != x else f"{x:.0f}" if x == round(x) and abs(x) < 1e9 else f"{x:.6g}"


def shape(x: Any) -> str:
    """What is known of a number while tracing: its type and shape."""
    dtype = np.dtype(x.dtype)
    return f"{dtype.kind}{8 * dtype.itemsize}[{','.join(map(str, x.shape))}]"


def is_abstract(x: Any) -> bool:
    """Whether there is no number yet, as inside `jit`, or for shapes alone."""
    return isinstance(x, Tracer) or (hasattr(x, "shape") and not hasattr(x, "__array__"))
