import pytest
from sklearn.cluster.tests.test_hierarchical import *  # noqa: F403

pytestmark = pytest.mark.usefixtures("everywhere")
