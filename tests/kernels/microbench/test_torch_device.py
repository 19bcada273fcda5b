"""Kernels through PyTorch, where it is installed, and the CUDA form on a stand-in."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from simulator.errors import ConfigError
from simulator.kernels.microbench import torch_device
from simulator.kernels.microbench.cells import Cell
from simulator.kernels.microbench.figures import figures_of
from simulator.kernels.microbench.plan import QUICK, make_plan
from simulator.kernels.microbench.processor import (
    busy,
    last_level_cache,
    main_memory,
    processor_title,
)
from simulator.kernels.microbench.runner import run_plan
from simulator.kernels.microbench.torch_operators import KERNELS, TorchOperators

EXPERTS = {"experts": 6, "top_k": 2, "hidden": 16, "inter": 8, "tokens": 5}


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch (extra [measure]) is not installed")


def cells():
    plan = make_plan(QUICK, "bfloat16", 0.0)
    return {series[-1].operator: series[-1] for series in plan.series}


def test_every_operator_has_a_kernel_and_runs(torch):
    operators = TorchOperators(torch, "cpu")
    for operator, cell in cells().items():
        operators.prepare(cell)()
        assert operator in KERNELS


def test_products_and_attention_have_the_shapes_of_their_keys(torch):
    operators = TorchOperators(torch, "cpu")
    product = operators.prepare(Cell("gemm", "bfloat16", {"n": 6, "k": 4, "m": 3}))()
    assert product.shape == (3, 6)
    assert product.dtype == torch.bfloat16
    heads = {"head_dim": 8, "window": 0, "kv_heads": 2, "heads": 8}
    decode = heads | {"context": 10, "batch": 3}
    assert operators.prepare(Cell("decode_attention", "bfloat16", decode))().shape == (3, 2, 4, 8)
    prefill = heads | {"tokens": 5}
    assert operators.prepare(Cell("prefill_attention", "bfloat16", prefill))().shape == (1, 8, 5, 8)


@pytest.mark.parametrize("routing", ["balanced", "uniform"])
def test_grouped_experts_compute_what_a_loop_over_tokens_does(torch, routing):
    from simulator.kernels.microbench.routing import chosen_experts

    operators = TorchOperators(torch, "cpu")
    cell = Cell("experts", "float32", EXPERTS, routing)
    torch.manual_seed(0)
    found = operators.prepare(cell)()
    torch.manual_seed(0)
    twin = TorchOperators(torch, "cpu")
    into, out_of = twin._expert_weights(EXPERTS, torch.float32)
    hidden = twin._filled(torch.float32, 5, 16)
    expected = torch.zeros_like(hidden)
    for token, picks in enumerate(chosen_experts(cell).tolist()):
        for expert in picks:
            gate, up = (hidden[token] @ into[expert]).chunk(2)
            expected[token] += (torch.nn.functional.silu(gate) * up) @ out_of[expert]
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-2)


def test_weights_are_kept_for_cells_of_one_shape_only(torch):
    operators = TorchOperators(torch, "cpu")
    first = operators._expert_weights(EXPERTS, torch.float32)
    assert operators._expert_weights(EXPERTS, torch.float32) is first
    assert operators._expert_weights(EXPERTS, torch.bfloat16) is not first


def test_the_processor_is_timed_and_its_threads_are_left_alone(torch):
    threads = torch.get_num_threads()
    device = torch_device.open_device("cpu")
    assert torch.get_num_threads() == threads
    assert f"{threads} threads" in device.machine.setting
    assert device.machine.version == torch.__version__
    call = device.prepare(cells()["gemm"])
    assert 0 < device.time(call) < 10
    assert device.kernel(cells()["experts"]) == "grouped_mm"


def test_the_caches_are_flushed_before_every_run(torch):
    device = torch_device.open_device("cpu")
    buffer = device._flush
    assert buffer.numel() == torch_device.FLUSH_CACHES * device.machine.cache.value
    before = int(buffer[-1])
    device.time(lambda: None)
    assert int(buffer[-1]) == before + 1


@pytest.mark.slow
def test_this_machine_through_and_through(torch):
    """Quick, but real: every figure is there and positive. No timing is asserted."""
    device = torch_device.open_device("cpu")
    plan = make_plan(QUICK, "bfloat16", device.machine.cache.value)
    figures = figures_of(run_plan(plan, device, 5.0))
    assert figures.memory_bandwidth > 0
    assert figures.peak_flops["bfloat16"] > 0
    assert figures.line.layer_bytes > device.machine.cache.value


@pytest.mark.parametrize(("amx", "avx512", "said"), [(1, 1, "AMX"), (0, 1, "AVX512"), (0, 0, "no")])
def test_a_processor_without_bfloat16_says_so(monkeypatch, amx, avx512, said):
    monkeypatch.setattr("os.getloadavg", lambda: (0.0, 0.0, 0.0))
    torch = SimpleNamespace(
        cpu=SimpleNamespace(
            _is_amx_tile_supported=lambda: amx, _is_avx512_bf16_supported=lambda: avx512
        )
    )
    cautions = torch_device._cautions(torch)
    assert bool(cautions) == (said == "no")
    assert said == "no" or said in torch_device._short_format(torch)


@pytest.mark.parametrize(("load", "said"), [(0.0, False), (1.9, False), (2.1, True), (9.0, True)])
def test_a_busy_machine_is_told(monkeypatch, load, said):
    monkeypatch.setattr("os.getloadavg", lambda: (load, 9.0, 9.0))
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    assert bool(busy()) == said
    assert not said or f"load {load} on 4 cores" in busy()


def test_an_old_pytorch_is_refused_with_the_way_out(monkeypatch):
    old = SimpleNamespace(__version__="2.3.0", nn=SimpleNamespace(functional=SimpleNamespace()))
    monkeypatch.setattr(torch_device, "import_module", lambda _: old)
    with pytest.raises(ConfigError, match=r"PyTorch 2\.3\.0 has no grouped.*pip install -U"):
        torch_device.open_device("cpu")


def test_cuda_without_a_gpu_is_refused(torch):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ConfigError, match="sees no CUDA GPU"):
        torch_device.open_device("cuda")


def test_facts_of_linux_are_read_and_what_is_missing_is_assumed(tmp_path):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text("processor: 0\nmodel name\t: Some CPU\n")
    for index, size in enumerate(("32K", "512K", "30M", "odd")):
        folder = tmp_path / f"sys/devices/system/cpu/cpu0/cache/index{index}"
        folder.mkdir(parents=True)
        (folder / "size").write_text(f"{size}\n")
    assert processor_title(tmp_path).startswith("Some CPU, ")
    cache = last_level_cache(tmp_path)
    assert (cache.value, cache.kind) == (30 * 2**20, "measured")
    nothing = last_level_cache(tmp_path / "nowhere")
    assert nothing.kind == "assumed"
    assert processor_title(tmp_path / "nowhere").endswith("cores")
    assert main_memory().value > 2**28


class FakeCuda:
    """Stands in for ``torch.cuda``: writes down what it is asked to do."""

    def __init__(self, capability):
        self.told, self._capability = [], capability
        self.CUDAGraph = lambda: SimpleNamespace(replay=lambda: self.told.append("replay"))

    def get_device_properties(self, _):
        return SimpleNamespace(name="GPU", total_memory=80 * 2**30, L2_cache_size=50 * 2**20)

    def get_device_capability(self, _):
        return self._capability

    def is_bf16_supported(self, including_emulation):
        assert not including_emulation
        return self._capability >= (8, 0)

    def synchronize(self):
        self.told.append("synchronize")

    def current_stream(self):
        return self.Stream()

    def Stream(self):  # noqa: N802 - the name of PyTorch
        return SimpleNamespace(wait_stream=lambda _: None)

    def Event(self, enable_timing):  # noqa: N802 - the name of PyTorch
        assert enable_timing
        return SimpleNamespace(
            record=lambda: self.told.append("record"), elapsed_time=lambda end: 2.5
        )

    @contextmanager
    def stream(self, _):
        yield

    @contextmanager
    def graph(self, _):
        self.told.append("capture")
        yield


@pytest.fixture
def cuda(monkeypatch):
    """Return a function that opens the CUDA form on a GPU of some compute capability."""

    def build(capability=(9, 0)):
        fake = FakeCuda(capability)
        flush = SimpleNamespace(add_=lambda _: fake.told.append("flush"))
        torch = SimpleNamespace(
            cuda=fake,
            zeros=lambda *_, **__: flush,
            uint8=None,
            version=SimpleNamespace(cuda="13.0"),
            __version__="2.13.0",
        )
        prepared = SimpleNamespace(prepare=lambda _: lambda: fake.told.append("run"))
        monkeypatch.setattr(torch_device, "TorchOperators", lambda *_: prepared)
        return torch_device.CudaGpu(torch), fake

    return build


def test_cuda_times_a_replayed_graph_between_events_after_a_flush(cuda):
    device, fake = cuda()
    call = device.prepare(cells()["gemm"])
    assert fake.told == ["run", "run", "capture", "run"]  # warmed up before it is captured
    fake.told.clear()
    assert device.time(call) == 2.5e-3
    assert fake.told == ["flush", "synchronize", "record", "replay", "record", "synchronize"]


@pytest.mark.parametrize(
    ("operator", "capability", "captured"),
    [
        ("gemm", (7, 5), True),
        ("experts", (9, 0), True),
        ("experts", (8, 0), False),  # its grouped products wait for the host
        ("launch", (9, 0), False),  # a graph has no launches
    ],
)
def test_cuda_captures_what_can_be_captured_and_names_what_is_not(
    cuda, operator, capability, captured
):
    device, fake = cuda(capability)
    device.prepare(cells()[operator])
    assert ("capture" in fake.told) == captured
    assert ("eager" in device.kernel(cells()[operator])) != captured


def test_cuda_says_that_it_is_untested_and_which_gpu_lacks_bfloat16(cuda):
    ampere, turing = cuda((8, 0))[0].machine, cuda((7, 5))[0].machine
    assert "untested" in ampere.cautions[0]
    assert len(ampere.cautions) == 1
    assert "no bfloat16 instructions" in turing.cautions[1]
    assert ampere.cache.value == 50 * 2**20
