"""What arms and recipes of a study of prefetchers are called."""

from __future__ import annotations

from simulator.study.prefetch.served import RESIDENT, SWITCHED
from simulator.study.prefetch.shift import ON_DEMAND, ORACLE

NAMES = {
    ON_DEMAND: "on demand",
    ORACLE: "oracle",
    RESIDENT: "all resident",
    SWITCHED: "with switch",
    "ce": "CE",
    "ce_bank": "CE + bank",
    "ce_auc": "CE + AUC",
    "ce_auc_bank": "CE + AUC + bank",
    "ce_weighted": "class-weighted CE",
    "ce_stratified": "CE, stratified",
    "ce_adjusted": "CE, adjusted",
}
"""By arm, or recipe."""

SHORT = {
    RESIDENT: "resident",
    SWITCHED: "switched",
    "ce_bank": "bank",
    "ce_auc": "AUC",
    "ce_auc_bank": "AUC+bank",
    "ce_weighted": "weighted",
    "ce_stratified": "stratified",
    "ce_adjusted": "adjusted",
}
"""At the head of narrow columns, where these are other names."""


def short(name: str) -> str:
    """Return the name of an arm at the head of a column."""
    return SHORT.get(name, NAMES[name])
