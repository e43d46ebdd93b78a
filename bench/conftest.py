"""Lets suites import the tests' kit and their own: nodes and servers are run the same way."""

import sys
from pathlib import Path

HERE = Path(__file__).parent

# Two folders have the name `kit`, and are one package.
sys.path += [str(HERE.parent / "tests"), str(HERE)]
