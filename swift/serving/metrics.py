"""What the server counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_STATES = ("loading", "ready", "down", "failed", "stopped")


class Metrics:
    """Counters, gauges and histograms of one server, in a registry of their own.

    Attributes:
        requests: Finished requests, by route and status.
        seconds: How long they took, by route.
        first_token: Seconds until the first piece of a stream.
        prompt_tokens: Tokens of prompts.
        cached_tokens: Those of them that did not have to be computed.
        completion_tokens: Tokens of answers.
        running: Answers that are worked on.
        waiting: Answers that wait.
        cancelled: Requests whose client left.
        restarts: How often the engine's process was started again.
        engine: 1 for the state that the engine is in.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        made = self._registry
        routes = ("route", "status")
        self.requests = Counter("swift_requests", "Finished requests.", routes, registry=made)
        self.seconds = Histogram("swift_request_seconds", "Their time.", ("route",), buckets=_SECONDS, registry=made)
        self.first_token = Histogram(
            "swift_first_token_seconds", "Time to first piece.", buckets=_SECONDS, registry=made
        )
        self.prompt_tokens = Counter("swift_prompt_tokens", "Tokens of prompts.", registry=made)
        self.cached_tokens = Counter("swift_cached_prompt_tokens", "Those that were not computed anew.", registry=made)
        self.completion_tokens = Counter("swift_completion_tokens", "Tokens of answers.", registry=made)
        self.running = Gauge("swift_running", "Answers that are worked on.", registry=made)
        self.waiting = Gauge("swift_waiting", "Answers that wait.", registry=made)
        self.cancelled = Counter("swift_cancelled_requests", "Requests whose client left.", registry=made)
        self.restarts = Counter("swift_engine_restarts", "Starts of the engine after the first.", registry=made)
        self.engine = Gauge("swift_engine_state", "1 for the engine's state.", ("state",), registry=made)

    def told(self, state: str) -> None:
        """Note the engine's state."""
        for name in _STATES:
            self.engine.labels(name).set(int(name == state))

    def text(self) -> bytes:
        """All of it in Prometheus' text form."""
        return generate_latest(self._registry)
