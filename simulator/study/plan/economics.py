"""What a plan costs: prices of the candidates, energy of the offers, and where both are from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from simulator.errors import ConfigError
from simulator.hardware.gpu import load_gpu
from simulator.hardware.power import idle_share, joules_per_token
from simulator.hardware.prices import Prices
from simulator.study.plan.result import Offer, Plan


def known_prices(
    prices: Prices, gpus: Sequence[str], max_usd_per_hour: float | None
) -> dict[str, float]:
    """Return the prices of the candidates that have one, USD per GPU and hour.

    Parameters
    ----------
    prices
        The list.
    gpus
        The candidates.
    max_usd_per_hour
        The budget, if there is one.

    Raises
    ------
    ConfigError
        If there is a budget, and a candidate that cannot be held to it.

    Examples
    --------
    >>> from simulator.hardware.prices import load_prices
    >>> known_prices(load_prices(), ["l40", "h800_sxm"], None)
    {'l40': 1.25}
    """
    found = {gpu: price.value for gpu in gpus if (price := prices.of(gpu))}
    missing = [gpu for gpu in gpus if gpu not in found]
    if missing and max_usd_per_hour is not None:
        raise ConfigError(
            f"max_usd_per_hour={max_usd_per_hour:g} cannot be kept: {prices.origin} has no price "
            f"of {', '.join(missing)}. Give one in a list of yours (prices=FILE), leave "
            f"{'it' if len(missing) == 1 else 'them'} out of gpus=, or bound the GPUs instead "
            "(max_gpus=)."
        )
    return found


def with_costs(plan: Plan, prices: Prices) -> Plan:
    """Return a plan whose offers say their energy, and whose assumptions say what costs rest on.

    Parameters
    ----------
    plan
        As the search found it.
    prices
        The list that the question was priced from.
    """
    gpus = plan.question.candidates.gpus
    return replace(
        plan,
        offers=tuple(replace(offer, joules_per_token=_energy(offer)) for offer in plan.offers),
        assumptions=(*plan.assumptions, *_price_notes(prices, gpus), *_power_notes(gpus)),
    )


def _energy(offer: Offer) -> float | None:
    """Return the energy of an output token at the target load, J; None where it is not known."""
    if offer.utilisation is None or not offer.output_tokens_per_s:
        return None
    gpu, gpus = load_gpu(offer.deployment.gpu), offer.deployment.gpus
    return joules_per_token(gpu, gpus, offer.utilisation, offer.output_tokens_per_s)


def _price_notes(prices: Prices, gpus: Sequence[str]) -> Iterator[str]:
    for gpu in gpus:
        price = prices.of(gpu)
        if price is not None:
            yield f"one {gpu} costs {price.value:g} USD an hour ({price.kind}: {price.source})"


def _power_notes(gpus: Sequence[str]) -> Iterator[str]:
    idle = idle_share()
    yield (
        f"GPUs draw {idle.value:.0%} of their design power while they wait and all of it while a "
        f"step runs; hosts, network and cooling are left out ({idle.kind}: {idle.source})"
    )
    for gpu in gpus:
        tdp = load_gpu(gpu).provenance.get("tdp")
        if tdp is None:
            yield f"the design power of {gpu} is not known, so that its energy is left out"
        else:
            yield f"the design power of {gpu} is {tdp.value:g} W ({tdp.kind}: {tdp.source})"
