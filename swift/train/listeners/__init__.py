"""Listeners: what a run writes, shows and sends while it trains. Each is a callable that takes an event.

A plugin adds a listener in one of two ways:

    @listeners.register("mine")             # a plain function, called with every event of every run
    def mine(event): ...

    @trackers.register("my_tracker")        # made anew for each run that asks for it with --report_to my_tracker
    def my_tracker(): return MyTracker()
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from swift.registry import Registry
from swift.train.events import Listener

Tracker = Callable[[], Listener]
"""Makes a listener; the run folder and everything else comes with its first event, `RunStarted`."""

listeners: Registry[Listener] = Registry("listener")
trackers: Registry[Tracker] = Registry("tracker", {"tensorboard": "swift.train.listeners.tensorboard:TensorBoard"})


def plugin_listeners() -> list[Listener]:
    """Every registered listener, by name."""
    return [listeners.get(name) for name in listeners]


def make_trackers(names: Sequence[str]) -> list[Listener]:
    """The trackers that `--report_to` names; the name `none` stands for nothing.

    Raises:
        UnknownNameError: There is no such tracker.
        MissingExtraError: Its library is not installed.
    """
    return [trackers.get(name)() for name in names if name != "none"]
