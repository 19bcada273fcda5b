"""Reading trace files in tests."""

import gzip
import io
import json
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from simulator.workload.readers import READERS, ReadPolicy
from simulator.workload.recorded import TraceRow
from simulator.workload.transforms import joined


def read_block(path, format_name, **policy):
    """All requests of a file as one block."""
    return joined(list(READERS.get(format_name)(path, ReadPolicy(**policy))))


def read_rows(path, format_name="azure", **policy):
    """All requests of a file as rows, checked for what every reader promises."""
    block = read_block(path, format_name, **policy)
    assert block.prompt_tokens.dtype == block.output_tokens.dtype == np.int64
    assert np.all(np.diff(block.arrival_s) >= 0)
    assert np.isfinite(block.arrival_s).all()
    columns = (block.arrival_s, block.prompt_tokens, block.output_tokens)
    return list(map(TraceRow, *(column.tolist() for column in columns)))


def samples(rows=24):
    """A small well-formed file of each format: settings that read it, file name, bytes."""
    lines = [(i, 0.25 * i, 20 + 7 * i, 1 + i % 5) for i in range(rows)]
    azure = _azure(lines)
    session = json.dumps(agentic_session(rows)).encode()
    return [
        ({"format": "azure"}, "azure.csv", azure),
        ({"format": "azure"}, "azure.csv.gz", gzip.compress(azure, mtime=0)),
        ({"format": "burstgpt"}, "burst.csv", _burstgpt(lines)),
        ({"format": "csv"}, "own.csv", _generic(lines)),
        ({"format": "mooncake"}, "mooncake.jsonl", _mooncake(lines)),
        ({"format": "bailian"}, "bailian.jsonl", _bailian(lines)),
        ({"format": "agentic", "concurrency": 2}, "session.json", session),
        ({"format": "parquet"}, "own.parquet", _own_parquet(lines)),
        ({"format": "requests"}, "requests.parquet", _run_parquet(lines)),
        ({"kind": "servegen"}, "raw.tar.gz", servegen_archive()),
    ]


def _azure(lines):
    rows = [f"2023-11-16 18:15:{s:010.7f},{p},{o}" for _, s, p, o in lines]
    return _text(["TIMESTAMP,ContextTokens,GeneratedTokens", *rows])


def _burstgpt(lines):
    header = (
        "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,"
        "Log Type"
    )
    rows = [f"{s},{i % 7},0.5,ChatGPT,{p},{o},{p + o},API log" for i, s, p, o in lines]
    return _text([header, *rows])


def _generic(lines):
    rows = [
        f"{s},{p},{o},acme{i % 3},chat,s{i % 4},{' '.join(map(str, range(p // 16)))}"
        for i, s, p, o in lines
    ]
    header = "arrival_s,prompt_tokens,output_tokens,tenant,task,session,prefix_hashes"
    return _text([header, *rows])


def _mooncake(lines):
    rows = [
        {
            "timestamp": i // 3 * 3000,
            "input_length": p * 16,
            "output_length": o,
            "hash_ids": list(range(-(-p * 16 // 512))),
        }
        for i, _, p, o in lines
    ]
    return _text(map(json.dumps, rows))


def _bailian(lines):
    rows = [
        {
            "chat_id": i,
            "parent_chat_id": i - 3 if i >= 3 else -1,
            "timestamp": s,
            "input_length": p,
            "output_length": o,
            "type": "text",
            "turn": 1 + i // 3,
            "hash_ids": list(range(-(-p // 16))),
        }
        for i, s, p, o in lines
    ]
    return _text(map(json.dumps, rows))


def _text(lines):
    return "".join(f"{line}\n" for line in lines).encode()


def _times_and_lengths(lines):
    _, seconds, prompts, outputs = map(list, zip(*lines, strict=True))
    return {"arrival_s": seconds, "prompt_tokens": prompts, "output_tokens": outputs}


def _own_parquet(lines):
    hashes = [list(range(p // 16)) for _, _, p, _ in lines]
    lists = {"prefix_hashes": hashes, "session": [3] * len(lines)}
    return parquet(_times_and_lengths(lines) | lists)


def _run_parquet(lines):
    rows = len(lines)
    run = {
        "arm": ["baseline"] * rows,
        "replication": [0] * rows,
        "request_id": list(range(rows)),
        **_times_and_lengths(lines),
        "traffic_class": [0] * rows,
        "tenant": [i % 3 for i in range(rows)],
    }
    return parquet(run)


def parquet(columns):
    """A Parquet file of these columns, as bytes."""
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def agentic_session(rows=6):
    """A session with a subagent that its fourth request waits for."""

    def call(t, prompt, **others):
        hashes = list(range(1, 1 + prompt // 64))
        return {"t": t, "type": "n", "in": prompt, "out": 5, "hash_ids": hashes, **others}

    requests = [call(10.0 * i, 640 + 64 * i, api_time=4.0, think_time=6.0) for i in range(rows)]
    inner = [call(25.0 + i, 64, api_time=0.5, think_time=0.5) for i in range(2)]
    requests.insert(3, {"t": 25.0, "type": "subagent", "requests": inner})
    return {"id": "one", "block_size": 64, "requests": requests}


def servegen_archive(clients=2, windows=4):
    """A tar.gz of clients with a rate in every second window; the same bytes at any time of day."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for client in range(clients):
            lines = "".join(
                f"{600 * w},{0.05 * (w % 2)},1.0,{('Gamma', 'Weibull')[client % 2]},0.8,2.0\n"
                for w in range(windows)
            )
            lengths = {"input_tokens": "{4: 0.25, 90: 0.75}", "output_tokens": "{7: 1.0}"}
            empty = {"input_tokens": "{}", "output_tokens": "{}"}
            data = json.dumps({"0": lengths, "1200": empty})
            for name, text in (("trace.csv", lines), ("dataset.json", data)):
                member = tarfile.TarInfo(f"data/chunk-{client}-{name}")
                member.size = len(text)
                archive.addfile(member, io.BytesIO(text.encode()))
    return gzip.compress(sink.getvalue(), mtime=0)
