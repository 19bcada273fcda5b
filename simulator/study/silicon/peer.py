"""NVIDIA's aiconfigurator as a peer: what it predicts of the deployments that we simulate.

This is the only place that runs code of ``aiconfigurator-core``, and only when asked; elsewhere it
is read as data. A row is estimated as ``aiconfigurator cli estimate --mode agg`` estimates one
operating point: the current tables of the engine and GPU, measured data only, prompt tokens per
step at their default (one prompt), the batch of one attention group. Where a row leaves a choice,
it goes to what its authors' adapter for this sample does, or else to the checkpoint itself.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NamedTuple

from simulator.errors import TableError
from simulator.units import MS

_PACKAGE = "aiconfigurator_core"

_CHECKPOINTS = {
    ("MiniMaxAI/MiniMax-M2.5", "fp4"): "nvidia/MiniMax-M2.5-NVFP4",
    ("Qwen/Qwen3-32B", "fp8"): "Qwen/Qwen3-32B-FP8",
    ("Qwen/Qwen3.5-397B-A17B", "fp4"): "nvidia/Qwen3.5-397B-A17B-NVFP4",
    ("deepseek-ai/DeepSeek-R1", "fp4"): "nvidia/DeepSeek-V3.1-NVFP4",
    ("deepseek-ai/DeepSeek-V3", "fp4"): "nvidia/DeepSeek-V3.1-NVFP4",
    ("meta-llama/Llama-3.1-70B", ""): "meta-llama/Meta-Llama-3.1-70B",
    ("meta-llama/Llama-3.1-70B", "fp4"): "nvidia/Llama-3.1-70B-Instruct-FP8",
    ("meta-llama/Llama-3.1-70B", "fp8"): "nvidia/Llama-3.1-70B-Instruct-FP8",
    ("meta-llama/Llama-3.1-8B-Instruct", ""): "meta-llama/Meta-Llama-3.1-8B",
    ("meta-llama/Llama-3.1-8B-Instruct", "fp8"): "meta-llama/Meta-Llama-3.1-8B",
    ("moonshotai/Kimi-K2.5", "fp4"): "nvidia/Kimi-K2.5-NVFP4",
    ("nvidia/DeepSeek-R1-NVFP4", "fp4"): "nvidia/DeepSeek-V3.1-NVFP4",
    ("nvidia/Llama-3.1-8B-Instruct-FP8", "fp8"): "meta-llama/Meta-Llama-3.1-8B",
    ("nvidia/Qwen3-32B-NVFP4", "fp4"): "Qwen/Qwen3-32B",
    ("zhipuai/GLM-5", "fp4"): "nvidia/GLM-5-NVFP4",
    ("zhipuai/GLM-5", "fp8"): "zai-org/GLM-5-FP8",
}
"""Checkpoint that the package bundles for (name, precision) of the sample; else the name itself.

One family shares its shapes (R1 and V3.1, Instruct and base). The Llama-70B of fp4 takes the fp8
KV cache of NVIDIA's quantised checkpoints from the one that is bundled."""

_OWN_FORMAT = {"fp4": "-NVFP4", "fp8": "-Instruct-FP8"}
"""How a checkpoint is called that states all its formats, by precision."""

_NO_TABLE = ("PerfDataNotAvailableError", "InterpolationDataNotAvailableError")


@dataclass(frozen=True, slots=True)
class PeerPrediction:
    """What aiconfigurator says of one measured deployment; times in seconds.

    Parameters
    ----------
    ttft_s, tpot_s
        Time to first token and time per output token; None where it says nothing.
    reason
        Why it does not: "no table", "config not bundled", "layout refused", "does not fit",
        "incomplete row" or the error it failed with; empty otherwise.
    """

    ttft_s: float | None
    tpot_s: float | None
    reason: str = ""


class _Deployment(NamedTuple):
    """What one compiled model of the peer depends on; its names. Sizes not stated are None."""

    gpu: str
    engine: str
    checkpoint: str
    gemm: str
    moe: str
    tensor: int
    data: int
    moe_tensor: int | None
    moe_expert: int | None


