"""Prices and power: shipped figures hold together, files of users are refused with reasons."""

import pytest

from simulator.errors import TableError
from simulator.hardware.gpu import gpu_names, load_gpu
from simulator.hardware.power import idle_share, joules_per_token, watts
from simulator.hardware.prices import UNIT, load_prices

PRICE = f'{{value: 3.5, unit: {UNIT}, kind: assumed, source: "our contract"}}'


def priced(tmp_path, text):
    path = tmp_path / "prices.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_shipped_prices_say_where_and_when_they_were_read():
    prices = load_prices()
    assert set(prices.by_gpu) <= set(gpu_names())
    assert all("https://" in price.source for price in prices.by_gpu.values())
    assert prices.of("h100_sxm") is not None
    assert prices.of("h800_sxm") is None


def test_a_file_of_the_users_takes_the_place_of_all_shipped_prices(tmp_path):
    prices = load_prices(priced(tmp_path, f"h800_sxm: {PRICE}"))
    assert prices.of("h800_sxm").value == 3.5
    assert prices.of("h100_sxm") is None


def test_a_gpu_of_the_users_is_priced_by_its_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    prices = load_prices(priced(tmp_path, f"mine/gpu.yaml: {PRICE}"))
    assert prices.of("mine/gpu.yaml").value == 3.5
    assert prices.of(str(tmp_path / "mine/gpu.yaml")).value == 3.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"h100: {PRICE}", "Did you mean 'h100_sxm'"),
        ("h100_sxm: 3", "write {value, unit, source, kind}"),
        (f"h100_sxm: {PRICE}".replace("3.5", "0"), "must be positive"),
        (f"h100_sxm: {PRICE}".replace("USD", "EUR"), "prices are in USD/GPU-hour"),
        (f"h100_sxm: {PRICE}".replace("our contract", ""), "lacks source"),
    ],
    ids=["name", "bare", "free", "unit", "source"],
)
def test_a_price_that_is_not_one_is_refused(tmp_path, text, message):
    with pytest.raises(TableError, match=message):
        load_prices(priced(tmp_path, text))


def test_power_goes_from_the_idle_share_to_the_design_power_of_every_shipped_gpu():
    for gpu in map(load_gpu, gpu_names()):
        assert gpu.provenance["tdp"].unit == "W"
        assert watts(gpu, 1.0) == gpu.tdp_watts
        assert watts(gpu, 0.0) == pytest.approx(idle_share().value * gpu.tdp_watts)


def test_a_token_takes_the_power_of_all_gpus_over_tokens_per_second():
    gpu = load_gpu("h100_sxm")
    assert joules_per_token(gpu, 16, 0.5, 1000.0) == pytest.approx(16 * watts(gpu, 0.5) / 1000)
    assert joules_per_token(gpu, 16, 0.5, 0.0) is None
