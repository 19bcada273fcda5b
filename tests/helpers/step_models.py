"""Step models of shipped models on shipped GPUs, built once."""

from functools import cache

from simulator.costs.engine import load_engine
from simulator.costs.forward import ForwardCost
from simulator.costs.step import StepModel
from simulator.experts.laws import Overlap
from simulator.hardware.gpu import load_gpu
from simulator.hardware.topology import load_topology
from simulator.kernels.tables import KernelTables
from simulator.models.catalog import default_drafter, load_architecture, load_drafter
from simulator.models.drafters import drafter_operators
from simulator.models.forward import forward_operators
from simulator.models.parallelism import ALLGATHER, Parallelism


@cache
def step_model(
    model,
    gpu="a100_sxm",
    tensor_parallel=2,
    law=None,
    *,
    data=1,
    expert=1,
    pipeline=1,
    redundant=0,
    all2all_backend=ALLGATHER,
    topology=None,
) -> StepModel:
    """The cost model of a shipped model with its usual drafter; uniform routing by default."""
    spread = Parallelism(tensor_parallel, data, expert, pipeline, redundant, all2all_backend)
    lies_on = None if topology is None else load_topology(topology)
    engine, tables = load_engine("vllm"), KernelTables.load(load_gpu(gpu))
    target = load_architecture(model)
    drafts = drafter_operators(load_drafter(default_drafter(model)), target, spread)
    return StepModel(
        target=ForwardCost(forward_operators(target, spread), tables, engine, lies_on),
        drafter=ForwardCost(drafts, tables, engine, lies_on) if drafts else None,
        law=law or Overlap(),
        engine=engine,
        vocab=target.vocab,
        parallelism=spread,
    )
