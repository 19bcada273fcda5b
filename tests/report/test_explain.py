"""The explanation on screen and as a picture, from figures made by hand."""

import subprocess
import sys
from dataclasses import asdict, replace

import pytest

from simulator.costs.forward import PartTime
from simulator.costs.work import Work
from simulator.errors import ConfigError
from simulator.report.advice import limiting_term, losses
from simulator.report.explain import print_explanation
from simulator.report.step_chart import plot_steps
from simulator.report.verdict import verdict
from simulator.study.decomposition import Decomposition
from simulator.study.draft_lengths import DraftLengths
from simulator.study.explain import Explanation, Lever, Step

GOLDEN = """\
Where a step's time goes
  model        Toy-MoE
  hardware     2 x Toy GPU, TP 2
  speculation  Toy head, gamma 3
  point        16 requests on a replica, 1,000 tokens of context each

                plain            verify            verify    draft
                 step   share      step   share   / plain     step   share
 ─────────────────────────────────────────────────────────────────────────
 attention     1.00 m    10 %    1.50 f    10 %      1.50        -       -
 experts       8.00 m    80 %   12.00 m    80 %      1.50        -       -
 MLP                -       -         -       -         -   0.30 m    75 %
 engine        1.00 f    10 %    1.00 f     7 %      1.00   0.10 a    25 %
 own part           -       -   0.50 fa     3 %         -        -       -

 whole step     10.00   100 %     15.00   100 %      1.50     0.40   100 %

 measured        9.00    90 %     12.00    80 %               0.30    75 %
 fitted          1.00    10 %      2.60    17 %               0.00     0 %
 assumed         0.00     0 %      0.40     3 %               0.10    25 %

m measured, f fitted to measurements, a assumed; time in ms

 FLOP per byte moved          plain step    verify step     draft step   ridge
 ─────────────────────────────────────────────────────────────────────────────
 attention                   4.00 memory    16.0 memory              -     200
 experts                     50.0 memory    250 compute              -     200
 MLP                                   -              -    20.0 memory     200

 active experts               40.0 of 64     60.0 of 64              -
 tokens per active expert           3.20           8.53              -

On one GPU. Below the ridge point (peak FLOP/s over peak bandwidth) memory is
what takes time, above it compute.

                                                   plain             loss
 A round of speculation                     time   steps   share   factor
 ────────────────────────────────────────────────────────────────────────
 verification (target efficiency 0.67)   15.0 ms    1.50    90 %     1.50
 drafting (3 x 400 us)                   1.20 ms    0.12     7 %     1.08
 rejection                                500 us    0.05     3 %     1.03
 acceptance (sigma 0.75, 3.00 of 4)                                  1.33

 round                                   16.7 ms    1.67   100 %     2.23
 speedup at equal batch (4 / 2.23)                                  1.80x

Of a round's time 77 % is measured, 16 % fitted, 7 % assumed.

 What would change it                                       speedup
 ──────────────────────────────────────────────────────────────────
 the best draft length here           speculation.gamma=2     1.90x
 drafts that cost no time (a bound)                           1.94x


 Speedup at a batch of       1      16     256
 ─────────────────────────────────────────────
 gamma 1                 1.30x   1.50x   0.90x
 gamma 2                 1.25x   1.90x   0.80x

 best gamma                  1       2     off

Speculative decoding pays here: a round yields 3.00 tokens in 1.67 plain steps,
1.80x. What holds it back most is verification. A verify step takes 5.00 ms more
than a plain one, 4.00 ms of it in experts. Verifying wakes 60.0 of 64 experts
where a plain step wakes 40.0, and reading their weights takes time: a batch
large enough to wake them anyway, or a shorter draft, would change that. Next
comes acceptance. Of the 4 tokens that a round could yield 3.00 come out: a
drafter that agrees more often, or a shorter draft, would change that. Try
speculation.gamma=2: the closed form promises 1.90x here.
"""


def _work(intensity):
    """Work at an intensity, on a GPU with its ridge point at 200 FLOP/byte."""
    return Work(intensity, 1.0, intensity / 200, 1.0)


