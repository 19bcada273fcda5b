"""Commands of engines: every setting arrives, and what does not is said."""

import json
import shlex
from dataclasses import replace

import pytest

from simulator.compose import compose
from simulator.errors import ConfigError
from simulator.models.catalog import load_architecture, load_drafter, model_names
from simulator.models.checkpoints import drafter_checkpoint, model_checkpoint
from simulator.serving.cluster_config import PoolConfig
from simulator.study.plan.exports.servers import servers
from simulator.study.plan.exports.sglang import sglang
from simulator.study.plan.exports.vllm import vllm

BASE = compose(["model=qwen3_235b_a22b", "hardware=h200_sxm", "hardware.tensor_parallel=4"])
WIDE = {"hardware": {"data_parallel": 2, "expert_parallel": 8}}
POOLS = (
    PoolConfig(name="p", role="prefill", replicas=2),
    PoolConfig(name="d", role="decode", replicas=3),
)
SPLIT = {"cluster": {"pools": POOLS}}


def options(command):
    """The options of a command line by name; True for a bare flag."""
    words = shlex.split(command.replace("\\\n", " "))
    start = next(index for index, word in enumerate(words) if word.startswith("--"))
    found, name = {}, ""
    for word in words[start:]:
        if word.startswith("--"):
            name = word
            found[name] = True
        else:
            found[name] = word
    return found


def exported(engine, sections=None, **more):
    """The export of the base with some settings of its sections replaced."""
    chosen = (sections or {}).items()
    changed = {name: replace(getattr(BASE, name), **settings) for name, settings in chosen}
    return engine(servers(replace(BASE, **changed)), **more)


def first(engine, sections=None, **more):
    """The options of the first command."""
    return options(exported(engine, sections, **more).commands[0])


def drafts(sections, **more):
    return json.loads(first(vllm, sections, **more)["--speculative-config"])


def test_every_model_and_every_separate_drafter_has_a_name_on_the_hub():
    assert all(model_checkpoint(load_architecture(name)).count("/") == 1 for name in model_names())
    small = load_drafter("qwen2_0_5b")
    assert drafter_checkpoint(small, load_architecture("qwen2_57b_a14b")) == (
        "Qwen/Qwen2-0.5B-Instruct"
    )
    heads = load_drafter("eagle3").checkpoints
    assert {head.model for head in heads} <= set(model_names())


def test_vllm_is_told_the_grid_and_the_limits_of_an_attention_group():
    scheduler = {"queue": "priority", "prefix_cache": False, "max_num_seqs": 96}
    found = first(vllm, WIDE | {"scheduler": scheduler})
    assert found["--tensor-parallel-size"] == "4"
    assert found["--data-parallel-size"] == "2"
    assert found["--enable-expert-parallel"] is True
    assert found["--max-num-seqs"] == "96"
    assert found["--max-num-batched-tokens"] == "8192"
    assert found["--scheduling-policy"] == "priority"
    assert found["--no-enable-prefix-caching"] is True


def test_sglang_is_told_gpus_and_limits_of_the_whole_server():
    found = first(sglang, WIDE | {"scheduler": {"max_num_seqs": 96}})
    assert (found["--tp"], found["--dp"], found["--ep-size"]) == ("8", "2", "8")
    assert found["--enable-dp-attention"] is True
    assert found["--max-running-requests"] == "192"
    assert found["--chunked-prefill-size"] == "16384"


@pytest.mark.parametrize(
    ("drafter", "method", "algorithm"),
    [
        ("eagle3", "eagle3", "EAGLE3"),
        ("deepseek_mtp", "mtp", "EAGLE"),
        ("qwen2_0_5b", "draft_model", "STANDALONE"),
        ("ngram", "ngram", "NGRAM"),
    ],
)
def test_each_drafter_has_its_name_in_both_engines(drafter, method, algorithm):
    chosen = {"speculation": {"drafter": drafter, "gamma": 2}}
    told = drafts(chosen)
    assert (told["method"], told["num_speculative_tokens"]) == (method, 2)
    found = first(sglang, chosen)
    assert found["--speculative-algorithm"] == algorithm
    assert found["--speculative-num-draft-tokens"] == "3"
    separate = method in ("eagle3", "draft_model")
    assert ("model" in told) == separate
    assert ("--speculative-draft-model-path" in found) == separate


