"""ServeGen's clients: counts by chance at each client's rate, lengths drawn independently."""

import io
import json
import tarfile

import numpy as np
import pytest
from helpers.traces import servegen_archive

from simulator.errors import ConfigError, DataError
from simulator.streams import Streams
from simulator.workload.build import build_workload
from simulator.workload.config import WorkloadConfig
from simulator.workload.servegen import open_clients
from simulator.workload.transforms import joined

WINDOW_S = 600.0
LENGTHS = {"input_tokens": "{1: 0.5, 100: 0.5}", "output_tokens": "{2: 0.5, 50: 0.5}"}


def folder(path, *clients):
    """Write clients as (rows of windows, datasets)."""
    for number, (windows, datasets) in enumerate(clients):
        text = "".join(f"{WINDOW_S * i:g},{row}\n" for i, row in enumerate(windows))
        (path / f"chunk-{number}-trace.csv").write_text(text)
        (path / f"chunk-{number}-dataset.json").write_text(json.dumps(datasets))
    return path


def drawn(workload, seed=1):
    return joined(list(workload.blocks(Streams(seed))))


@pytest.fixture
def two(tmp_path):
    """A quiet regular client and a bursty one that sleeps in every second window."""
    regular = ["0.5,0.5,Gamma,4.0,0.5"] * 4
    bursty = ["4,2.2,Weibull,0.5,0.1", "0,0,,0,0"] * 2
    return folder(tmp_path, (regular, {"0": LENGTHS}), (bursty, {"0": LENGTHS}))


