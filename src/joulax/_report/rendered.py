"""The words and forms that everything printed shares, under one name."""

from .._forms.rendered import Rendered as Rendered, pandas as pandas
from .._forms.units import (
    joules as joules,
    number as number,
    with_range as with_range,
)
