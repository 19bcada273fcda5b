"""Documents that many ask about: popularity, lengths, and the share that is asked about again."""

from itertools import pairwise

import numpy as np
import pytest
from helpers.workloads import columns_of

from simulator.workload.arrivals import Poisson
from simulator.workload.build import build_workload
from simulator.workload.config import WorkloadConfig
from simulator.workload.documents import DocumentLaws, DocumentWorkload
from simulator.workload.lengths import FixedLength, LognormalMixture
from simulator.workload.presets import read_preset
from simulator.workload.spans import HASH_TOKENS
from simulator.workload.synthetic import SyntheticWorkload

TOKENS = LognormalMixture((1.0,), (6.0,), (0.8,), 40, 5000)


def asking(requests=6000, **laws):
    inner = SyntheticWorkload(
        title="asking",
        requests=requests,
        concurrency=None,
        mean_rate=2.0,
        assumptions=(),
        prompt=FixedLength(30),
        output=FixedLength(10),
        arrivals=Poisson(2.0),
    )
    laws = DocumentLaws(**({"count": 3000, "zipf": 0.9, "tokens": TOKENS} | laws))
    return DocumentWorkload(inner=inner, laws=laws)


def whole(workload, seed=0):
    """Lengths and prefixes of all prompts."""
    columns = columns_of(workload, seed=seed)
    return columns["prompt_tokens"], columns["prefixes"]


def test_every_prompt_is_a_document_and_a_question():
    prompts, prefixes = whole(asking())
    lengths = {}
    for prompt, own in zip(prompts.tolist(), prefixes, strict=True):
        assert len(own) == (prompt - 30) // HASH_TOKENS
        assert all(b == a + 1 for a, b in pairwise(own[:3]))
        assert lengths.setdefault(own[0], prompt) == prompt  # a document has one length
    assert prompts.max() <= asking().max_prompt_tokens


@pytest.mark.parametrize("zipf", [0.0, 0.9])
def test_reuse_is_that_of_the_closed_form(zipf):
    workload = asking(zipf=zipf)
    _, prefixes = whole(workload)
    heads = [own[0] for own in prefixes]
    reused = 1.0 - len(set(heads)) / len(heads)
    assert reused == pytest.approx(workload.laws.expected_reuse(6000), abs=0.012)
    most = max(np.unique(heads, return_counts=True)[1]) / len(heads)
    assert most == pytest.approx(workload.laws.popularity[0], abs=0.02)


def test_the_preset_reuses_what_the_trace_does():
    """Mooncake conversation: share of requests that begin as an earlier one, by requests."""
    laws = read_preset("long_context_rag").documents
    seen = {500: 0.148, 1000: 0.219, 2000: 0.280, 4000: 0.334, 5719: 0.355}
    for requests, share in seen.items():
        assert laws.expected_reuse(requests) == pytest.approx(share, abs=0.025)


def test_a_cap_leaves_room_for_the_question():
    config = WorkloadConfig(preset="long_context_rag", max_prompt_tokens=12_000)
    workload = build_workload(config, 2000)
    prompts, _ = whole(workload)
    assert prompts.max() <= workload.max_prompt_tokens == 12_000
    assert prompts.max() > 6000
    assert "asked about before in this run" in workload.assumptions[-1]


def test_a_shorter_run_sees_the_beginning_of_a_longer_one():
    long_prompts, long_prefixes = whole(asking())
    prompts, prefixes = whole(asking(1500))
    assert np.array_equal(prompts, long_prompts[:1500])
    assert prefixes == long_prefixes[:1500]
