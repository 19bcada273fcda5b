"""What a result rests on, in words, for the report."""

from __future__ import annotations

from simulator.scenario import Scenario
from simulator.serving.cluster_config import PREFILL
from simulator.speculation.by_class import ClassAcceptance
from simulator.speculation.config import SpeculationConfig
from simulator.speculation.profiled import ProfiledAcceptance
from simulator.speculation.profiles import choose_shape, read_profile
from simulator.speculation.regime import RegimeAcceptance
from simulator.study.cluster_assumptions import cluster_assumptions
from simulator.study.dispatch_assumptions import dispatch_assumptions
from simulator.study.expert_assumptions import placement_assumptions, routing_assumption
from simulator.study.offload_assumptions import offload_assumptions
from simulator.trace.json_file import Json
from simulator.workload.mix import tasks
from simulator.workload.sharing import shares_prefixes

WINDOW_ROUNDS = 10
"""Rounds over which the swings of acceptance are told."""


def assumptions(scenario: Scenario, terms: Json | None) -> list[str]:
    """List what was assumed, the weightiest first.

    Parameters
    ----------
    scenario
        The scenario.
    terms
        The decomposition at the operating point, for the share of time that is measured; None when
        nothing decoded.
    """
    config = scenario.config
    found = [_acceptance(scenario), *_profile(scenario), *_drafting(scenario)]
    found += [routing_assumption(scenario), *offload_assumptions(scenario)]
    if terms is not None:
        found.append(
            f"{terms['measured_share']:.0%} of a step's time comes from kernel tables measured on "
            f"{scenario.gpu.title}, {terms['fitted_share']:.0%} from fits to measurements, "
            f"{terms['assumed_share']:.0%} is assumed{_of_pool(scenario)}"
        )
    if config.hardware.tensor_parallel is None:
        found.append(
            f"tensor parallel {scenario.parallelism.tensor}: the fewest GPUs that hold the model"
        )
    found += _spread(scenario)
    engine = scenario.engine
    found.append(
        f"engine {engine.title}: {engine.plain_step_s * 1e3:.2f} ms of host time a step and "
        f"{engine.plain_request_s * 1e6:.0f} us a request "
        f"({engine.provenance['plain_step'].kind}), "
        f"{engine.draft_step_s * 1e3:.1f} ms a draft step "
        f"({engine.provenance['draft_step'].kind})"
    )
    if engine.batch_expansion and config.speculation.gamma:
        found.append(
            "every drafted token is verified as a sequence of its own, which reads the whole cache "
            "(batch expansion)"
        )
    if not engine.at_table_speed:
        found.append(
            f"kernels reach {engine.bandwidth_fraction:.0%} of the bandwidth and "
            f"{engine.compute_fraction:.0%} of the compute that tables or rooflines say (fitted)"
        )
    found += [_prefill_cadence(scenario), *_queueing(scenario), *cluster_assumptions(scenario)]
    return [*found, *scenario.workload.assumptions]


def _of_pool(scenario: Scenario) -> str:
    """Say of which pool the closed form and its shares are, where several decode."""
    pools = scenario.config.cluster.pools
    decoding = [pool.name for pool in pools if pool.role != PREFILL]
    if len(decoding) < 2:
        return ""
    return f" (pool {decoding[0]}, of which the closed form is, too; others differ)"


def _prefill_cadence(scenario: Scenario) -> str:
    """Say when prompts are computed: how they share steps with decoding, and how often."""
    scheduler = scenario.config.scheduler
    how = f"beside decoding, in chunks of up to {scheduler.max_batched_tokens:,} tokens a step"
    if scenario.engine.separate_prefill:
        how = "in steps of their own, before decoding goes on"
    if any(pool.role == PREFILL for pool in scenario.config.cluster.pools):
        how = f"on replicas of their own, up to {scheduler.max_batched_tokens:,} tokens a step"
    steps = scheduler.recv_interval
    often = "before every step" if steps == 1 else f"every {steps} steps while anything runs"
    return f"prompts run {how}; new ones are looked for {often}"


def _queueing(scenario: Scenario) -> list[str]:
    """Say where the scheduler knows more than a real one, or less."""
    scheduler, workload = scenario.config.scheduler, scenario.config.workload
    found = []
    drafts = scenario.config.speculation.gamma > 0
    if drafts and workload.mix and not isinstance(scenario.acceptance, ClassAcceptance):
        found.append("drafts are accepted alike in all classes of the mix, whatever their texts")
    if scheduler.queue == "fair":
        found.append(
            "tenants are charged for prompt and output when a request comes in, as if the length "
            "of its output were known"
        )
    if scheduler.prefix_cache and shares_prefixes(workload):
        pooled = " (its attention groups as one)" if scenario.parallelism.data > 1 else ""
        found.append(
            f"requests of a replica{pooled} that begin alike share KV blocks; one that lost its "
            "blocks finds again only those that others share"
        )
    return found


def _spread(scenario: Scenario) -> list[str]:
    parallelism = scenario.parallelism
    found = [*_beyond_node(scenario), *placement_assumptions(scenario)]
    found += dispatch_assumptions(scenario)
    if parallelism.data > 1:
        found.append(
            f"requests are dealt out evenly to {parallelism.data} attention groups; a step waits "
            f"for the group with most, and none lends KV cache to another"
        )
    if parallelism.pipeline > 1:
        found.append(
            f"{parallelism.pipeline} equal micro-batches keep the pipeline full; LM head, sampling "
            f"and drafting slow no stage down"
        )
    return found


