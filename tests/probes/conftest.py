"""Makes the helpers of one folder importable from the others: tests import them by their bare names."""

import sys
from pathlib import Path

# At the end of the path, so that a folder named like a package of the program hides nothing.
sys.path += [str(folder) for folder in sorted(Path(__file__).parent.iterdir()) if folder.is_dir()]
