"""What a trace tells of its requests stays; what it does not tell is drawn."""

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.streams import Streams
from simulator.workload.build import build_workload
from simulator.workload.config import WorkloadConfig
from simulator.workload.traits_config import SharedPrefixConfig, TrafficClassConfig

CLASSES = (TrafficClassConfig(name="chat"), TrafficClassConfig(name="code", priority=2))
ROWS = ["0,40,1,{},t2,1 2", "1,40,1,{},t1,1 3", "2,40,1,{},t2,1 2"]


def config(tmp_path, tasks=("code", "chat", "code"), **settings):
    path = tmp_path / "own.csv"
    header = "arrival_s,prompt_tokens,output_tokens,task,tenant,prefix_hashes"
    rows = [row.format(task) for row, task in zip(ROWS, tasks, strict=True)]
    path.write_text("\n".join([header, *rows, ""]))
    return WorkloadConfig(kind="trace", format="csv", path=str(path), **settings)


def traits(settings):
    (block,) = build_workload(settings, 10).blocks(Streams(1))
    return block.traits


def test_classes_tenants_and_prefixes_are_those_of_the_trace(tmp_path):
    found = traits(config(tmp_path, traffic_classes=CLASSES))
    assert found.traffic_class.tolist() == [1, 0, 1]
    assert found.priority.tolist() == [2, 0, 2]
    assert found.tenant.tolist() == [0, 1, 0]
    assert list(found.prefixes) == [(1, 2), (1, 3), (1, 2)]
    assert found.hash_tokens == 16


def test_a_trace_that_tells_no_class_gets_one_by_chance(tmp_path):
    path = tmp_path / "own.csv"
    rows = "".join(f"{n},9,1\n" for n in range(400))
    path.write_text("arrival_s,prompt_tokens,output_tokens\n" + rows)
    settings = {"kind": "trace", "format": "csv", "path": str(path), "traffic_classes": CLASSES}
    found = traits(WorkloadConfig(**settings))
    assert found.traffic_class.mean() == pytest.approx(0.5, abs=0.1)
    assert np.array_equal(found.priority, 2 * found.traffic_class)


def test_prefixes_are_not_put_over_those_of_the_trace(tmp_path):
    with pytest.raises(ConfigError, match="the trace tells which prefixes its prompts share"):
        build_workload(config(tmp_path, shared_prefix=SharedPrefixConfig(tokens=32)), 10)


def test_hash_tokens_need_hashes(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("arrival_s,prompt_tokens,output_tokens\n0,1,1\n")
    settings = {"kind": "trace", "format": "csv", "path": str(path), "hash_tokens": 32}
    with pytest.raises(ConfigError, match=r"workload\.hash_tokens is 32, but .* no prefix hashes"):
        build_workload(WorkloadConfig(**settings), 10)


def test_a_window_without_requests_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"no request within workload\.window_s=\(50\.0, 60\.0\)"):
        build_workload(config(tmp_path, window_s=(50.0, 60.0)), 10)


def test_what_is_changed_of_a_trace_is_told(tmp_path):
    settings = config(tmp_path, window_s=(0.0, 9.0), rate_scale=2.0, time_stretch=3.0, jitter_s=0.5)
    workload = build_workload(settings, 100)
    assert workload.requests == 6
    text = "\n".join(workload.assumptions)
    for words in ("only 0 to 9 s", "2 times its rate", "3 times as long", "over 0.5 s"):
        assert words in text
