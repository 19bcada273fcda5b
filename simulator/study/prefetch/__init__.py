"""Training of expert predictors for offloaded models, and what they are worth when traffic changes."""
