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
    seconds = [0.25 * i for i in range(rows)]
    lengths = [(20 + 7 * i, 1 + i % 5) for i in range(rows)]
    azure = "".join(
        f"2023-11-16 18:15:{s:010.7f},{p},{o}\n" for s, (p, o) in zip(seconds, lengths, strict=True)
    )
    burst = "".join(
        f"{s},{i % 7},0.5,ChatGPT,{p},{o},{p + o},API log\n"
        for i, (s, (p, o)) in enumerate(zip(seconds, lengths, strict=True))
    )
    own = "".join(
        f"{s},{p},{o},acme{i % 3},chat,s{i % 4},{' '.join(map(str, range(p // 16)))}\n"
        for i, (s, (p, o)) in enumerate(zip(seconds, lengths, strict=True))
    )
    mooncake = "".join(
        json.dumps(
            {
                "timestamp": i // 3 * 3000,
                "input_length": p * 16,
                "output_length": o,
                "hash_ids": list(range(-(-p * 16 // 512))),
            }
        )
        + "\n"
        for i, (p, o) in enumerate(lengths)
    )
    bailian = "".join(
        json.dumps(
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
        )
        + "\n"
        for i, (s, (p, o)) in enumerate(zip(seconds, lengths, strict=True))
    )
    columns = {
        "arrival_s": seconds,
        "prompt_tokens": [p for p, _ in lengths],
        "output_tokens": [o for _, o in lengths],
    }
    run = {
        "arm": ["baseline"] * rows,
        "replication": [0] * rows,
        "request_id": list(range(rows)),
        **columns,
        "traffic_class": [0] * rows,
        "tenant": [i % 3 for i in range(rows)],
    }
    lists = {"prefix_hashes": [list(range(p // 16)) for p, _ in lengths], "session": [3] * rows}
    header = (
        "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,"
        "Log Type\n"
    )
    own_header = "arrival_s,prompt_tokens,output_tokens,tenant,task,session,prefix_hashes\n"
    azure = b"TIMESTAMP,ContextTokens,GeneratedTokens\n" + azure.encode()
    session = json.dumps(agentic_session(rows)).encode()
    return [
        ({"format": "azure"}, "azure.csv", azure),
        ({"format": "azure"}, "azure.csv.gz", gzip.compress(azure, mtime=0)),
        ({"format": "burstgpt"}, "burst.csv", (header + burst).encode()),
        ({"format": "csv"}, "own.csv", (own_header + own).encode()),
        ({"format": "mooncake"}, "mooncake.jsonl", mooncake.encode()),
        ({"format": "bailian"}, "bailian.jsonl", bailian.encode()),
        ({"format": "agentic", "concurrency": 2}, "session.json", session),
        ({"format": "parquet"}, "own.parquet", parquet({**columns, **lists})),
        ({"format": "requests"}, "requests.parquet", parquet(run)),
        ({"kind": "servegen"}, "raw.tar.gz", servegen_archive()),
    ]


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
    """A tar.gz of clients with a rate in every second window."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w:gz") as archive:
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
    return sink.getvalue()
