import pytest
from sklearn.cluster.tests.test_feature_agglomeration import *  # noqa: F403

pytestmark = pytest.mark.usefixtures("everywhere")
