"""Tables of a plan: deployments ranked, what classes see, headroom, confirmation, rejections."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from simulator.report.figures import ABSENT, number, seconds
from simulator.report.html.blocks import BAD, GOOD, Cell, Row, Table, tone_of
from simulator.report.html.grids import plain_table
from simulator.report.plan_names import share
from simulator.report.plan_tails import nearest
from simulator.trace.latencies import QUANTILES

Json = Mapping[str, Any]

_HEADINGS = (
    "",
    "deployment",
    "holds",
    "USD/h",
    "USD/1M\ntokens",
    "J/\ntoken",
    "requests/s\nheld",
    "bound by",
    "SD gain",
    "TTFT\np99",
    "TPOT\np99",
    "tokens/\nround",
)
_TEXTS = ("", "deployment", "holds", "bound by")


def ranked(plan: Json) -> Table | None:
    """Return the ranked table, the best first."""
    rows = [Row(list(_ranked_row(plan, offer))) for offer in plan["deployments"]]
    if not rows:
        return None
    caption = (
        "Costs, energy and latencies are at the target load; tokens are output tokens. Requests/s "
        "held is the highest rate within the objectives, SD gain its ratio to that of the same "
        "GPUs without speculation, both with 95 % intervals. TTFT and TPOT are those of the class "
        "nearest its bound."
    )
    return Table(caption, [Cell(name, name not in _TEXTS) for name in _HEADINGS], rows)


def _ranked_row(plan: Json, offer: Json) -> Iterator[Cell]:
    yield Cell(str(offer["rank"]))
    yield Cell(_on_lines(offer["name"]))
    yield Cell("yes" if offer["meets"] else "no", tone=GOOD if offer["meets"] else BAD)
    for figure in ("usd_per_hour", "usd_per_million_tokens", "joules_per_token"):
        yield Cell(number(offer[figure]), True)
    yield Cell(spread(offer["max_rate_interval"]) if offer["meets"] else ABSENT, True)
    yield Cell(str(offer["binding_constraint"]))
    gain = offer["speedup_interval"]
    yield Cell(spread(gain, "x"), True, tone_of(gain))
    objectives = plan["question"]["objectives"]
    for latency in ("ttft_s", "tpot_s"):
        classes = [
            (objectives.get(each["name"], {}).get(latency), each[latency])
            for each in offer["classes"]
        ]
        yield Cell(nearest(classes, "of"), True)
    yield Cell(number(offer["acceptance_length"]), True)


def spread(found: Json | None, unit: str = "") -> str:
    """Write an estimate, and its interval below.

    Examples
    --------
    >>> print(spread({"value": 1.31, "low": 1.27, "high": 1.35}, "x"))
    1.31x
    1.27 to 1.35
    """
    if found is None or found["value"] is None:
        return ABSENT
    text = f"{number(found['value'])}{unit}"
    return f"{text}\n{interval(found)}".rstrip()


def interval(found: Json) -> str:
    """Write the bounds of an estimate; nothing where it has none."""
    if found["low"] is None or found["high"] is None:
        return ""
    return f"{number(found['low'])} to {number(found['high'])}"


def _on_lines(name: str) -> str:
    """Write the name of a deployment on two lines: GPUs and grid, drafts.

    Examples
    --------
    >>> _on_lines("3 x (4 x h200_sxm, TP 4), gamma 3").split(chr(10))
    ['3 x (4 x h200_sxm, TP 4)', 'gamma 3']
    """
    return name.replace("), ", ")\n")


def seen(offer: Json, objectives: Json) -> Table:
    """Return latencies and attainment by class of a deployment."""
    latencies = [(name, label) for name in ("ttft_s", "tpot_s") for label in QUANTILES]
    headings = [f"{name.removesuffix('_s').upper()} {label}>" for name, label in latencies]
    rows = [
        (
            each["name"],
            share(each["attainment"]["value"]),
            share(each["required"]),
            *(seconds(each[name][label]) for name, label in latencies),
            _bounds(objectives.get(each["name"], {})),
        )
        for each in offer["classes"]
    ]
    caption = f"At the target load, on {offer['name']}; percentiles are means over the replications"
    return plain_table(caption, ["class", "in time>", "must be>", *headings, "objective"], rows)


def _bounds(slo: Json) -> str:
    bounds = [
        f"{name.removesuffix('_s').upper()} {seconds(slo[name])}"
        for name in ("ttft_s", "tpot_s", "e2e_s")
        if slo.get(name) is not None
    ]
    return "\n".join(bounds) or "none"


def headroom(offer: Json) -> Table | None:
    """Return what share of each class is in time with a replica lost, and in the peak hour."""
    room = offer["headroom"]
    if room is None:
        return None
    names = [each["name"] for each in offer["classes"]]
    now = {each["name"]: each["attainment"]["value"] for each in offer["classes"]}
    cases = {
        "at the target load": (now, True, offer["replicas"]),
        "one replica lost (N+1)": (
            room["one_less"],
            room["one_less_holds"],
            room["replicas_n_plus_1"],
        ),
        f"peak hour, {number(room['peak_to_mean'])} times the mean": (
            room["peak"],
            room["peak_holds"],
            room["peak_replicas"],
        ),
    }
    rows = [
        (
            case,
            *(ABSENT if shares is None else share(shares[name]) for name in names),
            "yes" if holds else "no",
            str(replicas),
        )
        for case, (shares, holds, replicas) in cases.items()
    ]
    headings = ["", *(f"{name} in time>" for name in names), "holds", "replicas it takes>"]
    return plain_table("Headroom of the first", headings, rows)


def confirmation(found: Json) -> Table:
    """Return what fresh seeds made of the first deployment, and of the next cheaper."""
    checks = [("the first", found["top"]), ("the next cheaper", found["cheaper"])]
    checks += [("the strongest cheaper", found["strongest"])]
    checks += [("before it, refuted", check) for check in found["failed"]]
    there = [(role, check) for role, check in checks if check is not None]
    names = list(dict.fromkeys(name for _, check in there for name in check["attainment"]))
    rows = [
        Row(
            [
                Cell(role),
                Cell(_on_lines(check["name"])),
                Cell("yes" if check["meets"] else "no", tone=GOOD if check["meets"] else BAD),
                *(Cell(_in_time(check["attainment"].get(name)), True) for name in names),
                Cell(check["reason"]),
            ]
        )
        for role, check in there
    ]
    headings = [Cell("checked"), Cell("deployment"), Cell("holds")]
    headings += [*(Cell(f"{name}\nin time", True) for name in names), Cell("why not")]
    count = len(found["seeds"])
    return Table(f"Long simulations with {count} fresh seeds, 95 % intervals", headings, rows)


def _in_time(found: Json | None) -> str:
    if found is None:
        return ABSENT
    text = share(found["value"])
    if found["low"] is None or found["high"] is None:
        return text
    return f"{text}\n{share(found['low'])} to {share(found['high'])}"


def rejected(plan: Json) -> Table | None:
    """Return how many deployments were ruled out, by kind, with examples of reasons."""
    rows = [
        (each["kind"], f"{each['deployments']:,}", " ".join(map(_sentence, each["examples"])))
        for each in plan["rejected"]
    ]
    if not rows:
        return None
    return plain_table("By what ruled them out", ["kind", "deployments>", "examples"], rows)


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."
