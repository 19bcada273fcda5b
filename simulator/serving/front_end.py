"""What lies between a client and the scheduler's queue: HTTP, tokenizer, messages."""

from __future__ import annotations


class FrontEnd:
    """A server that takes one request at a time, and a delay behind it.

    Requests that arrive together reach the queue one after another, so that closed loops of equal
    requests fall out of step, as they do on real servers.

    Parameters
    ----------
    request_s
        Time that it spends on a request, one after another, s.
    delay_s
        What follows for each request by itself, s.

    Examples
    --------
    >>> front_end = FrontEnd(0.25, 1.0)
    >>> front_end.queued_s(2.0), front_end.queued_s(2.0), front_end.queued_s(9.0)
    (3.25, 3.5, 10.25)
    """

    def __init__(self, request_s: float, delay_s: float) -> None:
        self._request_s = request_s
        self._delay_s = delay_s
        self._free_s = 0.0

    @property
    def instant(self) -> bool:
        """Whether requests pass in no time."""
        return self._request_s + self._delay_s == 0.0

    def queued_s(self, arrival_s: float) -> float:
        """Return when a request reaches the queue; arrivals never run back."""
        self._free_s = max(arrival_s, self._free_s) + self._request_s
        return self._free_s + self._delay_s
