"""scikit-learn's searches, fitting nothing twice: neither a fold of an earlier search nor a pipeline's prefix.

`GridSearchCV` and `RandomizedSearchCV` are scikit-learn's with a `memory` and an `inner` backend; results are the
same, cell by cell, except times. May import `memory` and everything below it, and scikit-learn.
Never changes what is fitted, only whether it is fitted again.
"""

from cachestore.model_selection.search import GridSearchCV, RandomizedSearchCV

__all__ = ["GridSearchCV", "RandomizedSearchCV"]
