"""Every format: what its fields become, in columns and row by row, and which rows are bad."""

import gzip
import json

import numpy as np
import pytest
from helpers.traces import read_block, samples

from simulator.errors import DataError
from simulator.workload.build import build_workload
from simulator.workload.config import WorkloadConfig
from simulator.workload.readers import READERS, ReadPolicy, blocks
from simulator.workload.readers.likely import likely_format
from simulator.workload.transforms import joined

NAMES = ("azure", "burstgpt", "csv", "mooncake", "bailian")
LINES = {
    case[0]["format"]: case
    for case in samples()
    if case[0].get("format") in NAMES and not case[1].endswith(".gz")
}
MOONCAKE = '{"timestamp": 0, "input_length": 1100, "output_length": 2, "hash_ids": [5, 6, 7]}\n'
BAILIAN = {"chat_id": 7, "parent_chat_id": -1, "timestamp": 1.5, "input_length": 33,
           "output_length": 2, "type": "text", "turn": 1, "hash_ids": [1, 2, 3]}  # fmt: skip
BURST = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
OWN = "arrival_s,prompt_tokens,output_tokens,task,prefix_hashes\n"


def traits_of(block):
    traits = block.traits
    if traits is None:
        return None
    names = ("traffic_class", "tenant", "session")
    return [getattr(traits, name).tolist() for name in names] + [list(traits.prefixes)]


@pytest.mark.parametrize("name", LINES)
def test_columns_and_rows_are_read_alike(name, write, monkeypatch):
    _, file, data = LINES[name]
    path = write(data, file)
    at_once = read_block(path, name)
    monkeypatch.setattr(blocks.LinePiece, "columns", lambda self: None)
    one_by_one = read_block(path, name)
    assert at_once.size == 24
    assert np.array_equal(at_once.arrival_s, one_by_one.arrival_s)
    assert at_once.prompt_tokens.tolist() == one_by_one.prompt_tokens.tolist()
    assert at_once.output_tokens.tolist() == one_by_one.output_tokens.tolist()
    assert traits_of(at_once) == traits_of(one_by_one)


@pytest.mark.parametrize("name", LINES)
def test_plain_files_are_read_in_columns(name, write, monkeypatch):
    """What reads a million rows in seconds is not left without a word."""
    _, file, data = LINES[name]
    monkeypatch.setattr(blocks.LinePiece, "read", lambda *_: pytest.fail("read row by row"))
    assert read_block(write(data, file), name).size == 24


def test_quotes_and_the_letter_x_do_not_send_a_file_row_by_row(write, monkeypatch):
    text = 'arrival_s,prompt_tokens,output_tokens,"tenant"\n0,1,"2","Max, Moritz"\n1,3,4,"x"\n'
    careful = read_block(write(text), "csv")
    monkeypatch.setattr(blocks.LinePiece, "read", lambda *_: pytest.fail("read row by row"))
    at_once = read_block(write(text.replace("Max, Moritz", "Max")), "csv")
    assert at_once.output_tokens.tolist() == careful.output_tokens.tolist() == [2, 4]
    assert traits_of(at_once) == traits_of(careful)


def test_hexadecimal_numbers_are_no_numbers(write):
    with pytest.raises(DataError, match="line 2: prompt_tokens is '0x1F'"):
        read_block(write("arrival_s,prompt_tokens,output_tokens\n0,0x1F,1\n"), "csv")


def test_mooncake_hashes_of_full_blocks_alone_count(write):
    block = read_block(write(MOONCAKE + MOONCAKE.replace("0,", "3000,", 1)), "mooncake")
    assert block.arrival_s.tolist() == [0.0, 3.0]
    assert list(block.traits.prefixes) == [(5, 6), (5, 6)]  # 1100 tokens fill two blocks of 512
    assert block.traits.hash_tokens == 512
    policy = ReadPolicy(hash_tokens=367)
    (other,) = READERS.get("mooncake")(write(MOONCAKE), policy)
    assert list(other.traits.prefixes) == [(5, 6)]
    assert policy.report.tick_s == 3.0


def test_bailian_turns_belong_to_the_conversation_of_their_parent(write):
    parents = {1: -1, 2: 1, 3: 2, 4: -1, 5: 99, 6: 5, 7: 99}  # 99 came before the trace
    lines = [
        json.dumps(BAILIAN | {"chat_id": chat, "parent_chat_id": parent})
        for chat, parent in parents.items()
    ]
    block = read_block(write("\n".join(lines)), "bailian")
    assert block.traits.session.tolist() == [1, 1, 1, 4, 99, 99, 99]
    assert block.traits.prefixes[0] == (1, 2)


