"""The API page, one page a topic: every section of `api.md` becomes a page of its own."""

import re
from pathlib import Path

from mkdocs.structure.files import File


def _sections(config) -> dict[str, str]:
    text = (Path(config["docs_dir"]) / "api.md").read_text(encoding="utf-8")
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def _address(title: str) -> str:
    return f"api/{re.sub(r'[^a-z0-9]+', '-', title.lower()).strip('-')}.md"


def on_config(config):
    """List the pages in the navigation, under the last group."""
    pages = [{title: _address(title)} for title in _sections(config)]
    for group in config["nav"]:
        for name, entries in group.items():
            if name == "Reference":
                entries.append({"API": pages})
    return config


def on_files(files, config):
    """Make the pages."""
    for title, body in _sections(config).items():
        content = f"# {title}\n{body}"
        files.append(File.generated(config, _address(title), content=content))
    return files
