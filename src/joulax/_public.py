"""The public names that stand in no module of their own."""

from ._accountant import (
    EnergyAccountant as EnergyAccountant,
    EnergyReport as EnergyReport,
    HardwareCostModel as HardwareCostModel,
    LayerEnergy as LayerEnergy,
)
from ._activity.account import Account as Account, Convention as Convention, SiteNote as SiteNote
from ._activity.ledger import Ledger as Ledger
from ._activity.record import Activity as Activity, activity as activity
from ._count import (
    activity_of as activity_of,
    count as count,
    opaque as opaque,
    rule as rule,
    spikes as spikes,
    synapses as synapses,
)
from ._fidelity.calibration import Calibration as Calibration, calibrate as calibrate
from ._fidelity.measurement import Comparison as Comparison, Measurement as Measurement
from ._fidelity.uncertainty import (
    interval as interval,
    probability_cheaper as probability_cheaper,
    sample as sample,
)
from ._hardware.catalogue import (
    catalogue as catalogue,
    datasheet as datasheet,
    hardware as hardware,
    register as register,
)
from ._hardware.chip import Chip as Chip, Hardware as Hardware
from ._hardware.costs import Costs as Costs, costs as costs
from ._hardware.datasheet import Datasheet as Datasheet, Quantity as Quantity
from ._hardware.energy import energy as energy
from ._hardware.floor import floor as floor
from ._hardware.operations import Operations as Operations
from ._hardware.provenance import (
    Change as Change,
    Provenance as Provenance,
    bibtex as bibtex,
    provenance as provenance,
    reference as reference,
)
from ._hardware.result import Energy as Energy, Result as Result
from ._hardware.variants import scaled as scaled, stack as stack, variants as variants
from ._questions.dataset import (
    DatasetEvaluation as DatasetEvaluation,
    Spread as Spread,
    evaluate_dataset as evaluate_dataset,
)
from ._questions.estimate import estimate as estimate
from ._questions.evaluation import Evaluation as Evaluation, evaluate as evaluate
from ._questions.hotspots import HotSpots as HotSpots, Spot as Spot, hotspots as hotspots
from ._questions.twin import (
    TwinReport as TwinReport,
    ann_twin as ann_twin,
    at_rate as at_rate,
    break_even_rate as break_even_rate,
    compare as compare,
    sensitivity as sensitivity,
    twin_bits as twin_bits,
)
from ._report.compared import Compared as Compared
from ._report.explanation import Explanation as Explanation, explain as explain
from ._report.report import Report as Report, report as report
from ._report.summary import Summary as Summary, SummaryRow as SummaryRow, summary as summary
from ._stored import load as load
from ._training.compact import Compacted as Compacted, compact as compact
from ._training.constraint import (
    Constraint as Constraint,
    ConstraintState as ConstraintState,
    constraint as constraint,
)
from ._training.existence import synapse_energy as synapse_energy
from ._training.monitor import Monitor as Monitor
from ._training.proximal import ProximalState as ProximalState, proximal as proximal
from ._training.pruning import keep as keep, threshold as threshold
from ._training.stopping import (
    EarlyStop as EarlyStop,
    first_confident as first_confident,
    stopping_threshold as stopping_threshold,
)
