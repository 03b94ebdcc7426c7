import pytest
from sklearn.cluster.tests.test_optics import *  # noqa: F403

pytestmark = pytest.mark.usefixtures("everywhere")
