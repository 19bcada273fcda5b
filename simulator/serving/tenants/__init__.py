"""Tenants of a classifier endpoint beside LLM replicas: users, and attackers in closed loop.

The endpoint (`endpoint.Server`) is a server of its own, not a replica: a classifier has no
decoding, no KV cache and no drafts. It serves batches in the SimPy environment of the cluster, and
its queries are requests that carry a picture (`query.Query`), so that the routers of clusters
choose among servers. A real model answers when a batch has been served (`defended.Defended`). Where
the endpoint shares GPUs with LLM replicas, both go on at their share while both compute
(`shared_gpu.SharedGpu`); a replica needs no more for that than something that waits its steps out.

Attacks know nothing of time (`attacks`), nor do sessions of attacks (`session.Session`). Attackers
(`attacker`) put them into closed loops, one process a tenant; users (`users`) come by themselves.
`tenancy.Tenancy` wires it all.
"""
