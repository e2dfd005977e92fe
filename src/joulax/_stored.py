"""`load`: what was written with `to_json`, back as it was."""

import json
from pathlib import Path
from typing import Any

from ._activity.account import Account, Convention, SiteNote
from ._activity.record import Activity
from ._fidelity.calibration import Calibration
from ._forms.stored import unpack
from ._hardware.chip import Chip, Hardware
from ._hardware.costs import Costs
from ._hardware.datasheet import Datasheet, Quantity
from ._hardware.operations import Operations
from ._hardware.result import Energy, Priced, Result
from ._questions.assumed import AssumedReport
from ._questions.evaluation import Evaluation
from ._questions.hotspots import HotSpots, Spot
from ._questions.twin import TwinReport
from ._report.compared import Compared
from ._report.explanation import Explanation
from ._report.report import Report
from ._report.sources import Source
from ._report.summary import Summary, SummaryRow

_KINDS = {
    kind.__name__: kind
    for kind in (
        Account,
        Activity,
        AssumedReport,
        Calibration,
        Chip,
        Compared,
        Convention,
        Costs,
        Datasheet,
        Energy,
        Evaluation,
        Explanation,
        HotSpots,
        Operations,
        Priced,
        Quantity,
        Report,
        Result,
        SiteNote,
        Source,
        Spot,
        Summary,
        SummaryRow,
        TwinReport,
    )
}


def _kinds() -> dict[str, type]:
    """What can be read back, the published models of hardware too."""
    from . import models

    found = {n: k for n, k in vars(models).items() if isinstance(k, type)}
    return _KINDS | {n: k for n, k in found.items() if issubclass(k, Hardware)}


def load(source: str | Path) -> Any:
    """Read back what `to_json` wrote: a report, an account, a result, a chip, an evaluation, ….

    ```python
    import joulax

    account = {"hidden": joulax.activity(ac=100.0, updates=50.0)}
    made = joulax.report(joulax.energy(account, joulax.hardware("loihi")))
    assert str(joulax.load(made.to_json())) == str(made)
    ```

    **Arguments:**

    - `source`: a path, or the text itself.

    **Returns:**

    The object: equal numbers, types and order. Reports keep the prices that they were made with;
    what is said about a chip of the catalogue is what the catalogue says now.

    **Raises:**

    `ValueError` if the text was not written by `to_json`, or holds what this version cannot read.
    """
    text = str(source)
    if isinstance(source, Path) or not text.lstrip().startswith("{"):
        text = Path(source).read_text(encoding="utf-8")
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"load() reads what to_json() wrote; this is no JSON: {error}") from error
    if not isinstance(found, dict) or "data" not in found:
        raise ValueError("load() reads what to_json() wrote; this file has no 'data'")
    return unpack(found["data"], _kinds())
