"""`python -m swift` is the command `swift`."""

from __future__ import annotations

import sys

from swift.cli.main import main

sys.exit(main())
