"""What Hydra, OmegaConf, YAML and the file system object to, in our words."""

import pytest
import yaml

from simulator.commands.messages import explain

CASES = {
    "unknown option": (
        ["model=mixtrl"],
        ["unknown model 'mixtrl'", "model=mixtral_8x7b", "opt_30b"],
    ),
    "unknown option of every group": (["scheduler=x"], ["unknown scheduler 'x'", "small_batch"]),
    "option with a slash": (["model=a/b"], ["unknown model 'a/b'"]),
    "option of hydra": (["hydra/launcher=x"], ["unknown hydra/launcher 'x'", "basic"]),
    "unknown group": (["modle=opt_30b"], ["unknown setting 'modle'. Did you mean model?"]),
    "unknown setting": (["speculation.gama=3"], ["'speculation.gama'", "speculation.gamma?"]),
    "deep setting": (["model.moe.topk=3"], ["'model.moe.topk'", "model.moe.top_k?"]),
    "setting without group": (["rate=3"], ["'rate'", "workload.rate?"]),
    "drafter as group": (["drafter=eagle3"], ["'drafter'", "speculation.drafter?"]),
    "setting of hydra": (["hydra.foo=1"], ["'hydra.foo'", "moesim simulate --cfg hydra"]),
    "inside a mapping": (["model={a:1}"], ["'model.a'"]),
    "below a leaf": (["speculation.gamma.x=3"], ["'speculation.gamma.x'", "speculation.gamma?"]),
    "absent setting": (
        ["workload.concurrency=4"],
        ["do not have workload.concurrency; choose workload=fixed_batch, trace."],
    ),
    "absent section": (
        ["model=opt_30b", "model.moe.top_k=2"],
        ["do not have model.moe.top_k", "+model.moe.top_k=VALUE"],
    ),
    "typo below an absent section": (
        ["model=opt_30b", "model.moe.topk=2"],
        ["'model.moe.topk'", "model.moe.top_k?"],
    ),
    "added twice": (["+speculation.gamma=3"], ["write speculation.gamma=VALUE"]),
    "added and unknown": (["+model.foo=1"], ["unknown setting 'foo' in model"]),
    "added group": (["++model=opt_30b"], ["++model=opt_30b"]),
    "deleted setting": (["~workload.foo"], ["~workload.foo deletes what is not there"]),
    "deleted group": (["~modle"], ["~modle deletes", "Did you mean ~model?"]),
    "deleted with a value": (["~speculation.gamma=9"], ["speculation.gamma is 3"]),
    "deleted model": (["~model"], ["model is missing"]),
    "several values": (["speculation.gamma=1,2"], ["add -m", "'speculation.gamma=[1,2]'"]),
    "sweep": (["speculation.gamma=range(3)"], ["add -m"]),
    "null group": (
        ["model=opt_30b", "hardware=null"],
        ["hardware=null: a group takes the name", "gb200"],
    ),
    "nan for a group": (["routing=nan"], ["routing=nan: a group takes the name", "uniform"]),
    "number for a group": (["hardware=3"], ["hardware=3: a group takes the name", "gb200"]),
    "number for hydra": (["hydra=3"], ["a group takes the name", "hydra=3"]),
    "no equals sign": (["gamma"], ["cannot read 'gamma': write key=value"]),
    "an option alone": (["opt_30b"], ["Did you mean model=opt_30b?"]),
    "nothing before the sign": (["=3"], ["cannot read '=3'"]),
    "plus alone": (["+=3"], ["cannot read '+=3'"]),
    "settings for a list": (["cluster.pools={name: a}"], ["takes a list", "'cluster.pools=[...]'"]),
    "a list for settings": (["cluster.prefix_affinity=[1]"], ["affinity takes settings", "{name:"]),
    "grammar": (["speculation.gamma=[1"], ["cannot read 'speculation.gamma=[1'", "'key=[1,2]'"]),
    "long junk": (["title=" + "[" * 500], ["cannot read 'title=[[", "...'"]),
    "missing value": (["title=???"], ["title has no value; set it with title=VALUE"]),
    "missing deep value": (["run.seed=???"], ["run.seed has no value"]),
    "interpolation": (["title=${nope}"], ["title: ", "'nope' not found"]),
    "interpolation in a circle": (["title=${title}"], ["title: Recursive interpolation"]),
    "environment": (["title=${oc.env:NOT_SET_AT_ALL}"], ["title: ", "NOT_SET_AT_ALL"]),
    "type of hydra": (["hydra.job.chdir=perhaps"], ["hydra.job.chdir: ", "'perhaps'"]),
    "type": (["speculation.gamma=three"], ["speculation.gamma='three' must be an integer"]),
    "mapping": (["speculation.gamma={a:1}"], ["speculation.gamma={'a': 1} must be an integer"]),
    "config name": (["--config-name=nope"], ["'nope'"]),
    "config folder": (["--config-dir=/no/such"], ["'/no/such' not found"]),
    "search path": (["hydra.searchpath=[file:///no/such]"], ["hydra.searchpath", "'/no/such'"]),
    "search path type": (["hydra.searchpath=3"], ["hydra.searchpath must be a list"]),
    "flag": (["--fast"], ["unrecognized arguments: --fast"]),
    "flag without value": (["--cfg"], ["--cfg", "expected one argument"]),
    "completion": (["-sc", "install=zsh"], ["install=bash and uninstall=bash only"]),
}


