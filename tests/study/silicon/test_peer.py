"""The peer: it answers as its own tool does, says why where it does not, and never reaches out."""

import logging
import socket
import subprocess
import sys
import urllib.request

import pytest

from simulator.errors import TableError
from simulator.study.silicon import peer as silicon_peer
from simulator.study.silicon.peer import PeerPrediction, predict_peer_rows
from simulator.units import MS

ROW = {
    "model_path": "Qwen/Qwen3-30B-A3B",
    "backend": "vllm",
    "system": "h200_sxm",
    "precision": "bf16",
    "isl": "1024",
    "osl": "256",
    "gemm_quant_mode": "",
    "moe_quant_mode": "",
    "batch_size": "1",
    "tp_size": "1",
    "attention_dp_size": "1",
    "moe_tp_size": "1",
    "moe_ep_size": "1",
}


def row(**changed):
    return ROW | {name: str(value) for name, value in changed.items()}


def predict(*rows):
    return predict_peer_rows(rows, lambda: None)


@pytest.fixture(scope="module", autouse=True)
def offline():
    """Whatever tries to leave this machine is refused, and told at the end."""
    reached = []

    def refuse(*arguments, **_):
        reached.append(arguments)
        raise OSError("offline")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(urllib.request, "urlopen", refuse)
        patch.setattr(socket.socket, "connect", refuse)
        yield
    assert not reached


def test_tpot_is_what_its_command_line_says():
    # `aiconfigurator cli estimate` 0.12.0 for this model, GPU and engine, to 3 or 4 digits.
    published_ms = {1: 4.04, 4: 6.82, 16: 11.57, 64: 21.43, 256: 39.2}
    found = predict(*(row(batch_size=batch) for batch in published_ms))
    assert [one.tpot_s / MS for one in found] == pytest.approx(
        list(published_ms.values()), rel=2e-3
    )


def test_one_request_alone_waits_for_plain_decode_steps():
    # The package's documented facade, which knows nothing of batching over time.
    from aiconfigurator_core.sdk import EngineHandle

    handle = EngineHandle.compile(
        "Qwen/Qwen3-30B-A3B", "h200_sxm", "vllm", backend_version="current", tp_size=1
    )
    (found,) = predict(row())
    assert found.tpot_s == pytest.approx(handle.decode_step_latency(1, 1024, 256) * MS, rel=1e-9)


def test_order_and_company_do_not_matter():
    rows = [
        row(batch_size=8),
        row(model_path="Qwen/Qwen3-32B", tp_size=2, batch_size=8),
        row(batch_size=8, isl=2048),
        row(model_path="nobody/knows"),
        row(batch_size=8),
    ]
    seen = []
    together = predict_peer_rows(rows, lambda: seen.append(1))
    assert len(seen) == len(rows)
    assert together == [one for each in rows for one in predict(each)]
    assert together[0] == together[4]
    assert len({one.tpot_s for one in together[:4]}) == 4


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"model_path": "nobody/knows"}, "config not bundled"),
        ({"system": "h300"}, "no table"),
        ({"backend": "tgi"}, "no table"),
        ({"gemm_quant_mode": "nvfp4"}, "no table"),
        ({"tp_size": 3, "moe_tp_size": 3}, "layout refused"),
        ({"moe_ep_size": 2}, "layout refused"),
        ({"model_path": "deepseek-ai/DeepSeek-R1"}, "does not fit"),
        ({"batch_size": 100_000}, "does not fit"),
        ({"gemm_quant_mode": "fp7"}, "failed with KeyError"),
        ({"batch_size": ""}, "incomplete row"),
        ({"isl": 0}, "incomplete row"),
        ({"osl": "inf"}, "incomplete row"),
    ],
)
def test_a_refusal_has_a_reason_and_no_figures(changed, reason):
    assert predict(row(**changed)) == [PeerPrediction(None, None, reason)]


def test_missing_columns_are_a_reason_too():
    partial = {name: value for name, value in ROW.items() if name != "precision"}
    assert [one.reason for one in predict({}, partial)] == ["incomplete row"] * 2


def test_sizes_that_are_not_stated_are_one():
    unstated = {"attention_dp_size": "", "moe_tp_size": "0", "moe_ep_size": "1"}
    assert predict(row(**unstated)) == predict(row())


def test_a_single_output_token_has_no_tpot():
    (found,) = predict(row(osl=1))
    assert found.reason == ""
    assert found.tpot_s is None
    assert found.ttft_s == predict(row())[0].ttft_s


@pytest.mark.parametrize(
    ("changed", "formats"),
    [
        ({"gemm_quant_mode": "fp8", "moe_quant_mode": "fp8_block"}, ("fp8", "fp8_block")),
        ({"gemm_quant_mode": "fp8", "moe_quant_mode": "fp8"}, ("fp8", "")),
        (
            {"precision": "int4", "gemm_quant_mode": "int4_wo", "moe_quant_mode": "int4_wo"},
            ("",) * 2,
        ),
        ({"model_path": "openai/gpt-oss-120b", "moe_quant_mode": "nvfp4"}, ("", "")),
        (
            {"model_path": "openai/gpt-oss-120b", "backend": "trtllm", "system": "b200_sxm"},
            ("", "w4a8_mxfp4_mxfp8"),
        ),
        ({"model_path": "moonshotai/Kimi-K2.5", "precision": "fp4"}, ("", "")),
        (
            {
                "model_path": "meta-llama/Llama-3.1-70B",
                "precision": "fp4",
                "gemm_quant_mode": "nvfp4",
            },
            ("nvfp4", ""),
        ),
    ],
)
def test_formats_come_from_the_row_unless_the_checkpoint_knows_better(changed, formats):
    found = silicon_peer._deployment(row(**changed))
    assert (found.gemm, found.moe) == formats


def test_every_checkpoint_named_here_is_bundled():
    from aiconfigurator_core.sdk.common import DefaultHFModels

    assert set(silicon_peer._CHECKPOINTS.values()) <= DefaultHFModels


class Panic(BaseException):
    """As a panic of native code arrives."""


@pytest.mark.parametrize(
    ("raised", "reason"),
    [(Panic(), "failed with Panic"), (ZeroDivisionError(), "failed with ZeroDivisionError")],
)
def test_whatever_the_peer_raises_becomes_a_reason(monkeypatch, raised, reason):
    def fail(*_):
        raise raised

    monkeypatch.setattr(silicon_peer._Peer, "_estimate", fail)
    assert predict(row()) == [PeerPrediction(None, None, reason)]


def test_an_interrupt_is_none_of_them(monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(silicon_peer._Peer, "_estimate", fail)
    with pytest.raises(KeyboardInterrupt):
        predict(row())


def test_it_keeps_its_log_to_itself_and_gives_the_level_back(caplog, capfd):
    log = logging.getLogger("aiconfigurator_core")
    before = log.level
    with caplog.at_level(logging.DEBUG):
        predict(row(), row(system="l4"))
    assert not [record for record in caplog.records if record.name.startswith(log.name)]
    assert capfd.readouterr() == ("", "")
    assert log.level == before


def test_without_the_package_the_way_to_get_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "aiconfigurator_core.sdk.common", None)
    with pytest.raises(TableError, match=r"pip install 'moesim\[kernels\]'"):
        predict(row())


def test_the_package_is_not_imported_before_it_is_asked():
    code = (
        "import sys, simulator.study.silicon.peer; "
        "sys.exit(any(name.startswith('aiconfigurator') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
