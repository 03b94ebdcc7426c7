"""What a teammate runs: features, then grid searches on a dask cluster of processes."""

import argparse
import time

from dask.distributed import Client, LocalCluster
from digits.features import cache, features
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC


def main() -> None:
    """Search on two data sets with the candidates of the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--C", type=float, nargs="+", required=True)
    parser.add_argument("--depth", type=int, nargs="+", required=True)
    chosen = parser.parse_args()

    digits = load_digits()
    started = time.perf_counter()
    table = features(digits.images)
    print(f"  features {table.shape} in {time.perf_counter() - started:.1f} s")

    svm = make_pipeline(StandardScaler(), SVC(gamma="scale"))
    boosting = GradientBoostingClassifier(random_state=0)
    searches = {
        "digits": (GridSearchCV(svm, {"svc__C": chosen.C}, cv=5), table, digits.target),
        "breast cancer": (
            GridSearchCV(boosting, {"max_depth": chosen.depth, "n_estimators": [25, 50]}, cv=5),
            *load_breast_cancer(return_X_y=True),
        ),
    }
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster),
        cache.parallel("dask"),
    ):
        for name, (search, X, y) in searches.items():
            started = time.perf_counter()
            search.fit(X, y)
            folds = len(search.cv_results_["params"]) * search.n_splits_
            print(
                f"  {name}: {folds} folds in {time.perf_counter() - started:.1f} s, "
                f"best {search.best_params_}, accuracy {search.best_score_:.4f}"
            )


if __name__ == "__main__":
    main()
