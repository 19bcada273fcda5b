"""Published end-to-end measurements of served models, read as deployments that we can build.

``silicon_sample.csv`` ships in ``aiconfigurator-core`` beside the kernel tables: TTFT and TPOT of
real servers in a closed loop of a fixed number of users. A row is read by rules that look at its
inputs alone; one that cannot be read says why.
"""

from __future__ import annotations

import csv
import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.errors import TableError
from simulator.kernels.sources import find_database
from simulator.quantities import read_data
from simulator.units import MS

FILE = "silicon_sample.csv"

REPEATS_AGREE = 1.4
"""Largest ratio between measurements of identical inputs that are kept; beyond it, something that
the sample does not record must differ (kind: assumed, stated in advance)."""

NODE_GPUS = 8
"""GPUs of the largest server in the sample that is one node."""

BLACKWELL = ("b200_sxm", "b300_sxm", "gb200", "gb300")
"""GPUs that compute in mxfp8."""

_PACKAGE = "simulator.hardware_specs.silicon"
_USERS = re.compile(r"silicon_concurrency=(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class SiliconRow:
    """One measured deployment. Times in seconds.

    Parameters
    ----------
    name, path
        Identifier and checkpoint in the sample.
    engine, gpu, model
        Names of ours.
    formats
        Fields of `models.Architecture` that its weights and its KV cache change, by name.
    prompt_tokens, output_tokens, random_range_ratio
        Lengths asked for, and the shortest over the longest drawn.
    users, requests
        Requests in flight, and requests in all.
    stream_interval, recv_interval, batched_tokens
        Tokens that the server bundles before it sends them, steps between two looks of its
        scheduler at the queue, and most tokens of a step of one attention group.
    tensor, data, expert
        GPUs per attention group, attention groups, GPUs that the experts are spread over.
    ttft_s, tpot_s
        Means as measured.
    """

    name: str
    path: str
    engine: str
    gpu: str
    model: str
    formats: tuple[tuple[str, str], ...]
    prompt_tokens: int
    output_tokens: int
    random_range_ratio: float
    users: int
    requests: int
    stream_interval: int
    recv_interval: int
    batched_tokens: int
    tensor: int
    data: int
    expert: int
    ttft_s: float
    tpot_s: float

    @property
    def inputs(self) -> tuple[object, ...]:
        """Everything a prediction depends on."""
        lengths = (self.prompt_tokens, self.output_tokens, self.random_range_ratio)
        load = (self.users, self.requests)
        server = (self.stream_interval, self.recv_interval, self.batched_tokens)
        sizes = (self.tensor, self.data, self.expert)
        return (self.path, self.engine, self.gpu, self.formats, *lengths, *load, *server, *sizes)

    @property
    def deployment(self) -> str:
        """Checkpoint, engine, GPU and formats: what shares its software and its faults."""
        formats = "/".join(value for _, value in self.formats)
        return f"{self.path} {self.engine} {self.gpu} {formats}"

    @property
    def held_out(self) -> bool:
        """Whether it lies in the half on which nothing may be fitted, by a hash of `deployment`."""
        return hashlib.sha256(self.deployment.encode()).digest()[0] % 2 == 1


def read_sample(source: Path | None = None) -> list[dict[str, str]]:
    """Read the aggregated rows of the sample (one server for prompts and outputs), as they stand.

    Parameters
    ----------
    source
        Folder ``systems`` of aiconfigurator-core; None finds the installed package.

    Raises
    ------
    TableError
        If the package or the file is missing.
    """
    path = find_database(source).parent / FILE
    if not path.is_file():
        raise TableError(f"{path.parent} holds no {FILE}; is this aiconfigurator-core 0.12.0?")
    with path.open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["mode"] == "agg"]


@dataclass(frozen=True, slots=True)
class Reading:
    """The rules of ``hardware_specs/silicon/reading.yaml``."""

    checkpoints: Mapping[str, Mapping[str, Any]]
    kv_cache: tuple[Mapping[str, Any], ...]
    stream_interval: tuple[Mapping[str, Any], ...]
    recv_interval: tuple[Mapping[str, Any], ...]
    batched_tokens: tuple[Mapping[str, Any], ...]
    clients: tuple[Mapping[str, Any], ...]

    def formats(self, row: Mapping[str, str]) -> tuple[tuple[str, str], ...] | None:
        """Return what the row's quantisation means for the architecture, None if unknown."""
        known = self.checkpoints[row["model_path"]]["formats"]
        found = known.get(row["moe_quant_mode"])
        if found is None:
            return None
        if row["system"] in BLACKWELL:
            found = found | self.checkpoints[row["model_path"]].get("blackwell", {})
        rule = _first(self.kv_cache, row)
        return (*sorted(found.items()), ("kv_dtype", rule["dtype"] if rule else "bfloat16"))

    def streamed(self, row: Mapping[str, str]) -> int:
        """Return how many tokens the row's server bundles."""
        model = self.checkpoints[row["model_path"]]["model"]
        lengths = [int(row["isl"]), int(row["osl"])]
        for rule in self.stream_interval:
            meant = model in rule["models"] and lengths in rule.get("lengths", [lengths])
            if meant and _applies(rule, row):
                return int(rule["tokens"])
        return 1

    def received(self, row: Mapping[str, str], users: int) -> int:
        """Return after how many steps the row's scheduler looks at its queue."""
        for rule in self.recv_interval:
            if _applies(rule, row) and users >= rule["from_users"]:
                return int(rule["steps"])
        return 1

    def batched(self, row: Mapping[str, str]) -> int:
        """Return how many tokens a step of the row's server processes at most."""
        return next(int(rule["tokens"]) for rule in self.batched_tokens if _applies(rule, row))

    def client(self, row: Mapping[str, str]) -> Mapping[str, Any]:
        """Return how the row's load generator draws lengths and how many requests it sends."""
        origin = row["silicon_data_source"]
        return next(rule for rule in self.clients if origin.startswith(tuple(rule["sources"])))


