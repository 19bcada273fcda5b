import pyarrow as pa
import pytest

from simulator.trace.definitions import DEFINITIONS
from simulator.trace.schema import ARMS, CONSTANTS, TABLES, row_columns, versions, with_notes


@pytest.mark.parametrize("table", TABLES)
def test_every_column_states_its_unit_and_meaning(table):
    for field in TABLES[table]:
        assert field.metadata[b"unit"].strip()
        assert field.metadata[b"description"].endswith(b".")


@pytest.mark.parametrize("table", TABLES)
def test_units_agree_with_the_names(table):
    for field in TABLES[table]:
        unit = field.metadata[b"unit"].decode()
        assert (unit == "s") == field.name.endswith("_s")
        if field.name.endswith(("_tokens", "_requests", "_experts")):
            assert unit == field.name.rsplit("_", 1)[-1]


def test_columns_of_the_requests_are_those_agreed_with_the_engine():
    assert TABLES["requests"].names == [
        "arm",
        "replication",
        "request_id",
        "traffic_class",
        "tenant",
        "outcome",
        "replica",
        "prefill_replica",
        "arrival_s",
        "admitted_s",
        "first_token_s",
        "finish_s",
        "left_s",
        "prompt_tokens",
        "cached_tokens",
        "output_tokens",
        "emitted_tokens",
        "rounds",
        "accepted_draft_tokens",
        "preemptions",
        "recomputed_tokens",
        "retries",
    ]


def test_columns_of_the_iterations_are_those_agreed_with_the_engine():
    assert row_columns(TABLES["iterations"]) == [
        "replica",
        "iteration",
        "start_s",
        "duration_s",
        "decode_requests",
        "query_tokens",
        "prefill_tokens",
        "emitted_tokens",
        "context_tokens",
        "waiting_requests",
        "active_experts",
        "kv_usage",
    ]


@pytest.mark.parametrize("table", TABLES)
def test_constants_come_first_and_only_they_are_not_in_the_rows(table):
    schema = TABLES[table]
    assert tuple(schema.names[: len(CONSTANTS)]) == CONSTANTS
    assert [*CONSTANTS, *row_columns(schema)] == schema.names
    assert pa.types.is_dictionary(schema.field("arm").type)


def test_the_latencies_are_defined_in_the_file_metadata():
    notes = TABLES["requests"].metadata
    assert notes[b"moesim.ttft_s"] == b"first_token_s - arrival_s"
    assert b"undefined for one output token" in notes[b"moesim.tpot_s"]
    assert notes[b"moesim.e2e_s"] == b"finish_s - arrival_s"


def test_the_files_define_every_figure_that_stands_on_them():
    stated = {key for table in TABLES.values() for key in table.metadata}
    assert {f"moesim.{name}".encode() for name in DEFINITIONS} <= stated
    attainment = TABLES["requests"].metadata[b"moesim.attainment"].decode()
    assert "rejected, timed out, cancelled and failed ones count as missed" in attainment


def test_notes_are_prefixed_and_do_not_touch_the_shared_schema():
    schema = with_notes(TABLES["requests"], {"config": "{}"})
    assert schema.metadata[b"moesim.config"] == b"{}"
    assert b"moesim.config" not in TABLES["requests"].metadata


def test_versions_name_everything_that_decides_numbers():
    found = versions()
    assert set(found) == {"moesim", "python", "numpy", "pyarrow", "simpy"}
    assert found["pyarrow"] == pa.__version__


def test_a_package_that_is_not_installed_has_an_unknown_version(monkeypatch):
    from importlib import metadata

    from simulator.trace import schema

    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(schema, "version", missing)
    assert versions()["moesim"] == "unknown"


def test_the_arms_are_two():
    assert ARMS == ("baseline", "speculative")
