"""Lets tests import `kit`, and shares one oracle, one node and one cluster among them.

The source tree itself stays out of the path: the installed package is tested.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

sys.path.append(str(Path(__file__).parent))

from kit.cluster import running_cluster
from kit.servers import has_postgres, postgres

from phantomdb.client.processes import Cluster, NodeProcess

# The same examples in each run, however long the machine takes over one of them.
hypothesis.settings.register_profile(
    "steady",
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
# Others in each run, to look longer: `--hypothesis-profile roaming`.
hypothesis.settings.register_profile(
    "roaming", hypothesis.settings.get_profile("steady"), derandomize=False
)
hypothesis.settings.load_profile("steady")


@pytest.fixture(scope="session")
def oracle() -> Iterator[int]:
    """Run PostgreSQL 15; gives its port."""
    if not has_postgres():
        pytest.skip("needs PostgreSQL 15 and root")
    with postgres() as port:
        yield port


@pytest.fixture(scope="session")
def shared_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """Run a cluster of one for all tests that do it no harm."""
    with running_cluster(tmp_path_factory.mktemp("one"), nodes=1) as cluster:
        yield cluster.nodes[0]


@pytest.fixture
def node(shared_node: NodeProcess) -> Iterator[NodeProcess]:
    """Give the shared node; it must be alive before and after."""
    assert shared_node.is_running, f"an earlier test ended it:\n{shared_node.log_tail()}"
    yield shared_node
    assert shared_node.is_running, f"this test ended it:\n{shared_node.log_tail()}"


@pytest.fixture(scope="session")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Run three nodes for all tests that do them no harm."""
    with running_cluster(tmp_path_factory.mktemp("three"), nodes=3) as cluster:
        yield cluster
