"""The catalogue: published prices of chips, with source and evidence, and the user's own."""

import difflib
import functools
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .chip import Chip, Hardware
from .costs import Costs
from .datasheet import EVIDENCE, Datasheet
from .numbers import SHARES
from .operations import OPERATIONS
from .shown import Listing
from .stored import parse

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

    A target without `@` stands for its best-evidenced sheet. Targets of which nobody published
    what an operation costs (`loihi2`, `akida`, ...) have no default: name one of their sheets.

    **Arguments:**

    - `kind`: only this kind, such as `"gpu"`, `"digital asynchronous"`, `"process node"`.
    - `process_nm`: only this process [nm].
    - `evidence`: only sheets whose weakest number is at least this well founded; the grades are
      measured silicon, simulated, derived, vendor claim, unsourced.
    - `priced`: `True`: chips that price operations; `False`: datasheets that only state facts;
      `None`: both.

    **Raises:**

    `ValueError` for a kind or a grade that does not exist.
    """
    _check_choice("kind", kind, sorted({sheet.kind for sheet in _sheets().values()}))
    _check_choice("evidence", evidence, EVIDENCE)
    worst = EVIDENCE.index(evidence or EVIDENCE[-1])
    wanted = lambda sheet: (
        EVIDENCE.index(sheet.evidence) <= worst
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


def _check_choice(what: str, value: str | None, known: Sequence[str]) -> None:
    if value not in (None, *known):
        raise ValueError(f"catalogue({what}={value!r}): the choices are {', '.join(known)}")


def datasheet(name: str) -> Datasheet:
    """Names, citations and evidence behind a target; `print` it.

    **Raises:**

    `ValueError` with the nearest names, if there is no such target, or with its sheets, if none of
    them deserves to be its default.
    """
    full = _defaults().get(name, name)
    if full in _sheets():
        return _sheets()[full]
    of_target = [sheet for n, sheet in _sheets().items() if n.startswith(f"{name}@")]
    if of_target:
        raise ValueError(
            f"{name}: nobody has published what its operations cost, so the bare name stands for "
            f"nothing. There {'are' if len(of_target) > 1 else 'is'} "
            f"{'; '.join(map(_in_short, of_target))}. Choose one by its full name, measure the "
            "chip (joulax.calibrate), or give your own prices (joulax.register)"
        )
    names = catalogue(priced=None)
    near = difflib.get_close_matches(str(name).lower(), names, n=4, cutoff=0.5)
    hint = (
        f"did you mean {', '.join(map(repr, near))}?"
        if near
        else f"the targets are {', '.join(n for n in names if '@' not in n)}"
    )
    raise ValueError(f"no hardware {name!r} in the catalogue: {hint}")


def _in_short(sheet: Datasheet) -> str:
    what = (
        f"the constants of {sheet.constants_of}, a stand-in"
        if sheet.constants_of
        else sheet.evidence
        if sheet.priced
        else "facts that price nothing"
    )
    return f"{sheet.name!r} ({sheet.scope}; {what})"


def hardware(name: str, **changes: Any) -> Chip:
    """A chip of the catalogue, as a pytree of prices [pJ].

    **Arguments:**

    - `name`: a target (`"loihi"`: its best-evidenced sheet) or one sheet (`"loihi@keras-spiking"`).
    - `changes`: numbers of your own in place of the sheet's, as in [`joulax.Hardware`][]`.replace`;
      they lose their citation.

    **Raises:**

    `ValueError` with the nearest names, if there is no such target, or if nobody has published what
    its operations cost.
    """
    sheet, key = datasheet(name), (name, jnp.result_type(float))
    if key not in _made or _made[key][0] is not sheet:
        with jax.ensure_compile_time_eval():  # it outlives a trace around
            _made[key] = sheet, chip(sheet, name)
    found = _made[key][1]
    return found.replace(**changes) if changes else found


_made: dict[Any, tuple[Datasheet, Chip]] = {}  # chips of sheets, which do not change


def chip(sheet: Datasheet, name: str | None = None) -> Chip:
    """The chip that a datasheet describes.

    What is included or excluded costs zero, what is unknown has no price.
    """
    called = name or sheet.name
    if not sheet.priced:
        known = "; ".join(
            f"{fact.replace('_', ' ')} {q.value:g} {q.unit}" for fact, q in sheet.facts.items()
        )
        raise ValueError(
            f"{called}: nobody has published what its operations cost "
            f"({sheet.scope}: {known}). Read joulax.datasheet({called!r}), "
            "measure it (joulax.calibrate), or give your own prices (joulax.register)"
        )
    free = {op: 0.0 for op in (*sheet.includes, *sheet.excludes)}
    numbers = {n: q.value for n, q in sheet.numbers.items()}
    prices: dict[str, Any] = free | {op: numbers.pop(op) for op in sheet.costs}
    fields = {f: getattr(sheet, f) for f in SHARES}
    return Chip(Costs(**prices), **numbers, **fields, name=called, sheet=sheet.name)


def register(
    sheets: str | Path | Mapping[str, Any] | Datasheet, *, replace: bool = False
) -> tuple[str, ...]:
    """Add your own chips to the catalogue, for this process.

    ```python
    import joulax

    joulax.register({"my chip": joulax.costs(ac=1.5, neuron_update=20.0)})
    own = {"value": 1.5, "low": 1.2, "high": 2.0, "evidence": "measured silicon",
           "source": "bench2026", "where": "run 7", "verified": "read"}
    joulax.register({"mine@lab": {"costs": {"ac": own}, "includes": ["weight_read"],
                                  "excludes": ["neuron_update", "spike", "hop", "state_read",
                                               "state_write"]}})
    ```

    **Arguments:**

    - `sheets`: a TOML file in the form of the catalogue, a [`joulax.Datasheet`][], or a mapping
      from names to such tables, sheets or [`joulax.Costs`][]. Numbers may carry a `unit` (fJ to J,
      pW to W); a plain number is in pJ, a power needs its unit.
    - `replace`: whether a sheet that you registered before may be changed.

    **Returns:**

    The names that can now be given to `joulax.hardware`.

    **Raises:**

    `ValueError` if a table fails the checks that the catalogue itself passes, or if a name is
    taken.
    """
    parsed = {name: parse(name, _table(name, t)) for name, t in _tables(sheets).items()}
    _check_names(parsed, replace)
    _registered.update(parsed)
    return tuple(parsed)


def _tables(sheets: Any) -> Mapping[str, Any]:
    if isinstance(sheets, Datasheet):
        return {sheets.name: sheets}
    if isinstance(sheets, Mapping):
        return sheets
    if not isinstance(sheets, str | Path):
        raise ValueError(f"register() takes a file or a mapping, got {type(sheets).__name__}")
    try:
        return tomllib.loads(Path(sheets).read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"register({str(sheets)!r}): {error}") from error


def _check_names(parsed: Mapping[str, Datasheet], replace: bool) -> None:
    """A name stands for one sheet, and stays what it was."""
    _check_free(parsed)
    _check_single(parsed)
    if not replace:
        _check_unchanged(parsed)


def _names(sheets: Mapping[str, Datasheet]) -> list[str]:
    """Names of sheets, and of the targets that they are the default of."""
    return [*sheets, *(s.default_of for s in sheets.values() if s.default_of)]


def _check_free(parsed: Mapping[str, Datasheet]) -> None:
    taken = sorted({*_names(parsed)} & {*_names(_published())})
    if taken:
        raise ValueError(
            f"register(): the name {taken[0]!r} is in the catalogue already; choose "
            f"another, like '{taken[0].split('@')[0]}@mine'"
        )


def _check_single(parsed: Mapping[str, Datasheet]) -> None:
    kept = {n: s for n, s in _registered.items() if n not in parsed}
    names = [*_names(parsed), *_names(kept)]
    twice = [n for n in _names(parsed) if names.count(n) > 1]
    if twice:
        raise ValueError(f"register(): the name {twice[0]!r} would stand for two sheets")


def _check_unchanged(parsed: Mapping[str, Datasheet]) -> None:
    changed = [n for n, s in parsed.items() if _registered.get(n, s) != s]
    if changed:
        raise ValueError(
            f"register(): {changed[0]!r} is registered already, with other numbers; "
            "register(..., replace=True) changes it"
        )


def _table(name: str, table: Any) -> Mapping[str, Any]:
    if isinstance(table, Datasheet):
        return _of_sheet(table)
    if isinstance(table, Costs):
        return _of_costs(name, table)
    if not isinstance(table, Mapping):
        raise ValueError(
            f"sheet {name!r}: expected a table or joulax.Costs, got {type(table).__name__}"
        )
    return table


def _of_sheet(sheet: Datasheet) -> dict[str, Any]:
    fields = {f: getattr(sheet, f) for f in Datasheet.__dataclass_fields__}
    return {f: v for f, v in fields.items() if f not in ("name", "unknown") and v is not None}


def _of_costs(name: str, costs: Costs) -> dict[str, Any]:
    """A price list as a table: what costs nothing is left out of it."""
    prices = {op: v for op in OPERATIONS if (v := getattr(costs, op)) is not None}
    if any(np.ndim(v) for v in prices.values()):
        raise ValueError(f"sheet {name!r}: register one chip at a time, not a stack")
    free = [op for op, v in prices.items() if float(v) == 0]
    paid = {op: float(v) for op, v in prices.items() if op not in free}
    return {"costs": paid, "excludes": free}


def named(chip: str | Hardware) -> Any:
    """A chip by name, or the chip itself."""
    if not isinstance(chip, str | Hardware):
        raise ValueError(
            f"expected a chip or its name, like 'loihi' (joulax.catalogue()), got "
            f"{type(chip).__name__}"
        )
    return hardware(chip) if isinstance(chip, str) else chip


def sheet_of(name: str | None) -> Datasheet | None:
    """The datasheet of a name, or `None` for a chip of the user's own."""
    full = _defaults().get(name or "", name)
    return None if full is None else _sheets().get(full)


def own_bibtex() -> str:
    """The entries that registered sheets brought with them."""
    return "\n".join(sheet.bibtex for sheet in _registered.values() if sheet.bibtex)