def _terms(*, gamma=3, sigma=0.75, draft=0.12, verify=1.5, rejection=0.05):
    tokens = sigma * (gamma + 1)
    return Decomposition(
        batch=16,
        context_tokens=1000,
        gamma=gamma,
        plain_step_s=0.010,
        expected_tokens_per_round=tokens,
        sigma=sigma,
        draft_ratio=draft,
        verify_ratio=verify,
        rejection_ratio=rejection,
        target_efficiency=1 / verify,
        speedup=tokens / (draft + verify + rejection),
        measured_share=0.77,
        fitted_share=0.16,
        assumed_share=0.07,
    )


@pytest.fixture
def explanation():
    plain = {
        "engine": PartTime(fitted_s=0.001),
        "experts": PartTime(measured_s=0.008),
        "attention": PartTime(measured_s=0.001),
    }
    verify = {
        "engine": PartTime(fitted_s=0.001),
        "experts": PartTime(measured_s=0.012),
        "attention": PartTime(fitted_s=0.0015),
        "own_part": PartTime(fitted_s=0.0001, assumed_s=0.0004),
    }
    draft = {"mlp": PartTime(measured_s=0.0003), "engine": PartTime(assumed_s=0.0001)}
    return Explanation(
        scenario={
            "model": "Toy-MoE",
            "hardware": "2 x Toy GPU, TP 2",
            "speculation": "Toy head, gamma 3",
        },
        plain=Step(plain, {"attention": _work(4.0), "experts": _work(50.0)}, 64, 40.0, 3.2),
        verify=Step(verify, {"attention": _work(16.0), "experts": _work(250.0)}, 64, 60.0, 8.53),
        draft=Step(draft, {"mlp": _work(20.0)}, 0, 0.0, 0.0),
        rejection_s=0.0005,
        decomposition=_terms(),
        best=replace(_terms(gamma=2), speedup=1.9),
        levers=[
            Lever("speculation.gamma=2", "the best draft length here", 1.9),
            Lever("", "drafts that cost no time (a bound)", 1.94),
        ],
        lengths=DraftLengths((1, 16, 256), {1: (1.3, 1.5, 0.9), 2: (1.25, 1.9, 0.8)}),
    )


@pytest.fixture
def plain_only(explanation):
    """Speculation switched off."""
    return replace(
        explanation,
        verify=None,
        draft=None,
        rejection_s=0.0,
        decomposition=_terms(gamma=0, sigma=1.0, draft=0.0, verify=1.0, rejection=0.0),
    )


def said(explanation):
    return " ".join(verdict(explanation))


def test_the_screen_is_as_agreed(explanation, printed):
    assert printed(print_explanation, explanation) == GOLDEN


def test_without_speculation_only_the_plain_step_is_shown(plain_only, printed):
    text = printed(print_explanation, plain_only)
    assert "verify" not in text
    assert "A round of speculation" not in text
    assert "Speculation is off (gamma = 0): every step is a plain step." in text
    assert "Try\nspeculation.gamma=2: the closed form promises 1.90x here." in text


def test_without_changes_there_is_no_table_of_them(explanation, printed):
    text = printed(print_explanation, replace(explanation, levers=[]))
    assert "What would change it" not in text


def test_a_drafter_without_gpu_time_has_no_column(explanation, printed):
    text = printed(print_explanation, replace(explanation, draft=None))
    assert "draft step" not in text
    assert " drafting  " in text


def test_text_is_not_taken_for_markup(explanation, printed):
    explanation.scenario["model"] = "[bold]Toy[/bold]"
    assert "[bold]Toy[/bold]" in printed(print_explanation, explanation)