@pytest.mark.parametrize("case", CASES)
def test_refused_naming_key_value_and_remedy(refused, case):
    words, expected = CASES[case]
    message = refused(*words)
    for text in expected:
        assert text in message
    assert "\n" not in message
    assert "hydra.cc" not in message


def test_sweeping_hydra_itself(moesim):
    code, _, err = moesim("simulate", "-m", "hydra.job.name=a,b")
    assert code == 2
    assert "settings of Hydra itself cannot be swept" in err


def test_broken_yaml_names_file_and_line(refused, tmp_path):
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "toy.yaml").write_text("name: toy\nlayers: [1\nhidden: 2\n")
    message = refused("--config-dir=mine", "model=toy")
    assert message.startswith(f"{tmp_path}/mine/model/toy.yaml, line 3: not valid YAML: ")


def test_doubled_key_names_its_line(refused, tmp_path):
    (tmp_path / "mine" / "routing").mkdir(parents=True)
    (tmp_path / "mine" / "routing" / "two.yaml").write_text("law: uniform\nlaw: overlap\n")
    assert "line 2: not valid YAML: found duplicate key law." in refused(
        "--config-dir=mine", "routing=two"
    )


def test_override_in_a_file_names_the_file(refused, tmp_path):
    (tmp_path / "mine" / "scenario").mkdir(parents=True)
    (tmp_path / "mine" / "scenario" / "odd.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /modle: opt_30b\n"
    )
    message = refused("--config-dir=mine", "scenario=odd")
    assert message.startswith("scenario/odd.yaml: unknown setting 'modle'")
    assert "Did you mean model?" in message


def test_bytes_that_are_not_text(refused, tmp_path):
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "toy.yaml").write_bytes(b"name: \xff\n")
    assert "UnicodeDecodeError" in refused("--config-dir=mine", "model=toy")


def test_yaml_error_without_a_place():
    assert explain(yaml.MarkedYAMLError(problem="odd")) == "not valid YAML: odd."


def test_file_system_without_a_name():
    assert explain(OSError(28, "No space left on device")).startswith(
        "cannot use a file of the run: No space left on device; choose the run folder"
    )


def test_what_nobody_foresaw_is_still_one_line():
    message = explain(AssertionError("first\nsecond"), ["a=1", "b=2"])
    assert message == "cannot compose the configuration (a=1, b=2): AssertionError: first."
