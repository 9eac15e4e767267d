"""`python -m monitor` is `looptop`."""

import sys

from monitor.cli import main

sys.exit(main())
