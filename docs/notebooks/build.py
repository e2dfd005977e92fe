"""Run the scripts beside this file as notebooks and write each as a page with its outputs.

Scripts are in percent format; needs jupytext, nbclient and ipykernel (`pip install
"joulax[docs]"`). `python docs/notebooks/build.py [NAME …]` writes `NAME.md` and its pictures.
"""

import base64
import pathlib
import sys

import jupytext
import nbclient

HERE = pathlib.Path(__file__).parent


def run(name: str):
    """The notebook of a script, with outputs."""
    book = jupytext.read(HERE / f"{name}.py")
    client = nbclient.NotebookClient(
        book, timeout=900, kernel_name="python3", resources={"metadata": {"path": str(HERE)}}
    )
    return client.execute()


def page(name: str, book) -> str:
    """Markdown of a notebook; pictures are written beside it."""
    parts = []
    for k, cell in enumerate(book.cells):
        if cell.cell_type == "markdown":
            parts.append(cell.source)
        elif cell.source.strip():
            source = "\n".join(s for s in cell.source.split("\n") if not s.startswith("%"))
            parts.append(f"```py\n{source}\n```")
            parts += [_output(o, f"{name}-{k}") for o in cell.outputs]
    said = f"*A notebook: `docs/notebooks/{name}.py`, shown with the outputs of a run.*"
    first, *rest = [p for p in parts if p]
    return "\n\n".join([first, said, *rest]) + "\n"


def _output(output, picture: str) -> str:
    if output.output_type == "stream":
        return f"```text\n{output.text.rstrip()}\n```" if output.name == "stdout" else ""
    data = output.get("data", {})
    if "image/svg+xml" in data:
        (HERE / f"{picture}.svg").write_text(data["image/svg+xml"])
        return f"![output]({picture}.svg){{.paper}}"
    if "image/png" in data:
        (HERE / f"{picture}.png").write_bytes(base64.b64decode(data["image/png"]))
        return f"![output]({picture}.png){{.paper}}"
    if "text/html" in data:
        return _table(data["text/html"])
    return f"```text\n{data['text/plain']}\n```" if "text/plain" in data else ""


def _table(html: str) -> str:
    """HTML on one line, so that Markdown leaves it alone; the style stays."""
    return " ".join(html.split("\n"))


def main(names: list[str]) -> None:
    """Write the pages."""
    for name in names or sorted(p.stem for p in HERE.glob("*.py") if p.stem != "build"):
        (HERE / f"{name}.md").write_text(page(name, run(name)))
        sys.stdout.write(f"{name}.md\n")


if __name__ == "__main__":
    main(sys.argv[1:])