def test_failures_in_burstgpt_are_bad_rows(write):
    path = write(BURST + "5,ChatGPT,10,3,13,API log\n6,GPT-4,9,0,9,API log\n7,GPT-4,9,2,11,x\n")
    with pytest.raises(DataError, match=r"line 3: Response tokens is '0'; a request without"):
        read_block(path, "burstgpt")
    policy = ReadPolicy(on_bad_row="skip")
    (block,) = READERS.get("burstgpt")(path, policy)
    assert block.arrival_s.tolist() == [0.0, 2.0]
    assert policy.report.skipped == {"Response tokens is 0": 1}


def test_failures_are_skipped_without_reading_row_by_row(write, monkeypatch):
    """A trace of which a few in a hundred are failures is read about as fast as one without."""
    lines = [f"{second},GPT-4,9,{second % 9},9,x\n" for second in range(100)]
    path = write(BURST + "".join(lines))
    reports, read = [], []
    for slow in (False, True):
        if slow:
            monkeypatch.setattr(blocks.LinePiece, "columns", lambda self: None)
        else:
            monkeypatch.setattr(blocks, "_row_by_row", lambda *_: pytest.fail("row by row"))
        policy = ReadPolicy(on_bad_row="skip")
        read.append(joined(list(READERS.get("burstgpt")(path, policy))))
        reports.append(policy.report)
        monkeypatch.undo()
    assert reports[0] == reports[1]
    assert reports[0].skipped == {"Response tokens is 0": 12}
    assert read[0].arrival_s.tolist() == read[1].arrival_s.tolist()
    assert read[0].output_tokens.tolist() == read[1].output_tokens.tolist()


def test_tasks_are_traffic_classes_by_name(write):
    path = write(OWN + "0,40,1,code,1 2\n1,40,1,chat,\n")
    block = read_block(path, "csv", tasks=("chat", "code"))
    assert block.traits.traffic_class.tolist() == [1, 0]
    assert list(block.traits.prefixes) == [(1, 2), ()]
    with pytest.raises(DataError, match=r"line 2: task 'code' has no class .* mean 'coder'"):
        read_block(path, "csv", tasks=("chat", "coder"))
    policy = ReadPolicy()
    list(READERS.get("csv")(path, policy))
    assert any("not told apart" in note for note in policy.report.notes)


