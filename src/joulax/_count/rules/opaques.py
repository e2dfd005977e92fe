"""Primitives of which nothing is known but that data go in: results are analog.

Where weights go in beside data, the synapses inside are lost, which `count` says; other work on
data is listed in the account's convention.
"""

from collections.abc import Sequence
from typing import Any

from ..axes import Axes
from ..findings import Context, Found
from ..kinds import Analog, Cause, Data, Parameter, Value
from .births import mixed
from .contents import births_in
from .registry import OPAQUE, because, from_parameters, opaque, shape_of

# Decompositions and solvers.
opaque(
    *"cholesky cholesky_update eig eigh geqp3 geqrf hessenberg householder_product lu".split(),
    *"lu_pivots_to_permutation ormqr qr schur svd symmetric_product triangular_solve".split(),
    *"tridiagonal tridiagonal_solve custom_linear_solve spsolve fft eigh_jacobi".split(),
)
# Fused kernels, foreign code, callbacks with results.
opaque(
    *"ffi_call pure_callback io_callback buffer_callback call_exported pallas_call".split(),
    *"tpu_custom_call cudnn_fusion custom_fusion core_map mpmd_map fusible".split(),
    *"dot_product_attention_fwd dot_product_attention_fwd_wrapper".split(),
    *"dot_product_attention_bwd dot_product_attention_bwd_wrapper".split(),
    *"dot_product_attention_fp8_fwd dot_product_attention_fp8_fwd_wrapper".split(),
    *"dot_product_attention_fp8_bwd dot_product_attention_fp8_bwd_wrapper".split(),
    *"scaled_matmul scaled_matmul_wrapper scaled_dot".split(),
    *"coo_matmat coo_matvec coo_spmm coo_spmv csr_matmat csr_matvec csr_spmm csr_spmv".split(),
    *"matmul_acc_lhs matmul_pop matmul_push_rhs todense".split(),
)
# Calls that bring weights of their own, which no operand shows.
HOSTS = frozenset("pure_callback io_callback buffer_callback call_exported".split())
# Calls that contain a jaxpr: it is looked into where it takes the operands of the call.
CONTAINERS = frozenset(
    """
    call linear_call custom_lin create_linear custom_jvp_call_jaxpr custom_partitioning composite
    custom_dce_call custom_transpose_call eval_jaxpr jaxpr_call compute_on stage remat_opt
    shard_alike call_hi_primitive call_hi_primitive_linearized vmap xla_pmap
    """.split()
)
opaque(*sorted(CONTAINERS))
# Mutable references and logs: what was written where is not followed.
opaque(
    *"new_ref empty_ref free_ref freeze get swap addupdate accum_grad_in_ref pin unpin".split(),
    *"run_state run_scoped masked_load masked_swap new_box box_get box_set".split(),
    *"new_log log_read log_extend".split(),
)
# Windows that choose by data, and bits.
opaque(
    *"select_and_gather_add select_and_scatter select_and_scatter_add".split(),
    *"roll stochastic_round".split(),
    *"pack_dtype unpack_dtype pack_elementwise unpack_elementwise bitcast".split(),
    *"from_edtype to_edtype atomic_cas atomic_rmw repeat pgather bias_fwd bias_bwd".split(),
    "dce_sential",
)
# Tokens, shapes, machine words of kernels: no values of a network.
opaque(
    *"after_all add_dependency check dce_sink delay dim_as_value dimension_size".split(),
    *"shape_assertion inspect_sharding trace_value xla_metadata_value unreachable tie".split(),
    *"get_global multiple_of num_programs program_id platform_index axis_index".split(),
    *"with_memory_space_constraint dma_start dma_wait get_barrier_semaphore".split(),
    *"semaphore_read semaphore_signal semaphore_wait".split(),
    *"iota_2x32_shape zeros_like max_contiguous full_to_shard shard_to_full".split(),
)
# Messages between devices that have no closed form on one of them.
opaque(
    *"ragged_all_to_all all_gather_start all_gather_done all_gather_reduced_start".split(),
    *"all_to_all_start all_to_all_done pbroadcast_start pbroadcast_done".split(),
    *"ppermute_start ppermute_done psum_start psum_done psum_invariant_start psend precv".split(),
    *"reduce_scatter_start reduce_scatter_done unreduced_psum unreduced_psum_start".split(),
    *"unreduced_reduce_scatter unreduced_reduce_scatter_start preduced".split(),
)


def unknown(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found:
    """A primitive without a rule: analog where data go in; weights beside data may be synapses."""
    if not any(isinstance(i, Data) for i in ins) or not eqn.outvars:
        return Found(from_parameters(eqn, ins))
    name = eqn.primitive.name
    opaque = "is opaque" if name in OPAQUE else "has no rule"
    found = mixed(eqn, ins, ctx, f"`{name}` {opaque}", enters=False)
    cause = because(eqn, f"`{name}` {opaque}")
    outs = [_caused(o, v, cause) for o, v in zip(found.outs, eqn.outvars, strict=True)]
    lost = f"`{name}` {opaque}: weights meet data inside" if _may_lose(ins) else None
    if name in HOSTS:
        lost = f"`{name}` is a call of the host: what meets the data there is not seen"
    return found.but(outs=outs, uncounted=lost is None, lost=lost, arrived=births_in(ins))


def _caused(value: Value, variable: Any, cause: Cause) -> Value:
    """A result of which nothing is known but where it comes from."""
    value = value.but(axes=Axes.of(shape_of(variable)))
    return value.but(cause=cause) if isinstance(value, Analog) else value


def _may_lose(ins: Sequence[Value]) -> bool:
    leaves = any(isinstance(i, Parameter) and i.leaves and i.axes.size(0) > 1 for i in ins)
    terms = any(i.opened for i in ins)
    return leaves or terms
