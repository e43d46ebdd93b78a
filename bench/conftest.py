"""Lets suites import the tests' kit: nodes and servers are run the same way."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "tests"))
