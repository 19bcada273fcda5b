"""What raw rows of collectives, linear and sparse attention become."""

import numpy as np

from simulator.kernels import readers


def raw(**columns):
    count = max(np.size(column) for column in columns.values())
    return {name: np.resize(np.array(column), count) for name, column in columns.items()}


def test_nccl_messages_are_elements_of_their_format():
    rows = readers.nccl(
        raw(
            kernel_source="NCCL",
            nccl_dtype=["half", "int8"],
            num_gpus=4,
            message_size=[256, 512],
            op_name=["alltoall", "all_gather"],
            latency=[1.0, 2.0],
        )
    )
    assert rows["message"].tolist() == [512, 512]
    assert rows["collective"].tolist() == ["all_to_all", "all_gather"]
    assert rows["seconds"].tolist() == [1e-3, 2e-3]
    assert rows["dtype"].tolist() == ["half", "int8"]


def delta_net():
    kernels = ["causal_conv1d_update", "fused_recurrent", "causal_conv1d_fn", "chunk_rule"]
    return raw(
        kernel_source=kernels,
        phase=["generation", "generation", "context", "context"],
        batch_size=[1, 2, 3, 4],
        seq_len=[1, 1, 64, 128],
        num_k_heads=16,
        num_v_heads=32,
        latency=[1.0, 2.0, 3.0, 4.0],
    )


def test_linear_decode_takes_the_generation_phase():
    rows = readers.linear_decode(delta_net())
    assert rows["part"].tolist() == ["convolution", "rule"]
    assert rows["batch"].tolist() == [1, 2]
    assert set(rows["key_heads"]) == {16}
    assert set(rows["value_heads"]) == {32}
    assert set(rows["dtype"]) == {"bfloat16"}


def test_linear_prefill_takes_the_context_phase():
    rows = readers.linear_prefill(delta_net())
    assert rows["part"].tolist() == ["convolution", "rule"]
    assert rows["batch"].tolist() == [3, 4]
    assert rows["tokens"].tolist() == [64, 128]
    assert rows["seconds"].tolist() == [3e-3, 4e-3]


def modules(**columns):
    base = {
        "framework": "VLLM",
        "op_name": "dsa_generation_module",
        "kernel_source": "k",
        "architecture": "GlmMoeDsaForCausalLM",
        "gemm_type": "bfloat16",
        "kv_cache_dtype": "fp8",
        "num_heads": 64,
        "batch_size": [1, 2],
        "isl": 1,
        "step": 127,
        "latency": [1.0, 2.0],
    }
    return raw(**(base | columns))


def test_a_decoded_token_attends_to_itself():
    rows = readers.sparse_decode(modules())
    assert rows["context"].tolist() == [128, 128]
    assert rows["batch"].tolist() == [1, 2]
    assert set(rows["dtype"]) == {"fp8"}
    assert set(rows["architecture"]) == {"GlmMoeDsaForCausalLM"}


def test_modules_with_other_products_or_without_an_indexer_are_left_out():
    names = ["dsa_generation_module", "dsa_generation_module_skip_indexer"]
    rows = readers.sparse_decode(modules(op_name=[*names, names[0]], batch_size=[1, 2, 4]))
    assert rows["batch"].tolist() == [1, 4]
    formats = ["bfloat16", "fp8_block", "bfloat16"]
    rows = readers.sparse_decode(modules(gemm_type=formats, batch_size=[1, 2, 4]))
    assert rows["batch"].tolist() == [1, 4]


def test_sglangs_batches_beyond_its_graphs_are_left_out():
    batches = [128, 256, 512]
    assert readers.sparse_decode(modules(batch_size=batches))["batch"].tolist() == batches
    sglang = readers.sparse_decode(modules(batch_size=batches, framework="SGLang"))
    assert sglang["batch"].tolist() == [128, 256]


def test_contexts_that_only_one_batch_was_measured_at_are_left_out():
    rows = readers.sparse_decode(modules(step=[7, 7, 9], batch_size=[1, 2, 1]))
    assert rows["context"].tolist() == [8, 8]


def test_sparse_prefill_takes_whole_prompts_one_at_a_time():
    rows = readers.sparse_prefill(
        modules(
            op_name="dsa_context_module",
            isl=[64, 128, 256],
            step=[0, 128, 0],
            batch_size=[1, 1, 2],
        )
    )
    assert rows["tokens"].tolist() == [64]
    assert rows["heads"].tolist() == [64]
