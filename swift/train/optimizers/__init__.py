"""Optimizers by name: torch's own, those of libraries, and ours. A plugin registers one more."""

from swift.train.optimizers.choose import Choice, choose
from swift.train.optimizers.registry import optimizers
from swift.train.optimizers.spec import Groups, Spec

__all__ = ["Choice", "Groups", "Spec", "choose", "optimizers"]
