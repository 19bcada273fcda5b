"""Capacity plans: the cheapest deployments that hold the objectives at a target load.

`question` says what is asked and `result` what is answered; `search` finds the answer:
deployments that fit (`space`), an optimistic bound of what each can serve (`bounds`), paired
simulation of those that could still be cheaper (`cheapest`), the rate that the best of each kind of
GPU holds (`rates`), and a confirmation with fresh seeds (`confirm`).
"""
