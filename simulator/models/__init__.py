"""Models: transformer and mixture-of-experts architectures as data, drafters, and what follows.

`architecture` says what a model is, `catalog` loads the shipped ones, `parameters` counts weights
and cache bytes, `forward` lists the operators of a pass, `flops` their work, `drafters` describes
what proposes tokens.
"""
