"""What loky needs to be told about a batch that is not joblib's own."""

from __future__ import annotations

from collections.abc import Callable

from joblib.parallel import ParallelBackendBase


def loky_reducer(backend: ParallelBackendBase) -> Callable[[], None] | None:
    """Return what is called when a batch is pickled for loky; None for other backends.

    Arrays that a call shares with its workers lie in a temporary folder of that call. joblib selects the folder for
    batches only where it sees its own loky backend; behind ours it does not.
    """
    from joblib._parallel_backends import LokyBackend

    if not isinstance(backend, LokyBackend):
        return None

    def select_folder() -> None:
        backend._workers._temp_folder_manager.set_current_context(backend.parallel._id)

    return select_folder
