"""Faces are cached beside the pictures that they are made from."""

import sys
import types

import numpy as np
import pytest
from sklearn.datasets.tests.test_lfw import *  # noqa: F403

pytestmark = pytest.mark.usefixtures("named")


class Image:
    """As much of Pillow's as scikit-learn asks for: nothing here is about pictures."""

    def __init__(self, pixels):
        self.pixels = pixels

    @classmethod
    def open(cls, path):
        with open(path, "rb") as file:  # noqa: PTH123 - text or path
            return cls(np.load(file))

    def save(self, path):
        with open(path, "wb") as file:  # noqa: PTH123
            np.save(file, self.pixels)

    def crop(self, box):
        left, top, right, bottom = box
        return Image(self.pixels[top:bottom, left:right])

    def resize(self, size):
        rows, columns = (
            np.linspace(0, length - 1, wanted).astype(int)
            for length, wanted in zip(self.pixels.shape, reversed(size), strict=False)
        )
        return Image(self.pixels[rows][:, columns])

    def __array__(self, dtype=None, copy=None):
        return self.pixels.astype(dtype)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


Image.fromarray = Image


@pytest.fixture(scope="module", autouse=True)
def pillow():
    pil = types.ModuleType("PIL")
    pil.Image = Image
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "PIL", pil)
        patch.setitem(sys.modules, "PIL.Image", Image)
        yield
