import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from simulator.report.terminal import next_command, print_summary

GOLDEN = Path(__file__).parent / "golden"


def _as_it_is(summary):
    pass


def _withhold(summary):
    for arm in ("baseline", "speculative"):
        for name in ("ttft_s", "tpot_s", "e2e_s"):
            summary[arm][name] = dict.fromkeys(("p50", "p90", "p99"))
    for key in summary["speedup"]:
        summary["speedup"][key] = {"value": None, "low": None, "high": None}


def _saturated(summary):
    for arm in ("baseline", "speculative"):
        summary[arm]["saturated"] = True
        for name in ("ttft_s", "e2e_s"):
            summary[arm][name] = dict.fromkeys(("p50", "p90", "p99"))
    for key in summary["speedup"]:
        if key.startswith(("ttft", "e2e")):
            summary["speedup"][key] = {"value": None, "low": None, "high": None}
    summary["speedup"]["throughput"] = {"value": 0.96, "low": 0.95, "high": 0.97}
    summary["warnings"] = ["baseline and speculative: saturated. The queue grew until the end."]


def _bare(summary):
    for key in (
        "replications",
        "scenario",
        "decomposition",
        "assumptions",
        "files",
        "target_efficiency",
    ):
        del summary[key]


@pytest.mark.parametrize(
    ("name", "change"),
    [("pays", _as_it_is), ("saturated", _saturated), ("withheld", _withhold), ("bare", _bare)],
)
def test_the_screen_is_as_agreed(summary, printed, name, change):
    change(summary)
    assert printed(print_summary, summary) == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


def test_eighty_columns_are_enough(summary, printed):
    summary["files"] = {}
    assert max(map(len, printed(print_summary, summary).splitlines())) <= 80


def test_paths_are_never_broken(summary, printed):
    path = "runs/" + "long/" * 40 + "summary.json"
    summary["files"] = {"summary": path}
    assert path in printed(print_summary, summary)


def test_there_are_no_colours_where_there_is_no_terminal(summary, printed):
    assert "\x1b" not in printed(print_summary, summary)


def test_a_terminal_sees_gains_in_green_and_losses_in_red(summary):
    console = Console(
        file=io.StringIO(), width=80, force_terminal=True, color_system="standard", no_color=False
    )
    print_summary(summary, console)
    text = console.file.getvalue()
    assert re.search(r"\x1b\[32m *1\.78 to 1\.86", text)
    assert re.search(r"\x1b\[31m *0\.83 to 0\.87", text)


def test_text_of_users_is_not_taken_for_markup(summary, printed):
    summary["scenario"]["title"] = "[bold]Chat[/bold] [oops"
    summary["warnings"] = ["[red]mind[/red]"]
    text = printed(print_summary, summary)
    assert "[bold]Chat[/bold] [oops" in text
    assert "- [red]mind[/red]" in text


def test_throughput_that_moves_is_not_explained_away(summary, printed):
    assert "is the load that arrives" in printed(print_summary, summary)
    summary["speedup"]["throughput"] = {"value": 1.4, "low": 1.3, "high": 1.5}
    assert "is the load that arrives" not in printed(print_summary, summary)


def test_throughput_that_has_no_reason_to_move_is_not_explained(summary, printed):
    """As in a closed loop in which speculation changes nothing."""
    summary["speedup"]["tpot_p50"] = {"value": 1.01, "low": 1.0, "high": 1.02}
    assert "is the load that arrives" not in printed(print_summary, summary)


def test_a_narrow_terminal_does_not_break_it(summary, printed):
    assert "Qwen2-57B-A14B" in printed(print_summary, summary, width=40)


def test_the_next_command_keeps_the_other_overrides(summary):
    summary["scenario"]["overrides"] = ["workload.rate=4", "speculation.gamma=3"]
    assert next_command(summary) == (
        "moesim simulate -m workload.rate=4 speculation.gamma=0,1,2,3,4,6,8"
    )
    summary["decomposition"]["best_gamma"] = 2
    assert next_command(summary) == "moesim simulate workload.rate=4 speculation.gamma=2"


def test_a_policy_shows_its_draft_length_and_is_dropped_whole(summary, printed):
    assert "\n draft length " not in printed(print_summary, summary)
    summary["scenario"]["policy"] = "batch_schedule"
    summary["baseline"]["mean_draft_tokens"] = 0.0
    summary["speculative"]["mean_draft_tokens"] = 2.25
    summary["scenario"]["overrides"] = [
        "workload.rate=4",
        "speculation.policy=batch_schedule",
        "'speculation.schedule=[[1,8,3],[9,64,1]]'",  # as the shell needs it
    ]
    assert re.search(r"\n draft length +0\S* +2\.25\n", printed(print_summary, summary))
    assert next_command(summary) == "moesim simulate workload.rate=4 speculation.policy=fixed"


def test_a_batch_that_grows_although_decoding_is_faster_is_not_explained_by_it(summary, printed):
    assert "since requests leave sooner" in " ".join(printed(print_summary, summary).split())
    summary["speculative"]["mean_batch"] = 20.0  # fewer replicas carry the load
    assert "since requests leave" not in " ".join(printed(print_summary, summary).split())


@pytest.mark.parametrize(
    ("overrides", "changed"),
    [
        (["run.requests=400", "scenario=code"], False),
        (["hydra.run.dir=mine"], False),
        (["run.seed=1", "hardware=l40s"], True),
        (["'cluster.pools=[{name: a}]'"], True),
        (["hardware=l40s", "title=Chat on a small A100 deployment"], False),
    ],
)
def test_a_title_is_not_kept_where_settings_make_it_untrue(summary, printed, overrides, changed):
    scenario = summary["scenario"]
    scenario["overrides"] = overrides
    first = printed(print_summary, summary).splitlines()[0]
    own = f"{scenario['model']} on {scenario['hardware']}"
    assert first == (own if changed else "Chat on a small A100 deployment")


def test_a_rate_far_from_its_mean_is_explained(summary, printed):
    summary["scenario"]["mean_rate_per_s"] = 1.02 * summary["baseline"]["requests_per_s"]
    assert "Requests come at" not in printed(print_summary, summary)
    summary["scenario"]["mean_rate_per_s"] *= 1.2
    assert "the rate fluctuates" in " ".join(printed(print_summary, summary).split())