def _beyond_node(scenario: Scenario) -> list[str]:
    """Say what exchanges between nodes rest on, where a layer spans several."""
    topology, spread = scenario.step_model.target.topology, scenario.parallelism
    if topology is None or spread.stage_gpus <= scenario.gpu.node_gpus:
        return []
    return [
        f"exchanges over {spread.stage_gpus} GPUs are alone on the links of {topology.title}; "
        f"where so many were not measured, measured ones are scaled by its latencies and peaks"
    ]


def _by_request(speculation: SpeculationConfig) -> str:
    """Say with which rates drafts are accepted that differ between requests."""
    phases = speculation.phases
    if phases is None:
        return (
            f"with rate {speculation.alpha:g} on the median request, spread over requests by "
            f"{speculation.alpha_spread:g} on the logit"
        )
    return (
        f"with rate {phases.alpha_easy:g} in easy and {phases.alpha_hard:g} in hard requests; of "
        f"the requests of a phase, {phases.stretch_requests:g} on average, "
        f"{phases.own_share:.0%} are of its kind"
    )


def _acceptance(scenario: Scenario) -> str:
    speculation = scenario.config.speculation
    if not speculation.gamma:
        return "speculation is off in both arms"
    drafts, regime = f"drafts of {scenario.drafter.title} are accepted", speculation.regime
    if speculation.phases is not None or speculation.acceptance == "heterogeneous":
        return f"{drafts} {_by_request(speculation)}"
    if regime is not None and isinstance(scenario.acceptance, RegimeAcceptance):
        inflation = scenario.acceptance.variance_inflation(speculation.gamma, WINDOW_ROUNDS)
        return (
            f"{drafts} with rate {regime.alpha_high:g} in easy and {regime.alpha_low:g} in hard "
            f"text, in stretches of {regime.high_tokens:g} and {regime.low_tokens:g} tokens on "
            f"average (the mean of {WINDOW_ROUNDS} rounds varies {inflation:.1f} times as much as "
            f"that of independent ones)"
        )
    if isinstance(scenario.acceptance, (ProfiledAcceptance, ClassAcceptance)):
        length = scenario.acceptance.tokens_per_round(speculation.gamma)
        classes = _by_class(scenario)
        return f"{drafts} as in profile {speculation.profile}, {length:.2f} tokens a round{classes}"
    if speculation.acceptance == "recorded":
        return f"{drafts} as in the rounds of {speculation.path}, each request as a recorded one"
    if speculation.acceptance == "iid":
        rate = f"{speculation.alpha:g} at every position"
    else:
        rate = ", ".join(f"{alpha:g}" for alpha in speculation.alphas) + " by position"
    return f"{drafts} with rate {rate}, on every request"


def _by_class(scenario: Scenario) -> str:
    """Say how long drafts are accepted in each class of a mix, where they differ."""
    if not isinstance(scenario.acceptance, ClassAcceptance):
        return ""
    gamma, named = scenario.config.speculation.gamma, tasks(scenario.config.workload)
    lengths = [
        f"{part.tokens_per_round(gamma):.2f} in {name} ({task})"
        for (name, task), part in zip(named.items(), scenario.acceptance.parts, strict=True)
    ]
    return f": {', '.join(lengths)}"


def _profile(scenario: Scenario) -> list[str]:
    """Say what a profile takes for granted: its assumed figures, and the task asked for."""
    speculation = scenario.config.speculation
    if not speculation.gamma or speculation.profile is None:
        return []
    found = read_profile(speculation.profile)
    kinds = {key: found.provenance[f"shape.{key}"].kind for key in ("gain", "spread")}
    asked: set[str | None] = {speculation.task}
    if speculation.task is None:
        asked = {*tasks(scenario.config.workload).values()} or asked
    notes = [
        note
        for task in sorted(asked, key=str)
        for note in choose_shape(found, task, speculation.temperature)[1]
    ]
    if "assumed" in kinds.values():
        notes.append("how acceptance varies between texts and requests is that of another drafter")
    return list(dict.fromkeys(notes))


def _drafting(scenario: Scenario) -> list[str]:
    """Say what is taken for granted of trees, look-ups, and a drafter with GPUs of its own."""
    found: list[str] = []
    speculation = scenario.config.speculation
    if not speculation.gamma:
        return found
    if speculation.tree:
        ranks = ", ".join(f"{rank:g}" for rank in speculation.tree_ranks) or "not needed"
        found.append(
            f"all {speculation.draft_tokens} nodes of a draft tree are verified and take KV slots; "
            f"chances of its second and later candidates where those before are wrong: {ranks}"
        )
    if scenario.drafter.kind == "ngram":
        found.append(
            f"look-ups find a draft in {speculation.proposal_rate:.0%} of a request's rounds; "
            f"steps are priced at the mean number of tokens, but every request takes KV slots and "
            f"token budget for a draft, and counts as having one"
        )
    if scenario.drafter_gpus:
        found.append(
            f"the drafter has GPUs of its own, {scenario.drafter_gpus} a replica, which plain "
            f"decoding does without; it reads prompts beside the target and drafts before each "
            f"verification, and a round waits for two messages of {speculation.link_s:.0e} s"
        )
    return found
