"""A grid search, new and known: what looking folds up costs, and what it saves, beside plain joblib."""

import tempfile

import joblib
from pairs import compare, print_header
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import cachestore

X, y = load_digits(return_X_y=True)
GRID = {"svc__C": [0.1, 1, 10]}


def search():
    GridSearchCV(make_pipeline(StandardScaler(), SVC()), GRID, cv=5).fit(X, y)


def plain():
    with joblib.parallel_config("threading", n_jobs=2):
        search()


def cached(memory):
    with memory.parallel("threading", n_jobs=2):
        search()


def new():
    with tempfile.TemporaryDirectory() as folder:
        cached(cachestore.Memory(folder, verbose=0))


print_header()
compare("15 folds that nobody knows", plain, new, pairs=5)
with tempfile.TemporaryDirectory() as folder:
    memory = cachestore.Memory(folder, verbose=0)
    compare("15 folds that are known (the refit is not)", plain, lambda: cached(memory), pairs=5)
