"""What completion proposes, beyond what Hydra knows."""

import pytest

from simulator.commands.proposals import proposals


@pytest.mark.parametrize(
    ("line", "among"),
    [
        ("moesim calibrate e", {"engine", "fit", "--help"}),
        ("moesim calibrate engine ", {"data=", "model=", "hydra.run.dir=", "--help"}),
        ("moesim calibrate engine base=v", {"base=vllm", "base=sglang"}),
        ("moesim validate kernels gpu=l40,", {"gpu=l40,l40s", "gpu=l40,h100_sxm"}),
        ("moesim workload describe c", {"code", "chat", "requests=", "workload."}),
        ("moesim workload describe chat workload.ra", {"workload.rate="}),
        ("moesim study control mod", {"model=", "intervals="}),
        ("moesim study control speculation=", {"speculation=off"}),
        ("moesim export runs/x ar", {"arm=", "from_s="}),
        ("moesim plan gpus=h", {"gpus=h100_sxm"}),
        ("moesim plan disaggregate=", {"disaggregate=true", "disaggregate=false"}),
        ("moesim simulate run.picture=f", {"run.picture=false"}),
        ("moesim simulate scheduler.router=", {"scheduler.router=sticky"}),
        ("moesim simulate workload.preset=c", {"workload.preset=chat"}),
    ],
)
def test_names_are_proposed(line, among):
    assert among <= set(proposals(line))


@pytest.mark.parametrize(
    "line",
    [
        "moesim simulate workload.path=a",
        "moesim calibrate engine data=",
        "moesim nothing x=1",
        "moesim",
    ],
)
def test_where_a_file_may_stand_nothing_is(line):
    assert not [word for word in proposals(line) if word != "--help"]


def test_a_subject_that_is_unknown_has_no_settings():
    assert proposals("moesim show nothing x") == ["--help"]