def test_without_speculation_nothing_is_said_of_it():
    for engine in (vllm, sglang):
        found = first(engine, {"speculation": {"gamma": 0}})
        assert not [name for name in found if "speculative" in name]


def test_a_schedule_becomes_the_table_by_batch_size():
    rows = [[1, 16, 3], [17, 256, 1]]
    chosen = {"speculation": {"policy": "batch_schedule", "schedule": rows}}
    told = drafts(chosen, schedule=rows)
    assert told["num_speculative_tokens"] == 3
    assert told["num_speculative_tokens_per_batch_size"] == rows
    assert not [note for note in exported(vllm, chosen, schedule=rows).notes if "policy" in note]
    (said,) = [note for note in exported(sglang, chosen).notes if "batch size" in note]
    assert "always drafts 3" in said


def test_a_policy_that_no_engine_has_is_said_with_what_stands_for_it():
    chosen = {"speculation": {"policy": "cost_model"}}
    stands_for = exported(vllm, chosen, schedule=[[1, 9, 2]]).notes
    assert "the table by batch size is what it leads to" in stands_for[-1]
    assert "Policy cost_model cannot be expressed" in exported(vllm, chosen).notes[-1]


@pytest.mark.parametrize(
    ("formats", "quantization", "said"),
    [
        ({}, None, ""),
        ({"dtype": "fp8", "expert_dtype": "fp8"}, "fp8", "as they are loaded"),
        ({"dtype": "fp8_block", "expert_dtype": "fp8_block"}, None, "128 x 128"),
        ({"expert_dtype": "nvfp4"}, "modelopt_fp4", "the rest in bfloat16"),
    ],
    ids=["published", "fp8", "fp8_block", "nvfp4"],
)
def test_formats_other_than_those_of_the_checkpoint(formats, quantization, said):
    for engine in (vllm, sglang):
        export = exported(engine, {"model": formats})
        assert options(export.commands[0]).get("--quantization") == quantization
        assert said in " ".join(export.notes)


def test_the_cache_has_a_format_of_its_own():
    told = {engine: first(engine, {"model": {"kv_dtype": "fp8"}}) for engine in (vllm, sglang)}
    assert told[vllm]["--kv-cache-dtype"] == "fp8"
    assert told[sglang]["--kv-cache-dtype"] == "fp8_e4m3"


def test_prefill_and_decode_are_servers_of_their_own():
    export = exported(vllm, SPLIT)
    roles = [json.loads(options(one)["--kv-transfer-config"]) for one in export.commands]
    assert [role["kv_role"] for role in roles] == ["kv_producer", "kv_consumer"]
    modes = [options(one)["--disaggregation-mode"] for one in exported(sglang, SPLIT).commands]
    assert modes == ["prefill", "decode"]
    counts = [note for note in export.notes if note.startswith("Start")]
    assert counts[0].startswith("Start 2 prefill servers alike, each on 4 x")
    assert counts[1].startswith("Start 3 decode servers alike, each on 4 x")
    assert any("proxy" in note for note in export.notes)


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"hardware": {"replicas": 3}}, "A router in front"),
        ({"hardware": {"data_parallel": 4}}, "spans 2 nodes of 8 GPUs"),
        ({"hardware": {"data_parallel": 2, "expert_parallel": 4}}, "over all 8 GPUs"),
        ({"scheduler": {"queue": "fair"}}, "no queue like scheduler.queue=fair"),
        ({"speculation": {"tree": [2, 1, 1], "tree_ranks": [0.3]}}, "a chain of 3"),
        ({"speculation": {"drafter_gpus": "own", "link_s": 1e-5}}, "GPUs of its own"),
        ({"model": {"name": "mine", "title": "My Model"}}, "yours for YOUR_EAGLE-3_HEAD_OF_MY_"),
    ],
    ids=["replicas", "nodes", "experts", "queue", "tree", "own", "head"],
)
def test_what_a_command_cannot_express_is_said(sections, said):
    assert said in " ".join(exported(vllm, sections).notes)


def test_sglang_says_that_it_was_simulated_as_another_engine():
    assert "hardware.engine=sglang" in " ".join(exported(sglang).notes)
    own = exported(sglang, {"hardware": {"engine": "sglang"}})
    assert "hardware.engine" not in " ".join(own.notes)


def test_a_size_left_open_is_refused():
    with pytest.raises(ConfigError, match="leaves the GPUs of a server open"):
        exported(vllm, {"hardware": {"tensor_parallel": None}})
