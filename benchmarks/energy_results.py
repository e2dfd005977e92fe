"""The page of results about all the energy: tables and a figure made from the JSON files."""

import argparse
import json
import pathlib

import matplotlib as mpl
import numpy as np
from scipy import stats

mpl.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from energy_chips import analog_page, chips_page, joules  # noqa: E402

HERE = pathlib.Path(__file__).parent
RESULTS, DOCS = HERE / "results", HERE.parent / "docs"
START, END = "<!-- made by benchmarks/energy_results.py -->", "<!-- end -->"


def load(pattern):
    """All files of a name."""
    return [json.loads(p.read_text()) for p in sorted(RESULTS.glob(pattern))]


def hits(right):
    return np.array([c == "1" for c in right], float)


# %% Digits


class Digits:
    """Every run of every cell, beside the baseline of the same run."""

    def __init__(self, stores):
        self.base = [r for s in stores for r in s["baseline"]["runs"]]
        self.budget = np.array([b for s in stores for b in s["budget"]])
        self.tested = np.concatenate([d for s in stores for d in s["digits"]])
        self.cells = {}
        for name in stores[0]["cells"]:
            if all(name in s["cells"] for s in stores):
                parts = [s["cells"][name] for s in stores]
                joined = {k: [r for p in parts for r in p.get(k) or ()] for k in ("runs", "met")}
                self.cells[name] = parts[0] | joined

    def baselines(self):
        """How good the baselines are, in words."""
        right = 100 * np.concatenate([hits(r["right"]) for r in self.base]).mean()
        tested = len(np.unique(self.tested))
        return f"Baselines: {right:.2f} % of {tested} tested digits right, {len(self.base)} runs"

    def changes(self, runs):
        """By run and digit: rightly classified now, minus rightly classified by the baseline."""
        return [hits(r["right"]) - hits(b["right"]) for r, b in zip(runs, self.base, strict=True)]

    def ways(self):
        """What was made of every cell: (kind, target, name, runs), stopped early or not."""
        for name, cell in self.cells.items():
            kind = "dense" if cell["divisor"] is None else "pruned"
            yield kind, cell["divisor"], name, cell["runs"]
            for divisor in cell["runs"][0]["stopped"]:
                if all(divisor in r["stopped"] for r in cell["runs"]):
                    stopped = [r["stopped"][divisor] for r in cell["runs"]]
                    if all(
                        r["energy"] < 1.1 * b / int(divisor)
                        for r, b in zip(stopped, self.budget, strict=True)
                    ):
                        yield f"{kind}, stopped early", int(divisor), name, stopped

    def interval(self, changes):
        """Mean of changes by run and digit, and its interval [points]."""
        times = np.bincount(self.tested)  # a digit is drawn with all the runs that tested it
        by_digit = np.bincount(self.tested, 100 * np.concatenate(changes))
        flat = by_digit[times > 0] / times[times > 0]
        rng = np.random.default_rng(0)
        means = [rng.choice(flat, len(flat)).mean() for _ in range(2000)]
        return flat.mean(), *np.quantile(means, [0.025, 0.975])

    def line(self, runs):
        """Change of accuracy with its interval, worst run, and energy over the baseline's."""
        change = self.changes(runs)
        spent = [r["energy"] / b["energy"] for r, b in zip(runs, self.base, strict=True)]
        worst = min(100 * c.mean() for c in change)
        return *self.interval(change), worst, np.array(spent)

    def chosen(self, divisor, kind):
        """For each run, the way to a target that was best on its held-back digits."""
        ways = [(k, n, r) for k, d, n, r in self.ways() if d == divisor and k.startswith(kind)]
        if not ways:
            return None
        best = [
            max(ways, key=lambda w, i=i: w[2][i]["held_accuracy"]) for i in range(len(self.base))
        ]
        return [w[2][i] for i, w in enumerate(best)], sorted({f"{w[1]} ({w[0]})" for w in best})