def load_reading() -> Reading:
    """Load the rules by which rows are read."""
    data = read_data(_PACKAGE, "reading", "reading")
    checkpoints = {path: entry for entry in data["checkpoints"] for path in entry["paths"]}
    kinds = ("kv_cache", "stream_interval", "recv_interval", "batched_tokens", "clients")
    rules = (tuple(data[kind]) for kind in kinds)
    return Reading(checkpoints, *rules)


def _first(rules: Iterable[Mapping[str, Any]], row: Mapping[str, str]) -> Mapping[str, Any] | None:
    return next((rule for rule in rules if _applies(rule, row)), None)


def _applies(rule: Mapping[str, Any], row: Mapping[str, str]) -> bool:
    return (
        row["backend"] in rule["engines"]
        and row["system"] in rule.get("gpus", [row["system"]])
        and row["gemm_quant_mode"] in rule.get("formats", [row["gemm_quant_mode"]])
        and row["silicon_data_source"].startswith(tuple(rule.get("sources", [""])))
    )


def interpret(row: Mapping[str, str], reading: Reading) -> SiliconRow | str:
    """Read one row; where it cannot be, return the reason instead."""
    if row["model_path"] not in reading.checkpoints:
        return "unknown checkpoint"
    formats = reading.formats(row)
    if formats is None:
        return "unknown quantisation"
    sizes = parallel_sizes(row)
    if sizes is None:
        return "sizes that do not agree or exceed 8 GPUs"
    stated = _USERS.search(row["silicon_data_source"])
    users = int(stated[1]) if stated else round(_number(row["batch_size"]) * sizes[1])
    if users < 1:
        return "no number of users"
    client = reading.client(row)
    return SiliconRow(
        name=row["id"],
        path=row["model_path"],
        engine=row["backend"],
        gpu=row["system"],
        model=reading.checkpoints[row["model_path"]]["model"],
        formats=formats,
        prompt_tokens=int(row["isl"]),
        output_tokens=int(row["osl"]),
        random_range_ratio=client["random_range_ratio"],
        users=users,
        requests=users * client["requests_per_user"],
        stream_interval=reading.streamed(row),
        recv_interval=reading.received(row, users),
        batched_tokens=max(users, reading.batched(row)),
        tensor=sizes[0],
        data=sizes[1],
        expert=sizes[2],
        ttft_s=float(row["silicon_ttft_ms"]) * MS,
        tpot_s=float(row["silicon_tpot_ms"]) * MS,
    )


def parallel_sizes(row: Mapping[str, str]) -> tuple[int, int, int] | None:
    """Return tensor-parallel size, attention groups and expert-parallel size, or None.

    The sample was converted from settings ``tp``, ``ep`` and "data-parallel attention or not". The
    conversion multiplied sizes where both apply: identifiers that end in ``tp8_ep8`` carry
    ``tp_size`` 64. So n x n, where n is the size of the expert groups, stands for n GPUs. vLLM's
    rows with ``attention_dp_size`` = ``tp_size`` = n and n x n expert groups are the same
    measurements as rows with tp n and ep n, which the sample holds as well, at the same TPOT.
    """
    tensor, data = round(_number(row["tp_size"])), round(_number(row["attention_dp_size"]))
    expert_tensor, expert = round(_number(row["moe_tp_size"])), round(_number(row["moe_ep_size"]))
    if row["attention_dp_size"] == "" and tensor * data < expert_tensor * expert:
        data = expert_tensor * expert // tensor  # not stated: the experts' GPUs say how many
    gpus = tensor * data
    if gpus != expert_tensor * expert and expert_tensor * expert > 1:
        return None
    root = math.isqrt(gpus)
    if root > 1 and root * root == gpus and row["attention_dp_size"] != "":
        if tensor == data or (tensor == gpus and expert_tensor == root):
            tensor, data, expert, gpus = root, 1, root, root
        elif data == gpus and expert_tensor == root:
            tensor, data, expert, gpus = 1, root, root, root
    return (tensor, data, expert) if gpus <= NODE_GPUS else None


def _number(text: str) -> float:
    """Read a size; sizes that are not stated or 0 are 1."""
    return float(text or 1) or 1.0


def set_aside(rows: Iterable[SiliconRow]) -> set[str]:
    """Return the names of rows whose repeats disagree by more than `REPEATS_AGREE`.

    Rows of identical inputs form a group; a group whose largest TPOT exceeds the smallest by more
    than that factor is set aside as a whole. No prediction is looked at.
    """
    groups: dict[tuple[object, ...], list[SiliconRow]] = {}
    for row in rows:
        groups.setdefault(row.inputs, []).append(row)
    return {
        row.name
        for group in groups.values()
        if max(r.tpot_s for r in group) > REPEATS_AGREE * min(r.tpot_s for r in group)
        for row in group
    }