class _Load(NamedTuple):
    """One operating point: prompt and output tokens, requests per attention group."""

    prompt_tokens: int
    output_tokens: int
    batch: int


_Estimate = Callable[[_Load], PeerPrediction]


def predict_peer_rows(
    rows: Sequence[Mapping[str, str]], advance: Callable[[], None]
) -> list[PeerPrediction]:
    """Predict rows of ``silicon_sample.csv`` with aiconfigurator, offline and in this process.

    Rows of one deployment are taken together: compiling it costs as much as some twenty rows.

    Parameters
    ----------
    rows
        Aggregated rows as ``csv.DictReader`` gives them. Sizes are taken at face value; the batch
        is that of one attention group (users over ``attention_dp_size``).
    advance
        Called once per row.

    Returns
    -------
    list of PeerPrediction
        In the order of the rows. Whatever the peer raises becomes a reason.

    Raises
    ------
    TableError
        If the package is not installed.
    """
    found = [PeerPrediction(None, None, "incomplete row")] * len(rows)
    groups: dict[_Deployment, list[tuple[int, _Load]]] = {}
    with _quiet():
        peer = _Peer()
        for index, row in enumerate(rows):
            try:
                groups.setdefault(_deployment(row), []).append((index, _load(row)))
            except (KeyError, TypeError, ValueError, OverflowError):
                advance()
        # Neighbours share tables and checkpoints, of which the peer keeps only some.
        for deployment in sorted(groups, key=str):
            estimate = peer.estimator(deployment)
            for index, load in groups[deployment]:
                found[index] = estimate(load)
                advance()
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the peer's log and warnings to itself."""
    log = logging.getLogger(_PACKAGE)
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def _deployment(row: Mapping[str, str]) -> _Deployment:
    name, precision = row["model_path"], row["precision"]
    checkpoint = _CHECKPOINTS.get((name, precision), name)
    gemm, moe = _formats(row, checkpoint)
    return _Deployment(
        gpu=row["system"],
        engine=row["backend"],
        checkpoint=checkpoint,
        gemm=gemm,
        moe=moe,
        tensor=_size(row["tp_size"]) or 1,
        data=_size(row["attention_dp_size"]) or 1,
        moe_tensor=_size(row["moe_tp_size"]),
        moe_expert=_size(row["moe_ep_size"]),
    )


def _formats(row: Mapping[str, str], checkpoint: str) -> tuple[str, str]:
    """Return the formats of dense layers and of experts to ask for; empty asks the checkpoint.

    The checkpoint knows better where it states its own formats, where its weights are int4, and
    for gpt-oss, whose experts are mxfp4 whatever the sample calls them. An ``fp8`` of experts names
    a precision; the kernel follows from the checkpoint's blocks.
    """
    own = _OWN_FORMAT.get(row["precision"])
    if "gpt-oss" in checkpoint:
        # TensorRT-LLM multiplies mxfp4 by mxfp8 on Blackwell (system names b200 to gb300).
        blackwell = row["system"].startswith(("b", "gb"))
        return "", "w4a8_mxfp4_mxfp8" if row["backend"] == "trtllm" and blackwell else ""
    if row["precision"] == "int4" or (own is not None and checkpoint.endswith(own)):
        return "", ""
    moe = row["moe_quant_mode"]
    return row["gemm_quant_mode"], "" if moe == "fp8" else moe


def _load(row: Mapping[str, str]) -> _Load:
    load = _Load(*(int(float(row[name])) for name in ("isl", "osl", "batch_size")))
    if min(load) < 1:
        raise ValueError(f"{load} is no operating point")
    return load


def _size(text: str) -> int | None:
    """Read a size; empty and 0 say that it is not stated."""
    return int(float(text or 0)) or None


