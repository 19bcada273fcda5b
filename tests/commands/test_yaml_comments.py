"""Comments of YAML files, as help shows them."""

import pytest

from simulator.commands.settings import group_options, groups
from simulator.commands.yaml_comments import comments


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        ("a: 1  # one", "a", "one"),
        ("a: 'x # y'  # one", "a", "one"),
        ("a: 'x # y'", "a", None),
        ("b: 1\n# one,\n# and more\na: 1", "a", "one, and more"),
        ("b: 1\n# why\na: 1 # what", "a", "what. why"),
        ("b: 1\n# far\n\na: 1", "a", None),
        ("a: # all\n  b: 1 # one", "a", "all"),
        ("a: # all\n  b: 1 # one", "a.b", "one"),
        ("a: {b: 1} # all", "a", "all"),
        ("a: [1,\n  2] # two", "a", "two"),
        ("# the file\na: 1", "a", None),
        ("# the file\na: 1", "", "the file"),
        ("b: 1\n# what\na: |\n  text\n", "a", "what"),
        ("", "", None),
    ],
)
def test_comments_belong_to_keys(text, key, said):
    comment = comments(text).get(key)
    assert (comment.text if comment else None) == said


def test_what_is_beside_a_key_is_told_from_what_is_above():
    comment = comments("b: 1\n# why\na: 1 # what")["a"]
    assert (comment.beside, comment.above) == ("what", "why")


@pytest.mark.parametrize("group", groups())
def test_every_option_says_what_it_is(group, request):
    root = request.config.rootpath / "conf" / group
    silent = [
        option
        for option in group_options(group)
        if "" not in comments((root / f"{option}.yaml").read_text())
    ]
    assert group in {"model", "scenario"} or not silent
