"""Tables of the page on benchmarks, from what the benchmarks have written.

    python benchmarks/tables.py --write    # fill docs/benchmarks.md

Between `<!-- NAME -->` and `<!-- end -->` of the page stands the table of `results/NAME.json`.
"""

import argparse
import json
import pathlib
import re

HERE = pathlib.Path(__file__).parent
PAGE = HERE.parent / "docs" / "benchmarks.md"


def seconds(s):
    """A time in words."""
    return f"{s:.2f} s" if s >= 1 else f"{1e3 * s:.3g} ms"


def between(ratio):
    """A ratio and its interval."""
    return f"{ratio['median']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]"


def table(name):
    """One table: a row for each variant of each network."""
    found = json.loads((HERE / "results" / f"{name}.json").read_text(encoding="utf-8"))
    rows = ["| | variant | CPU time | ratio [95 %] | wall ratio |", "|---|---|---|---|---|"]
    for group, entry in found["results"].items():
        modes = entry.get("modes", entry)
        for i, (mode, row) in enumerate(modes.items()):
            label = f"{group}: {entry['about']}" if "about" in entry else group
            rows.append(
                f"| {label if i == 0 else ''} | {mode} | {seconds(row['cpu_s'])} | "
                f"{between(row['cpu_ratio'])} | {row['wall_ratio']['median']:.2f} |"
            )
    where = found["conditions"]
    versions = ", ".join(f"{k} {v}" for k, v in where["versions"].items())
    rows.append(
        f"\n{where['date']}, one core of {where['cores']} of an {where['cpu']}; {versions}."
    )
    return "\n".join(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    text = PAGE.read_text(encoding="utf-8")
    fill = lambda m: f"<!-- {m[1]} -->\n\n{table(m[1])}\n\n<!-- end -->"
    new = re.sub(r"<!-- ([\w-]+) -->\n.*?<!-- end -->", fill, text, flags=re.S)
    if args.write:
        PAGE.write_text(new, encoding="utf-8")
    else:
        print(new)


if __name__ == "__main__":
    main()
