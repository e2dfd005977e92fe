"""Published energy models, as further hardware and as functions.

Differentiable in all continuous parameters.
"""

from .call import PerCall as PerCall
from .lemaire import (
    Lemaire2022 as Lemaire2022,
    Terms as Terms,
    lemaire_conv as lemaire_conv,
    lemaire_dense as lemaire_dense,
)
from .memory import (
    DRAM as DRAM,
    REGISTER as REGISTER,
    Memory as Memory,
    add_qkeras as add_qkeras,
    bit_width as bit_width,
    multiply_qkeras as multiply_qkeras,
    sram as sram,
    sram_qkeras as sram_qkeras,
)
from .placement import (
    CORES as CORES,
    STATIC_CORE as STATIC_CORE,
    Cores as Cores,
    Placement as Placement,
    placement as placement,
    spinnaker_power as spinnaker_power,
)
from .routing import Routed as Routed
from .scaling import stillmaker as stillmaker

__all__ = [
    "CORES",
    "Cores",
    "DRAM",
    "Lemaire2022",
    "Memory",
    "PerCall",
    "Placement",
    "REGISTER",
    "Routed",
    "STATIC_CORE",
    "Terms",
    "bit_width",
    "lemaire_conv",
    "lemaire_dense",
    "placement",
    "spinnaker_power",
    "sram",
    "stillmaker",
]
