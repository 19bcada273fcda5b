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
