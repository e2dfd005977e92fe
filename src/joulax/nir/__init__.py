"""Networks of other worlds by the Neuromorphic Intermediate Representation (NIR).

[`joulax.nir.load`][] makes a runnable model of a graph; [`joulax.nir.account`][] prices what a
simulator or a chip recorded on it, without running anything. Graphs made in Python need no
further package; files need the `nir` package: `pip install "joulax[nir]"`.

??? cite "Reference"
    Pedersen et al., Neuromorphic intermediate representation, Nat. Commun. 15:8122, 2024.
"""

from .model import Network as Network, load as load
from .recorded import account as account

__all__ = ["Network", "account", "load"]