HEAD = [
    "| network | target | change of accuracy [points] | worst run | energy of the baseline |",
    "|---|---|---|---|---|",
]


def words(name):
    """Cell in words."""
    first, neurons, steps = name.split()
    return f"{'dense' if first == 'dense' else f'÷ {first}'}, {neurons} neurons, {steps} steps"


def row(title, line, budget=""):
    mean, low, high, worst, spent = line
    energies = f"1/{1 / spent.mean():.1f} (1/{1 / spent.max():.1f}–1/{1 / spent.min():.1f})"
    change = f"{mean:+.2f} ({low:+.2f} to {high:+.2f})"
    return f"| {title} | {budget} | {change} | {worst:+.2f} | {energies} |"


def digits_page(digits):
    energy = np.mean([r["energy"] for r in digits.base]) / 1e6
    lines = [
        f"{digits.baselines()}, {energy:.2f} µJ.\n",
        *HEAD,
    ]
    for kind, divisor, name, runs in digits.ways():
        stopped = " stopped early" if "stopped" in kind else ""
        target = f"1/{divisor}" if divisor else "–"
        lines.append(row(words(name) + stopped, digits.line(runs), target))
    lines += ["\nChosen, run by run, on held-back digits:\n", *HEAD]
    for divisor in (10, 20, 30, 50):
        for kind in ("pruned", "dense"):
            found = digits.chosen(divisor, kind)
            if found is not None:
                lines.append(row(f"best {kind}", digits.line(found[0]), f"1/{divisor}"))
    met = [m for c in digits.cells.values() for m in c["met"]]
    if met:
        lines.append(
            f"\nBudget on training digits: {min(met):.3f}–{max(met):.3f} of the target in all "
            f"{len(met)} pruned runs."
        )
    return lines


def others_page(store):
    """What others do at the same targets: kinds side by side, target by target."""
    digits = Digits([store])
    lines = [
        f"{digits.baselines()}.\n",
        *HEAD,
    ]
    for cell in sorted(store["cells"].values(), key=lambda c: c["divisor"] or 0):
        weights = sorted({r["weight"] for r in cell["runs"] if "weight" in r})
        of = f" of weight {', '.join(f'{w:g}' for w in weights)}" if weights else ""
        title = f"{cell['kind']}{of}, {cell['neurons']} neurons, {cell['steps']} steps"
        target = f"1/{cell['divisor']}" if cell["divisor"] else "–"
        target += " of hidden spikes" if cell["kind"] == "spikes alone" else ""
        lines.append(row(title, digits.line(cell["runs"]), target))
    return [*lines, "", *against_magnitude(store, digits)]


def against_magnitude(store, digits):
    """Paired, at every target: pruning by worth for energy minus pruning by magnitude."""
    kinds = ("pruned by energy", "pruned by magnitude")
    of = {
        (c["kind"], c["divisor"], c["neurons"], c["steps"]): c["runs"]
        for c in store["cells"].values()
    }
    lines = []
    for setting in sorted(s for k, *s in of if k == kinds[1]):
        ours, theirs = (digits.changes(of[kind, *setting]) for kind in kinds)
        mean, low, high = digits.interval([a - b for a, b in zip(ours, theirs, strict=True)])
        change = f"{mean:+.2f} points ({low:+.2f} to {high:+.2f})"
        divisor, neurons, _ = setting
        where = f"1/{divisor}, {neurons} neurons"
        lines.append(f"- by energy minus by magnitude, paired, at {where}: {change}")
    return lines


def undominated(one, lines):
    """Whether no other network of this kind costs less and is right more often."""
    return not any(a[4].mean() < one[4].mean() and a[0] >= one[0] for a in lines)


def draw(ax, lines, style, *, best):
    """Networks with intervals; a line joins those that are not dominated."""
    colour, marker, _ = style
    x, y = [one[4].mean() for one in lines], [one[0] for one in lines]
    error = [[one[0] - one[1] for one in lines], [one[2] - one[0] for one in lines]]
    look = dict(ls="-", lw=1) if best else dict(ls="", alpha=0.35)
    ax.errorbar(x, y, yerr=error, color=colour, marker=marker, ms=5, capsize=2, **look)