@pytest.mark.parametrize(
    "terms",
    [
        {},
        {"sigma": 0.3},
        {"draft": 2.5, "verify": 1.1},
        {"rejection": 3.0, "verify": 1.1},
        {"sigma": 1.0, "verify": 1.2, "draft": 0.9, "rejection": 0.9},
    ],
    ids=str,
)
def test_losses_multiply_up_and_the_largest_limits(terms, explanation):
    at = _terms(**terms)
    found = losses(at.sigma, at.draft_ratio, at.verify_ratio, at.rejection_ratio)
    product = found["acceptance"] * found["verification"] * found["drafting"] * found["rejection"]
    assert product * at.speedup == pytest.approx(at.gamma + 1)
    largest = max(found, key=found.__getitem__)
    assert largest == limiting_term(asdict(at))
    text = said(replace(explanation, decomposition=at))
    assert f"What holds it back most is {largest}." in text


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({"sigma": 0.75}, "Speculative decoding pays here"),
        ({"sigma": 0.42}, "Speculative decoding changes next to nothing here"),
        ({"sigma": 0.3}, "Speculative decoding does not pay here"),
    ],
)
def test_the_outcome_is_said(explanation, terms, words):
    assert words in said(replace(explanation, decomposition=_terms(**terms)))


def test_a_draft_length_is_proposed_only_where_it_gains(explanation):
    same = replace(explanation, best=replace(explanation.best, speedup=1.81))
    assert "Try" not in said(same)
    assert "no draft length" not in said(same)
    none = replace(explanation, best=replace(explanation.best, speedup=0.9))
    assert said(none).endswith("By the closed form no draft length pays here: 0.90x at best.")


def test_a_shorter_draft_is_proposed_only_where_it_is_better(explanation):
    assert "shorter draft" in said(explanation)
    longer = replace(explanation, best=replace(_terms(gamma=5), speedup=1.9))
    assert "shorter draft" not in said(longer)


def test_experts_that_were_awake_are_not_blamed_on_waking(explanation):
    awake = replace(explanation.plain, active_experts=59.0, tokens_per_expert=2.2)
    text = said(replace(explanation, plain=awake))
    assert "wakes 59.0 of 64 experts already" in text
    assert "from 2.20 to 8.53" in text


@pytest.mark.parametrize(("intensity", "said_so"), [(300.0, True), (20.0, False)])
def test_a_part_that_computes_is_named_when_it_holds_back(explanation, intensity, said_so):
    parts = dict(explanation.verify.parts) | {"attention": PartTime(measured_s=0.02)}
    verify = replace(explanation.verify, parts=parts, work={"attention": _work(intensity)})
    text = said(replace(explanation, verify=verify))
    assert "of it in attention" in text
    assert ("compute-bound" in text) == said_so


def test_drafting_and_rejection_are_put_in_words(explanation):
    text = said(replace(explanation, decomposition=_terms(draft=3.0, verify=1.1)))
    assert "take 3.00 plain steps, the largest part of them MLP (75 %)" in text
    text = said(replace(explanation, draft=None, decomposition=_terms(draft=3.0, verify=1.1)))
    assert "take 3.00 plain steps: a cheaper drafter" in text
    text = said(replace(explanation, decomposition=_terms(rejection=3.0, verify=1.1)))
    assert "less host work" in text


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_same_figures_give_the_same_bytes(explanation, tmp_path, suffix):
    first, second = (plot_steps(explanation, tmp_path / f"{i}{suffix}") for i in range(2))
    assert first.read_bytes() == second.read_bytes()


def test_bars_are_labelled_with_steps_parts_and_times(explanation, tmp_path, monkeypatch):
    import matplotlib as mpl

    monkeypatch.setitem(mpl.rcParams, "svg.fonttype", "none")
    text = plot_steps(explanation, tmp_path / "a.svg").read_text("utf-8")
    for label in ("plain step", "verify step", "3 draft steps", "rejection", "time (ms)"):
        assert label in text
    for label in ("experts", "own part", "10.0 ms", "15.0 ms", "1.20 ms", "500 us", "1.80x"):
        assert label in text


def test_bars_of_one_step_and_of_one_draft_are_drawn(plain_only, explanation, tmp_path):
    single = replace(explanation, decomposition=_terms(gamma=1))
    for index, case in enumerate((plain_only, single)):
        assert plot_steps(case, tmp_path / f"{index}.png").exists()


def test_an_unknown_format_is_refused(explanation, tmp_path):
    with pytest.raises(ConfigError, match=r"suffix must be one of"):
        plot_steps(explanation, tmp_path / "a.bmp")


def test_importing_the_room_does_not_import_matplotlib():
    program = "import sys, simulator.report.explain; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
