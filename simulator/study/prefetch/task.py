"""What a study of prefetchers is asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from simulator.errors import ConfigError
from simulator.study.prefetch.crossover import check_batches
from simulator.study.prefetch.question import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is studied.

    Parameters
    ----------
    question
        Training and replay; of the shape of the model, if there is one.
    model
        Served in the event simulator; None: nothing is.
    hand_over
        Recipe whose predictor is given a switch and handed over; one of the question's.
    trace, shifted
        Files of routes of the model before and after the change; None: drawn.
    hardware, link_bytes_per_s
        GPU that serves, and its host link; None: the GPU's own.
    batches, replications
        Of what is served.
    canvases
        Whether pixels are labelled too.
    workers
        Processes.
    """

    question: Question
    model: str | None = None
    hand_over: str = "ce_auc_bank"
    trace: Path | None = None
    shifted: Path | None = None
    hardware: str = "gb200"
    link_bytes_per_s: float | None = None
    batches: tuple[int, ...] = (1, 2, 4, 8, 16)
    replications: int = 4
    canvases: bool = False
    workers: int = 1

    def __post_init__(self) -> None:
        check_batches(self.batches)
        if self.model is not None and self.hand_over not in self.question.recipes:
            raise ConfigError(
                f"hand_over={self.hand_over} is not trained: recipes="
                f"{','.join(self.question.recipes)}. Add it there, or hand over one of these."
            )
