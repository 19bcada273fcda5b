"""What no command of an engine says: how many servers there are, where, and who feeds them."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.serving.cluster_config import MIXED
from simulator.study.plan.exports.servers import Server


def remarks(servers: Sequence[Server]) -> list[str]:
    """Say how many servers to start on which GPUs, and what stands in front of them.

    Examples
    --------
    >>> from simulator.compose import compose
    >>> from simulator.study.plan.exports.servers import servers
    >>> words = ["hardware.replicas=3", "hardware.tensor_parallel=2"]
    >>> for line in remarks(servers(compose(words))):
    ...     print(line)
    Start 3 servers alike, each on 2 x NVIDIA H100 SXM 80 GB.
    A router in front of them sends each request as least_outstanding does.
    """
    lines = [_count(server) for server in servers]
    lines += [line for server in servers if (line := _nodes(server))]
    split = any(server.role != MIXED for server in servers)
    if split:
        lines.append(
            "A proxy in front of them sends each request to a prefill server, then to a decode "
            "server. Run each command where its GPUs are, with hosts and ports that the others see."
        )
    elif sum(server.replicas for server in servers) > 1:
        router = servers[0].config.scheduler.router
        lines.append(f"A router in front of them sends each request as {router} does.")
    return lines


def _count(server: Server) -> str:
    role = "" if server.role == MIXED else f"{server.role} "
    where = f"on {server.gpus} x {server.gpu.title}"
    if server.replicas == 1:
        return f"Start one {role}server {where}."
    return f"Start {server.replicas} {role}servers alike, each {where}."


def _nodes(server: Server) -> str:
    """Say that a server reaches beyond a node, which takes options that name hosts."""
    inside = server.gpu.node_gpus
    if server.gpus <= inside:
        return ""
    return (
        f"A server spans {-(-server.gpus // inside)} nodes of {inside} GPUs: add the options of "
        "your cluster that name the head node and the rank of each."
    )


def simulated_as(server: Server, engine: str, title: str) -> list[str]:
    """Say that a deployment was simulated under another engine than the one it is started with.

    Parameters
    ----------
    server
        One of its servers.
    engine, title
        How the engine's profiles begin, and its name as people write it.
    """
    profile = server.config.hardware.engine
    if profile.startswith(engine):
        return []
    return [
        f"Simulated as hardware.engine={profile}: {title} has overheads and a scheduler of its "
        f"own. Plan with hardware.engine={engine} before you rely on it."
    ]
