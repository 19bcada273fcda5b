"""Training of expert predictors, and what they are worth when traffic changes."""
