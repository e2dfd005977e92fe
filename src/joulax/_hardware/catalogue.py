"""The catalogue: published prices of chips, with source and evidence, and the user's own."""

import difflib
import functools
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from .._activity.record import number
from .chip import Chip, Hardware
from .costs import Costs
from .datasheet import EVIDENCE, Datasheet, parse
from .operations import OPERATIONS
from .shown import Listing

_registered: dict[str, Datasheet] = {}


@functools.cache
def _published() -> dict[str, Datasheet]:
    text = resources.files("joulax").joinpath("data/hardware.toml").read_text(encoding="utf-8")
    return {name: parse(name, raw) for name, raw in tomllib.loads(text).items()}


def _sheets() -> dict[str, Datasheet]:
    return _published() | _registered


def _defaults() -> dict[str, str]:
    return {sheet.default_of: name for name, sheet in _sheets().items() if sheet.default_of}


def catalogue(
    *,
    kind: str | None = None,
    process_nm: int | None = None,
    evidence: str | None = None,
    priced: bool | None = True,
) -> Listing:
    """Names of targets and of all further sheets, like `"loihi"` and `"loihi@keras-spiking"`.

    A target without `@` stands for its best-evidenced sheet.

    **Arguments:**

    - `kind`: only this kind, such as `"gpu"`, `"digital asynchronous"`, `"process node"`.
    - `process_nm`: only this process [nm].
    - `evidence`: only sheets whose weakest number is at least this well founded; the grades are
      measured
      silicon, simulated, derived, vendor claim, unsourced.
    - `priced`: `True`: chips that price operations; `False`: datasheets that only state facts;
      `None`: both.

    **Raises:**

    `ValueError` for a kind or a grade that does not exist.
    """
    kinds = {sheet.kind for sheet in _sheets().values()}
    for what, value, known in (("kind", kind, sorted(kinds)), ("evidence", evidence, EVIDENCE)):
        if value is not None and value not in known:
            raise ValueError(f"catalogue({what}={value!r}): the choices are {', '.join(known)}")

    def wanted(sheet: Datasheet) -> bool:
        graded = evidence is None or EVIDENCE.index(sheet.evidence) <= EVIDENCE.index(evidence)
        return (
            graded
            and kind in (None, sheet.kind)
            and process_nm in (None, sheet.process_nm)
            and priced in (None, sheet.priced)
        )

    targets = {target: _sheets()[name] for target, name in _defaults().items()}
    found = {
        name: group[name]
        for group in (targets, _sheets())
        for name in sorted(group)
        if wanted(group[name])
    }
    return Listing(found)


def datasheet(name: str) -> Datasheet:
    """Names, citations and evidence behind a target; `print` it.

    **Raises:**

    `ValueError` with the nearest names, if there is no such target.
    """
    full = _defaults().get(name, name)
    if full in _sheets():
        return _sheets()[full]
    names = catalogue(priced=None)
    near = difflib.get_close_matches(str(name).lower(), names, n=4, cutoff=0.5)
    hint = (
        f"did you mean {', '.join(map(repr, near))}?"
        if near
        else f"the targets are {', '.join(n for n in names if '@' not in n)}"
    )
    raise ValueError(f"no hardware {name!r} in the catalogue: {hint}")


def hardware(name: str) -> Chip:
    """A chip of the catalogue, as a pytree of prices [pJ].

    **Arguments:**

    - `name`: a target (`"loihi"`: its best-evidenced sheet) or one sheet (`"loihi@keras-spiking"`).

    **Raises:**

    `ValueError` with the nearest names, if there is no such target, or if nobody has published what
    its
    operations cost.
    """
    return chip(datasheet(name), name)


