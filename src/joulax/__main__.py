"""Command line: what chips there are, what one costs, what counts cost on a chip."""

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import _stored
from ._activity.record import FIELDS, Activity, activity
from ._forms.rendered import Rendered
from ._hardware.catalogue import catalogue, datasheet, hardware, register
from ._hardware.energy import energy
from ._questions.assumed import assumed_report
from ._questions.evaluation import evaluate
from ._report.report import report
from ._version import __version__

FORMS = ("text", "markdown", "latex", "csv", "html", "json")
_DESCRIPTION = "What does a spiking network cost? Chips, prices, and the energy of counts."
_EXAMPLES = """
examples:
  joulax chips --evidence simulated       what there is, and how well it is founded
  joulax chip loihi                       every number of a sheet, with its source
  joulax account counts.csv --on loihi    what counts cost, layer by layer
  joulax account counts.csv --on loihi --on truenorth --duration 0.01
  joulax nir net.nir --on loihi --dt 1e-3 --steps 100 --shape 12 --rate 0.05
  joulax show report.json --as latex      a stored report in another form

counts.csv has one row a layer, and columns named as the fields of joulax.Activity:
  layer,ac,spikes,updates
  hidden,120000,3000,20480
  output,30000,200,160

exit status: 0 done, 1 it cannot be answered (the reason stands on stderr), 2 wrong usage
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if not hasattr(given, "run"):
        parser.print_help()
        return 2
    try:
        for path in given.chips_from or ():
            register(path)
        shown = given.run(given)
        sys.stdout.write(_form(shown, "json" if given.json else given.form).rstrip("\n") + "\n")
    except (ValueError, OSError, ImportError) as error:
        sys.stderr.write(f"joulax: {error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "joulax", description=_DESCRIPTION, epilog=_EXAMPLES, formatter_class=raw
    )
    parser.add_argument("--version", action="version", version=f"joulax {__version__}")
    forms = argparse.ArgumentParser(add_help=False)
    forms.add_argument(
        "--as", dest="form", choices=FORMS, default="text", help="form of the output"
    )
    forms.add_argument("--json", action="store_true", help="short for --as json")
    forms.add_argument(
        "--chips-from", action="append", metavar="FILE.toml", help="chips of your own; repeatable"
    )
    commands = parser.add_subparsers(metavar="command")

    def command(name: str, run: Any, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text, parents=[forms])
        made.set_defaults(run=run)
        return made

    chips = command("chips", _chips, "list the chips of the catalogue")
    chips.add_argument("--kind", help='only this kind, like "gpu"')
    chips.add_argument("--process", type=int, metavar="NM", help="only this process")
    chips.add_argument("--evidence", help='at least so well founded, like "simulated"')
    chips.add_argument("--all", action="store_true", help="also sheets that price nothing")
    chip = command("chip", _chip, "show the datasheet of a chip")
    chip.add_argument("name", help="like loihi, or loihi@keras-spiking")
    account = command("account", _account, "price counts on one chip or several")
    account.add_argument("file", type=Path, help="counts.csv, or an account in JSON")
    account.add_argument(
        "--on", action="append", required=True, metavar="CHIP", help="a chip; repeatable; or all"
    )
    account.add_argument("--duration", type=float, metavar="SECONDS", help="length of the call")
    account.add_argument("--batch", type=float, metavar="N", help="samples that share a call")
    graph = command("nir", _nir, "price a NIR graph at an assumed rate of spikes")
    graph.add_argument("file", type=Path, help="the graph; needs joulax[nir]")
    graph.add_argument("--on", required=True, metavar="CHIP", help="a chip")
    graph.add_argument("--dt", type=float, required=True, metavar="SECONDS", help="a step")
    graph.add_argument("--steps", type=int, required=True, help="steps of an inference")
    graph.add_argument("--shape", required=True, help="of the input in a step, like 2,34,34")
    graph.add_argument(
        "--rate", type=float, required=True, help="assumed events per input (neuron) and step"
    )
    show = command("show", _show, "show something that to_json() stored")
    show.add_argument("file", type=Path, help="the file")
    return parser


def _chips(given: argparse.Namespace) -> Rendered:
    return catalogue(
        kind=given.kind,
        process_nm=given.process,
        evidence=given.evidence,
        priced=None if given.all else True,
    )


def _chip(given: argparse.Namespace) -> Rendered:
    return datasheet(given.name)


def _account(given: argparse.Namespace) -> Rendered:
    counts = _counts(given.file)
    if given.on == ["all"]:
        return evaluate(counts, duration=given.duration, batch=given.batch).sorted()
    if len(given.on) > 1:
        return evaluate(counts, given.on, given.duration, batch=given.batch)
    chip = hardware(given.on[0])
    result = energy(counts, chip, given.duration, batch=given.batch)
    return report(result, duration=given.duration)


def _nir(given: argparse.Namespace) -> Rendered:
    import jax

    from .nir import load

    model = load(str(given.file), dt=given.dt)
    shape = (given.steps, *(int(n) for n in given.shape.split(",")))
    x = jax.ShapeDtypeStruct(shape, "float32")
    length, chip = given.steps * given.dt, hardware(given.on)
    return assumed_report(model, (x,), given.rate, chip, length, {"spikes": 0})


def _show(given: argparse.Namespace) -> Rendered:
    found = _stored.load(given.file)
    if not isinstance(found, Rendered):
        raise ValueError(f"{given.file} holds a {type(found).__name__}, which shows nothing")
    return found


def _counts(path: Path) -> Any:
    """An account in JSON, or counts by layer from a table."""
    text = path.read_text(encoding="utf-8")
    if text.lstrip().startswith("{"):
        found = _stored.load(path)
        return getattr(getattr(found, "result", found), "activity", found)
    rows = list(csv.DictReader(text.splitlines()))
    if not rows or "layer" not in rows[0]:
        raise ValueError(f"{path} needs a first line like: layer,ac,spikes,updates")
    unknown = sorted(set(rows[0]) - {"layer", *FIELDS})
    if unknown:
        raise ValueError(
            f"{path}: no count is called {unknown[0]!r}; there are {', '.join(FIELDS)}"
        )
    names = [row["layer"] for row in rows]
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice is not None:
        raise ValueError(f"{path}: the layer {twice!r} stands there twice")
    return {row["layer"]: _record(path, row) for row in rows}


def _record(path: Path, row: dict[str, str]) -> Activity:
    try:
        return activity(**{k: float(v) for k, v in row.items() if k != "layer" and v and v.strip()})
    except ValueError as error:
        raise ValueError(f"{path}, layer {row['layer']!r}: {error}") from None


def _form(shown: Rendered, form: str) -> str:
    if form == "html":
        return shown._repr_html_()
    return str(shown) if form == "text" else getattr(shown, f"to_{form}")()


def run() -> None:
    """Entry point of the command `joulax`."""
    sys.exit(main())


if __name__ == "__main__":
    run()
