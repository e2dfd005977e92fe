"""Joulax says what a spiking network costs.

activity → operations → costs → energy → report: each arrow is a pure function, each noun a pytree.
"""

from . import losses as losses, metrics as metrics, models as models, neurons as neurons, plot as plot
from ._account import Account as Account, Convention as Convention, SiteNote as SiteNote
from ._accountant import (
    EnergyAccountant as EnergyAccountant,
    EnergyReport as EnergyReport,
    HardwareCostModel as HardwareCostModel,
    LayerEnergy as LayerEnergy,
)
from ._activity import Activity as Activity, activity as activity
from ._calibrate import Calibration as Calibration, calibrate as calibrate
from ._catalogue import (
    catalogue as catalogue,
    datasheet as datasheet,
    hardware as hardware,
    reference as reference,
    register as register,
    scaled as scaled,
    stack as stack,
)
from ._compare import (
    TwinReport as TwinReport,
    ann_twin as ann_twin,
    at_rate as at_rate,
    break_even_rate as break_even_rate,
    compare as compare,
    sensitivity as sensitivity,
    twin_bits as twin_bits,
)
from ._constraint import Constraint as Constraint, ConstraintState as ConstraintState, constraint as constraint
from ._costs import Costs as Costs, costs as costs
from ._count import count as count
from ._datasheet import Datasheet as Datasheet, Quantity as Quantity
from ._energy import Energy as Energy, Result as Result, energy as energy
from ._estimate import estimate as estimate
from ._evaluate import Evaluation as Evaluation, evaluate as evaluate
from ._explain import Explanation as Explanation, explain as explain
from ._hardware import Chip as Chip, Hardware as Hardware
from ._hotspots import HotSpots as HotSpots, Spot as Spot, hotspots as hotspots
from ._ledger import Ledger as Ledger
from ._marks import spikes as spikes, synapses as synapses
from ._measurement import Comparison as Comparison, Measurement as Measurement
from ._monitor import Monitor as Monitor
from ._operations import Operations as Operations
from ._recorded import activity_of as activity_of
from ._report import Report as Report, report as report
from ._uncertainty import interval as interval, probability_cheaper as probability_cheaper, sample as sample
from ._version import __version__ as __version__