def chip(sheet: Datasheet, name: str | None = None) -> Chip:
    """The chip that a datasheet describes.

    What is included or excluded costs zero, what is unknown has no price.
    """
    if not sheet.priced:
        known = "; ".join(
            f"{fact.replace('_', ' ')} {q.value:g} {q.unit}" for fact, q in sheet.facts.items()
        )
        raise ValueError(
            f"{name or sheet.name}: nobody has published what its operations cost "
            f"({sheet.scope}: {known}). Read joulax.datasheet({name or sheet.name!r}), "
            "measure it (joulax.calibrate), or give your own prices (joulax.register)"
        )
    free = {op: 0.0 for op in (*sheet.includes, *sheet.excludes)}
    prices = {
        op: number(value)
        for op, value in (free | {op: q.value for op, q in sheet.costs.items()}).items()
    }
    static = number(sheet.static_power.value) if sheet.static_power else None
    fields = {
        f: number(getattr(sheet, f))
        for f in ("hops", "skips_spikes", "skips_zeros", "accumulates", "graded")
    }
    return Chip(Costs(**prices), static, **fields, name=name or sheet.name)


def register(sheets: str | Path | Mapping[str, Any]) -> tuple[str, ...]:
    """Add your own chips to the catalogue, for this process.

    ```python
    import joulax

    joulax.register({"my chip": joulax.costs(ac=1.5, neuron_update=20.0)})
    joulax.register({"mine@lab": {"costs": {"ac": {"value": 1.5, "low": 1.2, "high": 2.0,
    "evidence": "measured silicon",
                                                   "source": "our bench", "where": "run 7",
                                                   "verified": "read"}},
                                  "includes": ["weight_read"], "excludes": ["neuron_update",
                                  "spike", "hop", "state_read", "state_write"]}})
    ```

    **Arguments:**

    - `sheets`: a TOML file in the form of the catalogue, or a mapping from names to such tables or
      to
      [`joulax.Costs`][]. Numbers may carry a `unit` (fJ to mJ, pW to W); a plain number is in pJ.

    **Returns:**

    The names that can now be given to `joulax.hardware`.

    **Raises:**

    `ValueError` if a table fails the checks that the catalogue itself passes, or if a name is
    taken.
    """
    tables = (
        sheets
        if isinstance(sheets, Mapping)
        else tomllib.loads(Path(sheets).read_text(encoding="utf-8"))
    )
    parsed = {name: parse(name, _table(name, table)) for name, table in tables.items()}
    names = lambda sheets: {*sheets, *(s.default_of for s in sheets.values() if s.default_of)}
    taken = sorted(names(parsed) & names(_published()))
    if taken:
        raise ValueError(
            f"register(): the name {taken[0]!r} is in the catalogue already; choose "
            f"another, like '{taken[0].split('@')[0]}@mine'"
        )
    _registered.update(parsed)
    return tuple(parsed)


def _table(name: str, table: Any) -> Mapping[str, Any]:
    if isinstance(table, Costs):
        prices = {op: v for op in OPERATIONS if (v := getattr(table, op)) is not None}
        if any(np.ndim(v) for v in prices.values()):
            raise ValueError(f"sheet {name!r}: register one chip at a time, not a stack")
        free = [op for op, v in prices.items() if float(v) == 0]
        return {
            "costs": {op: float(v) for op, v in prices.items() if op not in free},
            "excludes": free,
        }
    if not isinstance(table, Mapping):
        raise ValueError(
            f"sheet {name!r}: expected a table or joulax.Costs, got {type(table).__name__}"
        )
    return table


def named(chip: str | Hardware) -> Any:
    """A chip by name, or the chip itself."""
    return hardware(chip) if isinstance(chip, str) else chip


def sheets_of(chips: str) -> list[Datasheet]:
    """Datasheets of a chip name, or of the joined names of a stack; chips of the user have none."""
    names = [n.strip() for n in chips.split(",")]
    return [datasheet(n) for n in names if n in _defaults() or n in _sheets()]


@functools.cache
def reference(key: str) -> str:
    """Bibliography entry of a source, in BibTeX."""
    text = resources.files("joulax").joinpath("data/references.bib").read_text(encoding="utf-8")
    entries = {
        line.split("{", 1)[1].split(",", 1)[0]: line
        for line in text.splitlines()
        if line.startswith("@")
    }
    if key not in entries:
        raise KeyError(f"no source {key!r} in the bibliography")
    return entries[key]
