"""Programs that an earlier edition counted wrong, each with its truth."""

import jax
import pytest

with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
    from .cases.programs import PROGRAMS, wrong


@pytest.mark.skipif(jax.config.jax_enable_x64, reason="written in float32")
@pytest.mark.parametrize("case", PROGRAMS, ids=lambda case: case[0])
def test_program(case):
    _, function, args, want, options = case
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        assert wrong(function, args, want, options) == ""


def test_there_are_twenty_one():
    assert len(PROGRAMS) == 21