STYLES = {
    "spikes alone": ("tab:red", "v", "spikes alone, 16 steps"),
    "fixed penalty": ("tab:purple", "x", "smaller and shorter, fixed penalty"),
    "dense": ("tab:gray", "s", "smaller and shorter, dense"),
    "dense, stopped early": ("tab:orange", "^", "… and stopped early"),
    "pruned": ("tab:green", "o", "… and pruned by energy"),
    "pruned, stopped early": ("tab:blue", "D", "… and pruned, stopped early"),
}


def levers(digits, others):
    """By lever, the line of every network."""
    found = {kind: [] for kind in STYLES}
    for kind, _, _, runs in digits.ways():
        found[kind].append(digits.line(runs))
    if others is not None:
        for cell in others["cells"].values():
            if cell["kind"] in ("spikes alone", "fixed penalty"):
                found[cell["kind"]].append(Digits([others]).line(cell["runs"]))
    return {k: sorted(lines, key=lambda one: one[4].mean()) for k, lines in found.items() if lines}


def front(digits, others, path):
    """Accuracy against total energy, by lever."""
    figure, ax = plt.subplots(figsize=(8, 4.8), layout="constrained")
    for kind, lines in levers(digits, others).items():
        colour, marker, label = style = STYLES[kind]
        for best in (True, False):
            draw(ax, [one for one in lines if undominated(one, lines) == best], style, best=best)
        ax.plot([], [], color=colour, marker=marker, ms=5, lw=1, label=label)
    scaled(ax)
    ax.set(ylabel="change of test accuracy [points]")
    ax.legend(loc="lower right")
    figure.savefig(path, dpi=150)


# %% Each lever alone, and all together

SHEETS = ("loihi", "45 nm, weights on chip")
LEVERS = {
    "width": ("tab:gray", "s", "width alone", "{0} neurons a layer"),
    "steps": ("tab:olive", "P", "steps alone", "{0} of 16 steps"),
    "spikes": ("tab:red", "v", "hidden spikes alone", "hidden spikes ÷ {0}"),
    "synapses": ("tab:green", "o", "synapses alone", "pruned ÷ {0}"),
    "bits": ("tab:purple", "x", "bits alone", "{0} bits"),
    "together": ("tab:blue", "D", "all together", "÷ {0}, {1} neurons, {2} steps, {3} bits"),
}


def on_sheet(store, sheet):
    """The baselines of one sheet, and every network on it: lever, words, runs."""
    base = {"runs": store["cells"]["baseline, 1"][sheet]}
    digits = Digits([{"baseline": base, "budget": [], "digits": store["digits"], "cells": {}}])
    found = []
    for cell in store["cells"].values():
        if cell["kind"] in LEVERS:
            setting = np.atleast_1d(cell["setting"])
            words = LEVERS[cell["kind"]][3].format(*setting)
            found.append((cell["kind"], words, cell[sheet]))
            for target in cell[sheet][0]["stopped"]:
                if all(target in r["stopped"] for r in cell[sheet]):
                    stopped = [r["stopped"][target] for r in cell[sheet]]
                    found.append((cell["kind"], f"{words}, stopped early", stopped))
    return digits, found