class _Peer:
    """The package, imported here and nowhere else. Its objects stay inside and are `Any`."""

    def __init__(self) -> None:
        self._common = _import("sdk.common")
        self._configs = _import("sdk.config_builders")
        self._runtime = _import("sdk.config")
        self._tables = _import("sdk.perf_database")
        self._models = _import("sdk.models")
        self._backends = _import("sdk.backends.factory")
        self._databases: dict[tuple[str, str], Any] = {}

    def estimator(self, deployment: _Deployment) -> _Estimate:
        """Compile a deployment and return what predicts its loads; one that fails only says why."""
        if deployment.checkpoint not in self._common.DefaultHFModels:
            # Asked for any other name, the package would go to Hugging Face.
            return _says("config not bundled")
        failure, parts = _attempt(lambda: self._compile(deployment))
        if failure:
            return _says(failure)
        model, database, backend = parts

        def estimate(load: _Load) -> PeerPrediction:
            failure, found = _attempt(lambda: self._estimate(model, database, backend, load))
            return PeerPrediction(None, None, failure) if failure else found

        return estimate

    def _compile(self, deployment: _Deployment) -> tuple[Any, Any, Any]:
        gpu, engine, checkpoint, gemm, moe, tensor, data, *experts = deployment
        database = self._database(gpu, engine)
        config = self._configs.build_model_config(
            tensor, 1, data, *experts, gemm_quant_mode=gemm or None, moe_quant_mode=moe or None
        )
        # The steps of `aiconfigurator cli estimate`, in its order.
        models = self._models
        models.resolve_context_fmha_by_data(
            config, checkpoint, database, engine, is_context_role=True
        )
        names = {"system_name": gpu, "backend_name": engine}
        models.resolve_dsv4_moe_arch(config, checkpoint, **names)
        models.resolve_nvfp4_for_system(config, gpu, checkpoint, backend_name=engine)
        model = models.get_model(checkpoint, config, engine)
        # A backend of its own: it keeps results by load alone, not by model.
        return model, database, self._backends.get_backend(engine)

    def _database(self, gpu: str, engine: str) -> Any:
        if (gpu, engine) not in self._databases:
            _, found = _attempt(lambda: self._tables.get_database_view(gpu, engine, "current"))
            self._databases[gpu, engine] = found
        if self._databases[gpu, engine] is None:
            raise _NoTableError
        return self._databases[gpu, engine]

    def _estimate(self, model: Any, database: Any, backend: Any, load: _Load) -> PeerPrediction:
        prompt_tokens, output_tokens, batch = load
        wanted = self._runtime.RuntimeConfig(isl=prompt_tokens, osl=output_tokens, batch_size=batch)
        summary = backend.run_agg(model, database, wanted, ctx_tokens=prompt_tokens)
        if summary.check_oom():
            return PeerPrediction(None, None, "does not fit")
        figures = summary.get_result_dict()
        return PeerPrediction(_seconds(figures["ttft"]), _seconds(figures["tpot"]))


class _NoTableError(Exception):
    """The package has no tables at all for an engine on a GPU."""


def _import(name: str) -> Any:
    try:
        return import_module(f"{_PACKAGE}.{name}")
    except ImportError as error:
        raise TableError(
            f"aiconfigurator-core, the peer to compare with, cannot be imported ({error}); "
            "run `pip install 'moesim[kernels]'`."
        ) from error


def _says(reason: str) -> _Estimate:
    return lambda _: PeerPrediction(None, None, reason)


def _attempt(work: Callable[[], Any]) -> tuple[str, Any]:
    """Return why some work of the peer failed (empty if it did not) and its result."""
    try:
        return "", work()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic of its native part is no `Exception`
        return _reason(error), None


def _reason(error: BaseException) -> str:
    """Return the class of a failure."""
    if isinstance(error, _NoTableError) or type(error).__name__ in _NO_TABLE:
        return "no table"
    if isinstance(error, ValueError | AssertionError | NotImplementedError):
        return "layout refused"
    return f"failed with {type(error).__name__}"


def _seconds(milliseconds: float) -> float | None:
    """Return a time in seconds; None for what is no time (TPOT of a single token)."""
    value = float(milliseconds)
    return value * MS if math.isfinite(value) and value > 0 else None
