"""Draft length as control of a partially observed system whose model is learned.

The method is that of Russo, Metelli and Restelli, "Spectral Learning for Infinite-Horizon
Average-Reward POMDPs", NeurIPS 2025, with two corrections: policies act on the predictive belief
(`pomdp`), and states are aligned to the most visited action instead of the truth (`alignment`).
"""
