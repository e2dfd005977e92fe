"""Trained networks of `energy_others.py` on every chip, and against analog ones of few bits."""

import jax
import numpy as np

import joulax
from joulax.models import DRAM, bit_width, sram

STEP = 1e-3  # seconds a time step
NETWORKS = {
    "baseline": "baseline",
    "dense": "dense, None, 64, 4",
    "÷ 10": "pruned by energy, 10, 128, 4",
    "÷ 20": "pruned by energy, 20, 128, 4",
    "÷ 30": "pruned by energy, 30, 128, 3",
    "÷ 30 small": "pruned by energy, 30, 64, 4",
}
TIE = 1e-3  # totals that differ by less, relatively, are equal


def records(layers):
    """An account of what was stored."""
    return {name: joulax.activity(**fields) for name, fields in layers.items()}


# %% Every chip


def prices(networks):
    """By chip that prices all networks: scope, energies [pJ], range of the first; other chips."""
    made = {
        name: joulax.evaluate(records(n["layers"]), duration=n["steps"] * STEP, batch=1)
        for name, n in networks.items()
    }
    first = made["baseline"]
    found, holes = {}, []
    for i, (chip, source) in enumerate(zip(first.chips, first.sources, strict=True)):
        energies = {name: list(e.totals.values())[i] for name, e in made.items()}
        if any(np.isnan(list(energies.values()))):
            holes.append(chip)
            continue
        scope = source.scope + (f"; leaves out {source.outside}" if source.outside else "")
        found[chip] = scope, energies, first.ranges[i]
    return found, holes


def ranked(energies):
    """Names from the cheapest, equal ones joined."""
    groups = []
    for name in sorted(energies, key=energies.get):
        if groups and energies[name] < energies[groups[-1][0]] * (1 + TIE):
            groups[-1].append(name)
        else:
            groups.append([name])
    return [" = ".join(sorted(g)) for g in groups]


def certain(chip, networks, energies):
    """Least probability, over neighbours in the order, that the cheaper one is the cheaper."""
    results = {
        name: joulax.energy(records(n["layers"]), chip, n["steps"] * STEP, batch=1)
        for name, n in networks.items()
    }
    names = sorted(energies, key=energies.get)
    pairs = [(a, b) for a, b in zip(names, names[1:], strict=False) if distinct(energies, a, b)]
    key = jax.random.key(0)
    chances = [joulax.probability_cheaper(results[a], results[b], key=key) for a, b in pairs]
    return min(map(float, chances), default=1.0)


def distinct(energies, a, b):
    """Whether two networks cost different amounts."""
    return energies[b] > energies[a] * (1 + TIE)


def joules(energy):
    """An energy [pJ] with a unit."""
    for size, unit in ((1e12, "J"), (1e9, "mJ"), (1e6, "µJ"), (1e3, "nJ")):
        if energy >= size:
            return f"{energy / size:.3g} {unit}"
    return f"{energy:.3g} pJ"


def chips_page(store):
    """One line a chip, grouped by scope; and which chips have which order."""
    networks = {name: store["networks"][key] for name, key in NETWORKS.items()}
    found, holes = prices(networks)
    others = [n for n in networks if n != "baseline"]
    lines = [
        f"| chip | baseline (range of prices) | {' | '.join(others)} | cheapest first | certain |",
        f"|---|---|{'---|' * len(others)}---|---|",
    ]
    orders = {}
    for scope in sorted({scope for scope, *_ in found.values()}):
        lines.append(f"| *{scope}* |" + " |" * (len(others) + 3))
        for chip, (own, energies, span) in found.items():
            if own == scope:
                order = ", ".join(ranked(energies))
                orders.setdefault(order, []).append(chip)
                ends = f" ({joules(span[0])}–{joules(span[1])})" if span else ""
                cells = [f"1/{energies['baseline'] / energies[n]:.3g}" for n in others]
                chance = f"{100 * certain(chip, networks, energies):.0f} %" if span else ""
                start = f"| {chip} | {joules(energies['baseline'])}{ends} | {' | '.join(cells)} |"
                lines.append(f"{start} {order} | {chance} |")
    lines.append(
        f"\n{len(found)} chips price all {len(networks)} networks. Orders, the cheapest first:\n"
    )
    for order, chips in sorted(orders.items(), key=lambda one: -len(one[1])):
        lines.append(f"- {order}: {len(chips)} chips ({', '.join(chips)})")
    return [*lines, f"\nNo price for something that occurs: {', '.join(holes)}."]


# %% Few bits, spiking and analog


def machines(layers, bits):
    """45 nm with weights of so many bits, without and with memories of the network's own size."""
    positions = sum(fields["synapses"] for fields in layers.values())
    weights = sram(max(positions * bits / 8, 8e3))  # 8 kB is the smallest with a price
    common = dict(accumulator_bits=16, states=sram(8e3))
    return {
        "arithmetic only": bit_width(bits, accumulator_bits=16),
        "weights on chip": bit_width(bits, **common, weights=weights),
        "on chip, zeros skipped": bit_width(bits, **common, weights=weights, skips_zeros=1.0),
        "weights off chip": bit_width(bits, **common, weights=DRAM),
    }


def percent(found):
    """Share of the digits that are right [%]."""
    return 100 * np.mean([c == "1" for c in "".join(found["right"])])


def analog_page(store):
    """Accuracy and energy of spiking and analog networks of few bits."""
    stored = store["networks"]
    rows = {f"spiking, {title}": stored[key] for title, key in NETWORKS.items()}
    rows |= {f"{k} hidden neurons": n for k, n in stored.items() if k.startswith("analog")}
    names = list(machines(stored["baseline"]["layers"], 8))
    lines = [
        f"| network | right, float32 [%] | bits | right [%] | {' | '.join(names)} |",
        f"|---|---|---|---|{'---|' * len(names)}",
    ]
    for title, network in rows.items():
        for bits, few in network["bits"].items():
            layers = few["layers"]
            chips = machines(layers, int(bits)).values()
            spent = [joules(float(joulax.energy(records(layers), c).total)) for c in chips]
            full = f"{percent(network):.2f} | {bits} | {percent(few):.2f}"
            lines.append(f"| {title} | {full} | {' | '.join(spent)} |")
    return lines
