"""From the name of a model or data set to files on this machine."""

from swift.hub.datasets import locate_dataset
from swift.hub.locate import locate
from swift.hub.located import Located

__all__ = ["Located", "locate", "locate_dataset"]
