"""torch tensors and generators: by their numbers, their dtype and the kind of device they are on."""

from __future__ import annotations

from typing import Any

from cachestore.keys.arrays import encode_array
from cachestore.keys.beside import beside
from cachestore.keys.encoding import record, text
from cachestore.keys.functions import encode_class
from cachestore.keys.packages import package_of
from cachestore.keys.walk import Encoder, Refusal, Walk


def find_encoder(cls: type) -> Encoder | None:
    """Return the rule for a type of torch, if it is one."""
    torch = package_of(cls, "torch")
    if torch is None or not hasattr(torch, "Tensor"):
        return None
    rules: tuple[tuple[Any, Encoder], ...] = ((torch.Tensor, _tensor), (torch.Generator, _generator))
    return next((encoder for base, encoder in rules if issubclass(cls, base)), None)


def _tensor(walk: Walk, value: Any) -> bytes:
    import torch

    what = f"<{type(value).__qualname__}>"
    if value.layout is not torch.strided or value.is_nested:
        raise Refusal(
            what, "it is sparse or nested, and one such tensor is written in many ways (.to_dense())"
        )
    if value.is_quantized:
        raise Refusal(what, "it is quantised (give .int_repr() and the scale, or .dequantize())")
    if value.device.type == "meta":
        raise Refusal(what, "it is on the device 'meta' and has no elements")
    # In C order whatever the strides; conjugations and signs that are put off are carried out.
    plain = value.detach().cpu().resolve_conj().resolve_neg().contiguous()
    members = [
        text(str(value.dtype)),
        text(value.device.type),
        b"T" if value.requires_grad else b"F",
        walk.encode(tuple(value.shape)),
        # numpy lacks some of the dtypes; bytes it has.
        encode_array(walk, plain.reshape(-1).view(torch.uint8).numpy()),
    ]
    if type(value) is not torch.Tensor:
        members += [
            encode_class(walk, type(value)),
            walk.pairs("state", beside(value, torch.Tensor), attributes=True),
        ]
    return record("tensor", *members)


def _generator(walk: Walk, value: Any) -> bytes:
    return record("torchgenerator", text(value.device.type), walk.encode(value.get_state()))
