"""The tests of scikit-learn that say `memory=` themselves."""

import pytest
from sklearn.cluster.tests.test_hierarchical import test_agglomerative_clustering
from sklearn.tests.test_pipeline import (
    test_make_pipeline_memory,
    test_pipeline_memory,
    test_pipeline_memory_callbacks_second_fit_same_pipeline,
)
from sklearn.utils.tests.test_validation import test_check_memory

__all__ = [
    "test_agglomerative_clustering",
    "test_check_memory",
    "test_make_pipeline_memory",
    "test_pipeline_memory",
    "test_pipeline_memory_callbacks_second_fit_same_pipeline",
]

pytestmark = pytest.mark.usefixtures("named")
