"""The circuit breaker of one endpoint. It knows neither HTTP nor what was asked."""

from swarm.llm.protocol import EngineFailure

QUOTA_REST_S = 60.0
"""Seconds for which an endpoint is left alone at the least whose quota is used up: nothing but money mends that."""


class CircuitBreaker:
    """A breaker that opens after `failures` in a row and then admits one request per `rest_s` as a probe.

    A failure counts only if its attempt began after the last success. So the slow requests of a burst, which all time
    out together after the fast ones have succeeded, do not look like an outage. A used-up quota opens it at once.
    """

    def __init__(self, failures: int, rest_s: float) -> None:
        self.failures = failures
        self.rest_s = rest_s
        self.opened = 0
        self.reason: EngineFailure = "circuit_open"
        """What a refused request ends as while the circuit is open."""
        self._in_a_row = 0
        self._last_success = float("-inf")
        self._resting_since: float | None = None

    @property
    def is_open(self) -> bool:
        """Tells whether requests are refused, but for probes."""
        return self._resting_since is not None

    @property
    def is_worth_waiting_for(self) -> bool:
        """Tells whether the endpoint may be back after its rest; money does not come by waiting."""
        return self.reason != "quota"

    def rest_left_s(self, now: float) -> float:
        """Returns the seconds until a probe is admitted; 0 while the circuit is closed."""
        return 0.0 if self._resting_since is None else max(self._resting_since + self._rest_s - now, 0.0)

    def admits(self, now: float) -> bool:
        """Returns whether an attempt may begin; the one that is admitted to an open circuit is the probe."""
        if self._resting_since is None:
            return True
        # While a probe is under way the rest begins anew, so that no second one is admitted beside it.
        if now - self._resting_since < self._rest_s:
            return False
        self._resting_since = now
        return True

    def succeeded(self, now: float) -> None:
        """Closes the circuit: an attempt came back well."""
        self._in_a_row = 0
        self._last_success = now
        self._resting_since = None
        self.reason = "circuit_open"

    def failed(self, begun: float, now: float) -> None:
        """Counts the failure of an attempt that began at `begun`."""
        # A probe that fails leaves the circuit open, whose rest has begun anew with it.
        if self.is_open or begun < self._last_success:
            return
        self._in_a_row += 1
        if self._in_a_row >= self.failures:
            self._open(now, "circuit_open")

    def used_up(self, now: float) -> None:
        """Opens the circuit at once, since the quota is used up."""
        if not self.is_open:
            self._open(now, "quota")

    @property
    def _rest_s(self) -> float:
        return self.rest_s if self.is_worth_waiting_for else max(self.rest_s, QUOTA_REST_S)

    def _open(self, now: float, reason: EngineFailure) -> None:
        self._resting_since = now
        self._in_a_row = 0
        self.reason = reason
        self.opened += 1
