"""A server as a process of its own: `python -m tests.serving.launch CONFIG LOADER`."""

from __future__ import annotations

import json
import sys

from swift.cli.launch import prepared
from swift.config.serve import ServeConfig
from swift.serving.run import serve

if __name__ == "__main__":
    with prepared("deploy"):
        sys.exit(serve(ServeConfig.model_validate(json.loads(sys.argv[1])), loader=sys.argv[2]))
