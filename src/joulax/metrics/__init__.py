"""The field's figures from one account.

NeuroBench's, Sinabs' and KerasSpiking's words with their definitions.

All are pure functions of accounts, arrays or models, per layer and in total; leading axes of
samples stay, and sums of accounts
([`joulax.Ledger`][]) give sums of figures.
"""

from .harness import Harness as Harness, harness as harness
from .keras_spiking import layer_energy as layer_energy, model_energy as model_energy
from .learning import learning as learning
from .neurobench import (
    activation_sparsity as activation_sparsity,
    connection_sparsity as connection_sparsity,
    counted_neuron_operations as counted_neuron_operations,
    footprint as footprint,
    membrane_updates as membrane_updates,
    neuron_operations as neuron_operations,
    parameter_count as parameter_count,
    synaptic_operations as synaptic_operations,
    update_price as update_price,
    workload as workload,
)
from .sinabs import synops_table as synops_table

__all__ = [
    "Harness",
    "activation_sparsity",
    "connection_sparsity",
    "counted_neuron_operations",
    "footprint",
    "harness",
    "layer_energy",
    "learning",
    "membrane_updates",
    "model_energy",
    "neuron_operations",
    "parameter_count",
    "synaptic_operations",
    "synops_table",
    "update_price",
    "workload",
]
