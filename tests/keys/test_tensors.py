"""torch: tensors by their numbers, modules by their state."""

import copy
import pickle

import pytest

from cachestore.errors import KeyingError
from cachestore.keys import digest, encode

torch = pytest.importorskip("torch")


def test_all_differ():
    tensor = torch.arange(6.0).reshape(2, 3)
    values = [
        tensor, tensor + 1, tensor.T, tensor.reshape(3, 2), tensor.double(), tensor.bfloat16(), tensor.int(),
        tensor > 1, tensor.clone().requires_grad_(), torch.nn.Parameter(tensor), tensor.numpy(), tensor.tolist(),
        torch.tensor(1.0), torch.tensor([1.0]), torch.zeros(0, 3), torch.zeros(3, 0), tensor.to(torch.complex64),
        tensor.shape, (2, 3), torch.float32, torch.float64, torch.device("cpu"), torch.tensor(-0.0), torch.tensor(0.0),
    ]  # fmt: skip
    assert len(set(map(digest, values))) == len(values)


def test_how_a_tensor_lies_in_memory_does_not_count():
    tensor = torch.arange(6.0).reshape(2, 3)
    assert digest(tensor) == digest(tensor.T.contiguous().T) == digest(torch.arange(12.0)[:6].reshape(2, 3))
    assert digest(tensor) == digest(copy.deepcopy(tensor)) == digest(pickle.loads(pickle.dumps(tensor)))
    assert digest(torch.tensor([1 + 2j]).conj()) == digest(torch.tensor([1 - 2j]))
    assert digest(torch.ones(3).expand(2, 3)) == digest(torch.ones(2, 3))


def test_modules_and_generators():
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU())
    assert digest(model) == digest(copy.deepcopy(model)) == digest(pickle.loads(pickle.dumps(model)))
    other = copy.deepcopy(model)
    with torch.no_grad():
        other[0].weight[0, 0] += 1
    assert digest(other) != digest(model) != digest(copy.deepcopy(model).eval())
    assert set(encode(model)[1]) == {"package:torch"}
    one, two = torch.Generator().manual_seed(1), torch.Generator().manual_seed(1)
    assert digest(one) == digest(two) != digest(torch.Generator().manual_seed(2))
    torch.rand(1, generator=one)
    assert digest(one) != digest(two)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: torch.eye(2).to_sparse(), "sparse or nested"),
        (lambda: torch.eye(2).to_sparse_csr(), "sparse or nested"),
        (lambda: torch.nested.nested_tensor([torch.ones(1), torch.ones(2)]), "sparse or nested"),
        (lambda: torch.quantize_per_tensor(torch.eye(2), 0.1, 0, torch.qint8), "quantised"),
        (lambda: torch.ones(2, device="meta"), "'meta'"),
    ],
)
def test_what_has_no_plain_numbers_is_refused(make, reason):
    with pytest.raises(KeyingError, match=rf"argument 't' -> <Tensor>: it is .*{reason}"):
        digest(make(), name="argument 't'")