def levers_page(store):
    """One line a network: change of accuracy and energy on both sheets."""
    sides = {sheet: on_sheet(store, sheet) for sheet in SHEETS}
    base = [np.mean([r["energy"] for r in digits.base]) for digits, _ in sides.values()]
    start = sides[SHEETS[0]][0].baselines()
    lines = [
        f"{start}: {joules(base[0])} on `{SHEETS[0]}`, {joules(base[1])} on {SHEETS[1]}.\n",
        f"| lever | network | change of accuracy [points] | {' | '.join(SHEETS)} |",
        "|---|---|---|---|---|",
    ]
    rows = {}
    for sheet, (digits, found) in sides.items():
        for kind, words, runs in found:  # where it stops depends on what a step costs
            words += f", for {sheet}" if "stopped" in words else ""
            rows.setdefault((kind, words), {})[sheet] = digits.line(runs)
    place = lambda row: (list(LEVERS).index(row[0][0]), -cheapest(next(iter(row[1].values()))))
    for (kind, words), line in sorted(rows.items(), key=place):
        mean, low, high, *_ = next(iter(line.values()))
        spent = [f"1/{1 / line[s][4].mean():.1f}" if s in line else "–" for s in SHEETS]
        change = f"{mean:+.2f} ({low:+.2f} to {high:+.2f})"
        lines.append(f"| {kind} | {words} | {change} | {' | '.join(spent)} |")
    return lines


def levers_front(store, path):
    """Accuracy against total energy, a lever a line, on both sheets."""
    size = dict(figsize=(10, 4.4), layout="constrained")
    figure, pair = plt.subplots(1, 2, sharex=True, sharey=True, **size)
    for ax, sheet in zip(pair, SHEETS, strict=True):
        digits, found = on_sheet(store, sheet)
        for kind, (colour, marker, label, _) in LEVERS.items():
            if kind == "bits" and sheet == SHEETS[0]:
                continue  # one price, whatever the width
            lines = sorted((digits.line(r) for k, _, r in found if k == kind), key=cheapest)
            for best in (True, False):
                shown = [one for one in lines if undominated(one, lines) == best]
                draw(ax, shown, (colour, marker, label), best=best)
            ax.plot([], [], color=colour, marker=marker, ms=5, lw=1, label=label)
        scaled(ax)
        ax.set(title=sheet, ylim=(-8, 0.8))
    pair[0].set(ylabel="change of test accuracy [points]")
    pair[0].legend(*pair[1].get_legend_handles_labels(), loc="lower right")
    figure.savefig(path, dpi=150)


def cheapest(line):
    """What a line of a table is sorted by."""
    return line[4].mean()


def scaled(ax):
    """An axis of energies relative to the baseline."""
    ticks = [1, 1 / 2, 1 / 5, 0.1, 0.05, 1 / 30, 0.02]
    ax.axhline(0, color="#888888", lw=0.8)
    ax.set(xscale="log", xlabel="all the energy, relative to the baseline")
    ax.set_xticks(ticks, [f"1/{round(1 / t)}" if t < 1 else "1" for t in ticks])
    ax.minorticks_off()


# %% One network a name


def table(rows):
    """Cells of the other data sets, over seeds."""
    cells = {}
    for name, one in rows.items():
        cell, seed = name.rsplit(", seed ", 1)
        cells.setdefault(cell, {})[seed] = one
    base = cells["baseline"]
    start = np.mean([b["energy"] for b in base.values()])
    accuracy = [100 * b["accuracy"] for b in base.values()]
    lines = [
        f"Baselines: {np.mean(accuracy):.2f} % ({min(accuracy):.2f}–{max(accuracy):.2f}), "
        f"{start / 1e6:.2f} µJ, of which updates "
        f"{100 * np.mean([b['updates'] / b['energy'] for b in base.values()]):.0f} %.\n",
        "| network | change of accuracy [points] | by seed | energy of the baseline | worst step "
        "| updates |",
        "|---|---|---|---|---|---|",
    ]
    widths = []
    for cell, seeds in cells.items():
        if cell == "baseline":
            continue
        pairs = [(one, base[s]) for s, one in seeds.items() if s in base]
        paired = [hits(a["right"]) - hits(b["right"]) for a, b in pairs]
        changes = [100 * c.mean() for c in paired]
        each = ", ".join(f"{c:+.2f}" for c in changes)
        widths += [196 * c.std() / len(c) ** 0.5 for c in paired if c.mean() > -0.1]
        spent = np.mean([a["energy"] / b["energy"] for a, b in pairs])
        worst = np.mean([a["worst_step"] / b["worst_step"] for a, b in pairs])
        lines.append(
            f"| {cell} | {mean_of(changes)} | {each} | 1/{1 / spent:.1f} | 1/{1 / worst:.1f} "
            f"| {100 * np.mean([a['updates'] / a['energy'] for a, _ in pairs]):.0f} % |"
        )
    words = (
        "Means over seeds ± 95 % of them. Which samples are tested moves the change of one seed by"
    )
    return [*lines, f"\n{words} ± {min(widths):.1f}–{max(widths):.1f} points (95 %)."]


