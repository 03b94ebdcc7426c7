import pytest
from sklearn.tests.test_pipeline import *  # noqa: F403

pytestmark = pytest.mark.usefixtures("everywhere")