def test_columns_that_are_not_used_are_noted_and_misspelled_ones_refused(write):
    policy = ReadPolicy()
    list(READERS.get("csv")(write("arrival_s,prompt_tokens,output_tokens,city\n0,1,1,x\n"), policy))
    assert policy.report.notes == ["columns of the trace that are not used: 'city'"]
    with pytest.raises(DataError, match="rename 'tenants' to 'tenant'"):
        read_block(write("arrival_s,prompt_tokens,output_tokens,tenants\n0,1,1,x\n"), "csv")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("csv", OWN + "nan,1,1,a,\n", ["line 2", "arrival_s is 'nan'", "from 0 on"]),
        ("csv", OWN + "-1,1,1,a,\n", ["line 2", "'-1'"]),
        ("csv", OWN + "1e999,1,1,a,\n", ["line 2", "'1e999'"]),
        ("csv", OWN + "0,1000000000,1,a,\n", ["line 2", "so many tokens"]),
        ("csv", OWN + "0,NA,1,a,\n", ["line 2", "prompt_tokens is 'NA'"]),
        ("csv", OWN + "2,1,1,a,\n1,1,1,a,\n", ["line 3", "backwards, 1 s", "sort"]),
        ("csv", OWN + "0,32,1,a,1 zwei\n", ["line 2", "prefix_hashes holds 'zwei'"]),
        ("csv", OWN + "0,32,1,a,1 -2\n", ["line 2", "'-2'"]),
        ("csv", OWN + "0,32,1,a,1 2 3\n", ["3 hashes", "2 blocks of 16", "workload.hash_tokens"]),
        ("csv", "arrival_s,tokens\n", ["rename 'tokens' to 'output_tokens'"]),
        ("csv", "", ["empty", "arrival_s,prompt_tokens,output_tokens["]),
        ("burstgpt", BURST.replace("Timestamp", "Time"), ["rename 'Time' to 'Timestamp'"]),
        ("mooncake", MOONCAKE + "[1]\n", ["line 2", "no JSON object"]),
        ("mooncake", MOONCAKE[:-20] + "\n", ["line 1", "not JSON"]),
        ("mooncake", MOONCAKE.replace(" 2,", ' "2",'), ["line 1", "the text '2'"]),
        ("mooncake", MOONCAKE.replace("output_length", "out"), ["no field 'output_length'"]),
        ("mooncake", MOONCAKE.replace("7]", "null]"), ["hash_ids holds null"]),
        ("mooncake", MOONCAKE.replace("7]", "7.5]"), ["hash_ids holds 7.5"]),
        ("mooncake", MOONCAKE.replace("[5, 6, 7]", "5"), ["hash_ids is 5", "list"]),
        ("mooncake", MOONCAKE.replace("1100", "1e9"), ["input_length is 1000000000", "so many"]),
        ("mooncake", MOONCAKE.replace(" 0,", " NaN,"), ["timestamp is nan"]),
        ("mooncake", MOONCAKE * 2 + '{"x":' + "[" * 100_000, ["line 3", "not JSON"]),
        ("mooncake", "a,b\n1,2\n", ["line 1", "'a,b' is no JSON object"]),
        ("bailian", json.dumps(BAILIAN | {"chat_id": "x"}), ["chat_id is 'x'"]),
        ("bailian", json.dumps(BAILIAN | {"parent_chat_id": -2}), ["parent_chat_id is -2"]),
    ],
)  # fmt: skip
def test_bad_rows_are_refused_with_their_line(name, content, words, write):
    with pytest.raises(DataError) as caught:
        read_block(write(content), name)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_bad_rows_are_counted_by_reason_and_reported(write):
    good = [f"{second},50,5,a,1 2\n" for second in range(8)]
    bad = ["nan,5,5,a,\n", "7,1000000000,5,a,\n", "0.5,9,5,a,\n", "8,9,-5,a,\n", "8,9,-6,a,\n"]
    path = write(OWN + "".join([*good, *bad, "9,16,5,a,4\n"]))
    config = WorkloadConfig(kind="trace", format="csv", path=str(path), on_bad_row="skip")
    workload = build_workload(config, 100)
    assert workload.requests == 9
    assert workload.report.skipped == {
        "arrival_s is no time": 1,
        "prompt_tokens above 10,000,000": 1,
        "time runs backwards": 1,
        "output_tokens is negative": 2,
    }
    (line,) = [line for line in workload.assumptions if "negative" in line]
    assert line.startswith("2 bad rows were skipped: output_tokens is negative (first: line 13:")


def test_a_file_that_is_mostly_bad_is_refused(write):
    path = write(OWN + "x,1,1,a,\n" * 3 + "0,1,1,a,\n")
    config = WorkloadConfig(kind="trace", format="csv", path=str(path), on_bad_row="skip")
    with pytest.raises(DataError, match=r"3 bad rows and 1 good ones.*Does workload.format fit"):
        build_workload(config, 100)
    with pytest.raises(DataError, match="no request is left: 3 rows were skipped"):
        read_block(write(OWN + "x,1,1,a,\n" * 3), "csv", on_bad_row="skip")


@pytest.mark.parametrize("name", LINES)
def test_the_format_of_a_file_read_as_another_is_named(name, write):
    _, file, data = LINES[name]
    path = write(data, file)
    assert likely_format(path) == name
    other = "csv" if name == "azure" else "azure"
    with pytest.raises(DataError, match=f"looks like workload.format={name}"):
        build_workload(WorkloadConfig(kind="trace", format=other, path=str(path)), 5)


def test_a_truncated_gzip_is_refused(write):
    whole = gzip.compress(MOONCAKE.encode() * 1000, mtime=0)
    with pytest.raises(DataError, match="cannot be read beyond its first"):
        read_block(write(whole[:-20], "cut.jsonl.gz"), "mooncake", on_bad_row="skip")


def test_a_line_without_end_is_refused_before_it_fills_the_memory(write):
    endless = gzip.compress(b"{" * 20_000_000, 1, mtime=0)
    with pytest.raises(DataError, match="line 1: longer than 8388608 bytes"):
        read_block(write(endless, "endless.gz"), "mooncake")
