"""Columns of the tables of a study, with their units."""

from __future__ import annotations

import pyarrow as pa

from simulator.trace.schema import Column

_FLOAT, _INT, _BOOL, _TEXT = pa.float64(), pa.int64(), pa.bool_(), pa.string()

_OF_CASE = (
    Column("defence", _TEXT, "name", "model that answers: none, rnd, rnd_gf, rnd_at"),
    Column("nu", _FLOAT, "pixel range", "standard deviation of the noise"),
    Column("rate_limit_per_s", _FLOAT, "1/s", "queries that a tenant may send; inf for no limit"),
    Column("quota", _INT, "queries", "queries that a tenant may send in all", nullable=True),
    Column("attacked", _BOOL, "1", "whether there are attackers"),
    Column("replication", _INT, "index", "repetition, whose draws all cases share"),
)

SESSIONS = pa.schema(
    [
        column.field()
        for column in (
            *_OF_CASE,
            Column("tenant", _INT, "index", "attacker"),
            Column("session", _INT, "index", "number of the session, of an attacker"),
            Column("picture", _INT, "index", "row of the held-out pictures that is attacked"),
            Column("started_s", _FLOAT, "s", "when the first query is sent"),
            Column("ended_s", _FLOAT, "s", "when the last reply has come"),
            Column("wall_s", _FLOAT, "s", "from the one to the other"),
            Column("outcome", _TEXT, "name", "hit, budget, horizon (cut off by the run) or quota"),
            Column("queries", _INT, "queries", "replies to whole steps"),
            Column("refused", _INT, "queries", "turned away by a limit, each sent again"),
            Column("first_hit_queries", _INT, "queries", "up to the first hit; 0 for none"),
            Column("success_first", _BOOL, "1", "a candidate was misclassified once"),
            Column("success_believed", _BOOL, "1", "the attacker's rule to stop said so"),
            Column("success_majority", _BOOL, "1", "most fresh replies to the last are wrong"),
            Column("distortion", _FLOAT, "pixel range", "of the last candidate, in the norm"),
            Column("gpu_s", _FLOAT, "s", "GPU time that its queries took, as if alone"),
        )
    ]
)
"""A row a session (`serving.tenants.attacker.SessionRow`)."""

TENANTS = pa.schema(
    [
        column.field()
        for column in (
            *_OF_CASE,
            Column("tenant", _INT, "index", "attackers first"),
            Column("attacks", _BOOL, "1", "whether it is an attacker"),
            Column("queries", _INT, "queries", "served"),
            Column("queries_per_s", _FLOAT, "1/s", "of the whole run"),
            Column("refused", _INT, "queries", "turned away by a limit"),
            Column("gpu_s", _FLOAT, "s", "GPU time that its queries took, as if alone"),
        )
    ]
)
"""A row a tenant (`serving.tenants.tenancy.TenantRow`)."""
