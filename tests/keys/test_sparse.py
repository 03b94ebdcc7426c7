"""scipy's sparse matrices: canonical, whatever the order of their entries."""

import numpy as np
import pytest
from scipy import sparse

from cachestore.keys import digest

FORMATS = ["csr", "csc", "coo", "bsr", "dok", "lil", "dia"]


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format(kind):
    matrix = sparse.random_array((6, 5), density=0.4, format=kind, rng=np.random.default_rng(0))
    assert digest(matrix) == digest(matrix.copy())
    assert digest(matrix) != digest(matrix * 2)
    assert digest(matrix) != digest(matrix.T)


def test_formats_differ():
    matrix = sparse.csr_array(np.eye(3))
    made = [matrix.asformat(kind) for kind in FORMATS] + [sparse.csr_matrix(np.eye(3)), np.eye(3)]
    assert len(set(map(digest, made))) == len(made)


def test_order_duplicates_and_widths_do_not_matter():
    one = sparse.csr_array(([1.0, 2.0, 3.0], ([0, 0, 1], [1, 0, 2])), shape=(2, 3))
    two = sparse.csr_array(([3.0, 2.0, 0.5, 0.5], ([1, 0, 0, 0], [2, 0, 1, 1])), shape=(2, 3))
    three = sparse.coo_array(([3.0, 2.0, 0.5, 0.5], ([1, 0, 0, 0], [2, 0, 1, 1])), shape=(2, 3))
    assert digest(three) == digest(sparse.coo_array(one))
    two.indices, two.indptr = two.indices.astype(np.int64), two.indptr.astype(np.int64)
    assert digest(one) == digest(two)


def test_stored_zeros_count():
    # `==` does not see them, but scipy's graphs do: there a stored zero is an edge.
    one = sparse.csr_array(np.array([[1.0, 0.0], [0.0, 2.0]]))
    other = sparse.csr_array(([1.0, 0.0, 2.0], ([0, 0, 1], [0, 1, 1])), shape=(2, 2))
    assert (one != other).nnz == 0
    assert sparse.csgraph.connected_components(one)[0] != sparse.csgraph.connected_components(other)[0]
    assert digest(one) != digest(other)
    other.eliminate_zeros()
    assert digest(one) == digest(other)


class Links(sparse.csr_matrix):
    pass


class Weights(sparse.csr_matrix):
    pass


def test_subclasses_count_with_their_attributes():
    noted = Links(np.eye(2))
    noted.source = "web"
    matrices = [Links(np.eye(2)), Weights(np.eye(2)), noted, sparse.csr_matrix(np.eye(2))]
    assert len(set(map(digest, matrices))) == len(matrices)
    # What scipy found out of the order of the entries is no attribute.
    unsorted = Links(([2.0, 1.0], [1, 0], [0, 2, 2]), shape=(2, 2))
    assert digest(unsorted) == digest(Links(unsorted.sorted_indices())) != digest(matrices[0])
