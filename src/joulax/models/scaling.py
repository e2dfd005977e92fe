"""Factors on the energy of logic from one process and voltage to another."""

from jaxtyping import Array

from .._hardware.numbers import Real, checked

_STILLMAKER = {
    "180": (24.64, -17.98, 0.0),
    "130": (7.171, -6.709, 2.904),
    "90": (4.762, -4.781, 2.092),
    "65": (3.755, -4.398, 1.975),
    "HP45": (1.018, -0.3107, 0.1539),
    "HP32": (0.8367, -0.4341, 0.1701),
    "HP20": (0.373, -0.1582, 0.04104),
    "HP16": (0.2958, -0.1241, 0.03024),
    "HP14": (0.2363, -0.09675, 0.02239),
    "HP10": (0.2068, -0.09311, 0.02375),
    "HP7": (0.1776, -0.09097, 0.02447),
    "LP45": (1.103, -0.362, 0.2767),
    "LP32": (0.9559, -0.7823, 0.471),
    "LP20": (0.2632, -0.14, 0.06841),
    "LP16": (0.2139, -0.1187, 0.05639),
    "LP14": (0.1556, -0.06472, 0.03066),
    "LP10": (0.1261, -0.0518, 0.02769),
    "LP7": (0.09365, -0.03409, 0.02043),
}


def stillmaker(process: str, volts: Real, *, of: str = "HP45", at: Real = 0.9) -> Array:
    r"""Factor on the energy of logic from one process and voltage to another.

    $$E_\mathrm{to} = E_\mathrm{from} \frac{f_\mathrm{to}(V)}{f_\mathrm{from}(V_0)},
    \qquad f(V) = a_2 V^2 + a_1 V + a_0.$$

    Logic only: memories do not scale so. From 45 to 7 nm it gives a fifth of the published 7 nm
    table.

    **Arguments:**

    - `process`: such as `"HP7"` (high performance) or `"LP16"` (low power).
    - `volts`: supply voltage there [V]; the factor is differentiable in it.
    - `of`, `at`: process and voltage where the energies hold.

    **Raises:**

    `ValueError` for a process that has no coefficients, such as 28 or 22 nm.

    ??? cite "Reference"
        Stillmaker & Baas, Integration 58:74–81, 2017, energy coefficients.
    """
    for name in (process, of):
        if name not in _STILLMAKER:
            raise ValueError(
                f"no coefficients for {name!r}; the processes are {', '.join(_STILLMAKER)}"
            )
    return _energy(process, volts) / _energy(of, at)


def _energy(process: str, volts: Real) -> Array:
    a2, a1, a0 = _STILLMAKER[process]
    v = checked(volts, "volts", "V", positive=True)
    return v * (a2 * v + a1) + a0