def peaks_page(rows):
    """Under a limit on the worst step: the table, and every setting against its controls."""
    lines = [*table(rows), ""]
    names = dict.fromkeys(n.rsplit(", ", 2)[0] for n in rows if not n.startswith("baseline"))
    for name in names:
        seeds = [n.rsplit(" ", 1)[1] for n in rows if n.startswith(f"{name}, limit, ")]
        of = lambda word, name=name, seeds=seeds: [rows[f"{name}, {word}, seed {k}"] for k in seeds]
        right = {w: np.array([hits(r["right"]).mean() for r in of(w)]) for w in VARIANTS}
        against = [100 * (right["limit"] - right[w]) for w in VARIANTS[1:]]
        met = [r["met"][1] for r in of("limit")]
        base = [rows[f"baseline, seed {k}"]["worst_step_ever"] for k in seeds]
        ever = [
            np.mean([r["worst_step_ever"] / b for r, b in zip(of(w), base, strict=True)])
            for w in VARIANTS[:2]
        ]
        lines += [
            f"- *{name}*: limit minus no limit, paired: {mean_of(against[0])} points;",
            f"  minus one as cheap without the limit: {mean_of(against[1])}. The dearest step",
            f"  of any tested utterance: 1/{1 / ever[0]:.1f} of the baseline's with the limit,",
            f"  1/{1 / ever[1]:.1f} without. On training data {min(met):.3f}–{max(met):.3f} of it.",
        ]
    return lines


VARIANTS = ("limit", "no limit", "as cheap without")


def mean_of(changes):
    """Mean over seeds, with 95 % by Student's distribution."""
    if len(changes) == 1:
        return f"{changes[0]:+.2f}"
    error = stats.t.ppf(0.975, len(changes) - 1) * np.std(changes, ddof=1) / len(changes) ** 0.5
    return f"{np.mean(changes):+.2f} ± {error:.2f}"


def main(argv=None):
    """Write the tables into the page, and the figure beside it."""
    parser = argparse.ArgumentParser(description="Tables and figure of the energy results.")
    parser.add_argument("--page", default=str(DOCS / "energy-results.md"))
    args = parser.parse_args(argv)
    page = pathlib.Path(args.page)
    text = page.read_text()
    parts = {}
    (others,) = load("energy_others.json")
    parts["others"] = others_page(others)
    parts["analog"], parts["chips"] = analog_page(others), chips_page(others)
    digits = Digits(load("energy_digits_?.json"))
    parts["digits"] = digits_page(digits)
    front(digits, others, page.parent / "energy-front.png")
    for name in ("mnist", "moved", "vowels"):
        parts[name] = table(*load(f"energy_{name}.json"))
    (alone,) = load("energy_levers.json")
    parts["levers"] = levers_page(alone)
    levers_front(alone, page.parent / "energy-levers.png")
    parts["peaks"] = peaks_page(*load("energy_peaks.json"))
    for name, lines in parts.items():
        start = text.index(START, text.index(f"<!-- {name} -->")) + len(START)
        text = text[:start] + "\n" + "\n".join(lines) + "\n" + text[text.index(END, start) :]
        print("\n".join(lines), "\n")
    page.write_text(text)


if __name__ == "__main__":
    main()