def test_clients_keep_their_rates_and_windows_by_chance(two):
    workload = open_clients(two, 20_000)
    assert workload.mean_rate == pytest.approx(2.5)
    block = drawn(workload)
    assert block.size == 20_000
    assert np.all(np.diff(block.arrival_s) >= 0)
    window = (block.arrival_s // WINDOW_S).astype(int)
    whole = window < window[-1]
    for tenant, rate, cv2 in ((0, 0.5, 1 / 4), (1, 4.0, 5.0)):
        of_client = whole & (block.traits.tenant == tenant)
        counts = np.bincount(window[of_client], minlength=window[-1])
        active = counts if tenant == 0 else counts[::2]
        expected = rate * WINDOW_S
        assert active.mean() == pytest.approx(
            expected, abs=4 * np.sqrt(cv2 * expected / active.size)
        )
        assert active.std() > 0.4 * np.sqrt(cv2 * expected)  # ServeGen itself fixes the counts
        if tenant == 1:
            assert counts[1::2].sum() == 0


def test_gaps_have_the_law_of_their_client(two):
    block = drawn(open_clients(two, 20_000))
    for tenant, cv in ((0, 0.5), (1, np.sqrt(5))):
        gaps = np.diff(block.arrival_s[block.traits.tenant == tenant])
        inside = gaps[gaps < 100]  # not over a window in which the client sleeps
        assert inside.std() / inside.mean() == pytest.approx(cv, rel=0.1)


def test_lengths_are_independent_of_each_other(two):
    block = drawn(open_clients(two, 20_000))
    long_prompt, long_output = block.prompt_tokens == 100, block.output_tokens == 50
    assert long_prompt.mean() == pytest.approx(0.5, abs=0.02)
    assert (long_prompt & long_output).mean() == pytest.approx(0.25, abs=0.02)


def test_the_first_arrival_is_that_of_a_process_in_full_swing(tmp_path):
    """A renewal process seen at a random time waits (1 + CV^2) / 2 mean gaps on average."""
    clients = [(["0.01,2,Gamma,0.25,400"] * 2, {"0": LENGTHS})] * 120
    workload = open_clients(folder(tmp_path, *clients), 1400)
    block = drawn(workload)
    first = np.unique(block.traits.tenant, return_index=True)[1]
    counts = np.histogram(block.arrival_s, bins=np.arange(0, 1200, 100))[0]
    assert first.size > 100
    assert counts[:3].mean() == pytest.approx(counts[3:].mean(), rel=0.25)


def test_datasets_hold_from_their_time_on(tmp_path):
    late = {"input_tokens": "{7: 1.0}", "output_tokens": "{8: 1.0}"}
    empty = {"input_tokens": "{}", "output_tokens": "{}"}
    clients = (["1,1,Gamma,1,1"] * 3, {"0": LENGTHS, "600": late, "1200": empty})
    block = drawn(open_clients(folder(tmp_path, clients), 1500))
    window = (block.arrival_s // WINDOW_S).astype(int)
    assert set(block.prompt_tokens[window == 0].tolist()) == {1, 100}
    assert set(block.prompt_tokens[window == 1].tolist()) == {7}
    assert set(block.prompt_tokens[window == 2].tolist()) == {7}  # an empty one says nothing


def test_a_rate_scales_all_clients_and_a_window_is_repeated(two):
    workload = open_clients(two, 12_000, rate=10.0, window_s=(300.0, 900.0))
    assert workload.mean_rate == 10.0
    assert [(w.begins_s, w.ends_s) for w in workload.windows] == [(0, 300), (300, 600)]
    block = drawn(workload)
    bursty = block.arrival_s[block.traits.tenant == 1]
    assert np.all(bursty % 600 < 300)
    assert block.arrival_s[-1] == pytest.approx(1200, rel=0.1)


def test_settings_reach_it_and_foreign_ones_are_refused(tmp_path):
    path = tmp_path / "raw.tar.gz"
    path.write_bytes(servegen_archive())
    config = WorkloadConfig(kind="servegen", path=str(path), rate=3.0, max_prompt_tokens=50)
    workload = build_workload(config, 10)
    assert (workload.mean_rate, workload.max_prompt_tokens) == (3.0, 50)
    for settings in (
        {"keep_share": 0.5},
        {"format": "csv"},
        {"preset": "chat"},
        {"concurrency": 2},
    ):
        with pytest.raises(ConfigError, match=f"workload.{next(iter(settings))}"):
            WorkloadConfig(kind="servegen", path=str(path), **settings)
    with pytest.raises(ConfigError, match="its period has 2,400 s"):
        open_clients(path, 10, window_s=(9000.0, 9600.0))
    with pytest.raises(ConfigError, match=r"lower workload\.rate"):
        open_clients(path, 10, rate=1e6)


@pytest.mark.parametrize(
    ("windows", "datasets", "words"),
    [
        (["1,1,Gamma"], {"0": LENGTHS}, ["chunk-0-trace.csv, line 1", "4 fields"]),
        (["-1,1,Gamma,1,1"], {"0": LENGTHS}, ["line 1", "rate is '-1'"]),
        (["nan,1,Gamma,1,1"], {"0": LENGTHS}, ["rate is 'nan'"]),
        (["1,1,Pareto,1,1"], {"0": LENGTHS}, ["'Pareto'", "Gamma and Weibull"]),
        (["1,1,Gamma,0,1"], {"0": LENGTHS}, ["shape 0"]),
        (["1,1,Gamma,1,1"], {}, ["no lengths in chunk-0-dataset.json"]),
        (["1,1,Gamma,1,1"], [], ["no JSON object of datasets"]),
        (["1,1,Gamma,1,1"], {"0": 3}, ["dataset 0", "input_tokens"]),
        (["1,1,Gamma,1,1"], {"x": LENGTHS}, ["start of a dataset is 'x'"]),
        (["1,1,Gamma,1,1"], {"0": LENGTHS | {"input_tokens": "{3: }"}}, ["not pairs"]),
        (["1,1,Gamma,1,1"], {"0": LENGTHS | {"input_tokens": "{1e9: 1}"}}, ["from 0 to"]),
        (["0,1,Gamma,1,1"], {"0": LENGTHS}, ["no client with requests"]),
    ],
)
def test_malformed_clients_are_refused(windows, datasets, words, tmp_path):
    with pytest.raises(DataError) as caught:
        open_clients(folder(tmp_path, (windows, datasets)), 10)
    for word in words:
        assert word in str(caught.value)


def test_archives_that_are_none_are_refused(tmp_path):
    path = tmp_path / "raw.tar.gz"
    for data in (b"", b"plain", servegen_archive()[:200]):
        path.write_bytes(data)
        with pytest.raises(DataError, match=r"raw\.tar\.gz"):
            open_clients(path, 10)
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("readme"), io.BytesIO(b""))
    with pytest.raises(DataError, match="no client with requests"):
        open_clients(path, 10)
