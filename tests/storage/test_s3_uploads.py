"""Puts of more than 8 MiB: in parts, while they are made, whole or not at all."""

from __future__ import annotations

import os
import threading
import time
import tracemalloc
from datetime import timedelta
from functools import partial

import pytest

from cachestore.errors import StorageError
from cachestore.storage import open_store, s3_store
from cachestore.storage.gathering import PART
from cachestore.storage.paths import blob_path, version_path

MIB = 2**20
OLD = timedelta(days=-1)  # what began before tomorrow


@pytest.fixture
def store(s3_server, s3_store_url):
    location, options = s3_store_url(s3_server)
    return open_store(location, storage_options=options)


@pytest.fixture
def through_proxy(s3_server, s3_store_url, proxy_to):
    proxy = proxy_to(s3_server.endpoint_url)
    location, options = s3_store_url(s3_server)
    store = open_store(location, storage_options={**options, "endpoint_url": proxy.endpoint_url})
    store.put("marks/warm", [b"1"])
    proxy.requests.clear()
    return store, proxy


def unfinished(store, server):
    bucket, prefix = store.url.removeprefix("s3://").split("/")
    found = server.client().list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    return [each for each in found if each["Key"].startswith(prefix + "/")]


def kind(request):
    method, path = request
    query = path.partition("?")[2]
    if method == "PUT":
        return "part" if "partNumber" in query else "put"
    if method == "POST":
        return "begin" if "uploads" in query else "complete"
    return {"DELETE": "abort", "GET": "get", "HEAD": "head"}[method]


def kinds(proxy):
    return [kind(request) for request in proxy.requests]


def fail_once(proxy, wanted, how):
    left = [how]
    proxy.fault = lambda number, method, path: left.pop() if left and kind((method, path)) == wanted else None


@pytest.mark.parametrize("size", [PART - 1, PART, PART + 1, 2 * PART, 3 * PART + 17])
def test_what_was_put_is_read(store, size):
    data = os.urandom(size)
    store.put("marks/a", [data[:100], memoryview(data)[100:]])
    assert store.get("marks/a") == data
    assert store.get_range("marks/a", PART - 5, PART + 5) == data[PART - 5 : PART + 5]
    assert store.get_suffix("marks/a", 100) == data[-100:]


def test_how_many_requests_a_put_takes(through_proxy):
    store, proxy = through_proxy
    store.put("marks/a", [PART * b"x"])
    assert kinds(proxy) == ["put"]
    proxy.requests.clear()
    store.put("marks/a", 17 * [MIB * b"x"])
    assert kinds(proxy)[0] == "begin"
    assert sorted(kinds(proxy)[1:-1]) == ["part", "part", "part"]
    assert kinds(proxy)[-1] == "complete"
    proxy.requests.clear()
    store.get_range("marks/a", 9 * MIB, 10 * MIB)
    assert kinds(proxy) == ["get"]


def test_parts_leave_while_others_are_made(through_proxy):
    store, proxy = through_proxy
    sent = []

    def parts():
        for _ in range(6):
            yield PART * b"x"
        until = time.monotonic() + 20
        while kinds(proxy).count("part") < 2 and time.monotonic() < until:
            time.sleep(0.01)
        sent.append(kinds(proxy).count("part"))
        yield b"end"

    store.put("marks/a", parts())
    assert sent[0] >= 2
    assert store.get_suffix("marks/a", 4) == b"xend"


def test_no_more_than_four_parts_are_in_memory(through_proxy):
    store, proxy = through_proxy
    lock = threading.Lock()
    made = 0

    def parts():
        nonlocal made
        for _ in range(12):
            with lock:
                made += 1
            yield bytes(PART)

    most = []
    proxy.fault = lambda number, method, path: most.append(made - kinds(proxy).count("part"))
    tracemalloc.start()
    store.put("marks/a", parts())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # The proxy is of this process, and holds each body once more.
    assert peak < (5 + 3 + 2) * PART
    assert max(most) <= 6


@pytest.mark.parametrize("error", [RuntimeError("after all"), KeyboardInterrupt()])
def test_what_breaks_off_leaves_nothing(store, s3_server, error):
    store.put("marks/a", [b"first"])

    def parts():
        for _ in range(3):
            yield os.urandom(PART)
        raise error

    with pytest.raises(type(error)):
        store.put("marks/a", parts())
    assert store.get("marks/a") == b"first"
    assert unfinished(store, s3_server) == []


@pytest.mark.parametrize("how", ["lose", 503])
@pytest.mark.parametrize("which", ["begin", "part", "complete"])
def test_one_request_that_fails_is_tried_again(through_proxy, s3_server, which, how):
    store, proxy = through_proxy
    fail_once(proxy, which, how)
    data = os.urandom(2 * PART + 5)
    store.put("marks/a", [data])
    assert store.get("marks/a") == data
    assert kinds(proxy).count(which) == 1 + (3 if which == "part" else 1)
    # A server that lost its reply keeps an upload that nobody knows; all others are closed.
    assert len(unfinished(store, s3_server)) == (which == "begin" and how != 503)


@pytest.mark.parametrize("status", [503, 403])
@pytest.mark.parametrize("which", ["begin", "part", "complete"])
def test_a_request_that_goes_on_failing(through_proxy, s3_server, which, status):
    store, proxy = through_proxy
    proxy.fault = lambda number, method, path: status if kind((method, path)) == which else None
    with pytest.raises(StorageError) as caught:
        store.put("marks/a", 3 * [PART * b"x"])
    assert caught.value.transient is (status == 503)
    proxy.fault = lambda number, method, path: None
    assert [info.path for info in store.list("")] == ["marks/warm"]
    assert unfinished(store, s3_server) == []
    assert kinds(proxy).count("abort") == (which != "begin")


@pytest.mark.parametrize("which", ["begin", "part", "complete"])
def test_a_server_that_hangs_at_any_moment_is_found_out(moto_server, s3_store_url, proxy_to, which):
    proxy = proxy_to(moto_server.endpoint_url)
    location, options = s3_store_url(moto_server)
    options = {**options, "endpoint_url": proxy.endpoint_url}
    store = open_store(location, storage_options=options, timeout=3.0)
    store.put("marks/warm", [b"1"])
    hung = []

    def hang(number, method, path):
        if hung or kind((method, path)) == which:
            hung.append(time.monotonic())
            proxy.closed.wait(30)

    proxy.fault = hang
    with pytest.raises(StorageError) as caught:
        store.put("marks/a", 4 * [PART * b"x"])
    assert caught.value.transient
    # The timeout, and a short one for the clean-up.
    assert time.monotonic() - hung[0] < 7


def test_who_makes_the_parts_may_take_longer_than_the_timeout(moto_server, s3_store_url):
    location, options = s3_store_url(moto_server)
    store = open_store(location, storage_options=options, timeout=2.0)

    def parts():
        for _ in range(3):
            yield PART * b"x"
            time.sleep(2.2)

    store.put("marks/a", parts())
    assert len(store.get("marks/a")) == 3 * PART


class Trickle:
    """Answers each request slowly but steadily."""

    def __init__(self, moto_server, s3_store_url, rate):
        import socket

        self.rate = rate
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listening.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection):
        connection.recv(65536)
        try:
            connection.sendall(b"HTTP/1.1 206 Partial Content\r\nContent-Length: 1000000\r\n\r\n")
            for _ in range(60):
                connection.sendall(bytes(self.rate // 10))
                time.sleep(0.1)
            connection.sendall(bytes(1_000_000 - 60 * (self.rate // 10)))
        except OSError:
            pass


@pytest.mark.parametrize(("rate", "alive"), [(150_000, True), (150, False)])
def test_a_slow_line_is_waited_for_and_a_dead_one_is_not(moto_server, s3_store_url, rate, alive):
    slow = Trickle(moto_server, s3_store_url, rate)
    options = {**moto_server.storage_options, "endpoint_url": slow.url}
    store = open_store("s3://team/cache", storage_options=options, timeout=1.0)
    begin = time.monotonic()
    if alive:
        assert len(store.get_range("marks/a", 0, 1_000_000)) == 1_000_000
        assert time.monotonic() - begin > 5.5
    else:
        with pytest.raises(StorageError):
            store.get_range("marks/a", 0, 1_000_000)
        assert time.monotonic() - begin < 5
    slow.listening.close()


def test_uploads_of_writers_that_died_are_swept(store, s3_server, monkeypatch):
    bucket, prefix = store.url.removeprefix("s3://").split("/")
    client = s3_server.client()
    for name in ("marks/a", "marks/b", "marks/b"):
        client.create_multipart_upload(Bucket=bucket, Key=f"{prefix}/{name}")
    theirs = client.create_multipart_upload(Bucket=bucket, Key=f"{prefix}-other/marks/a")
    if s3_server.name != "moto":  # there all uploads began in 2010
        assert store.sweep_unfinished(timedelta(days=1)) == 0
        assert len(unfinished(store, s3_server)) == 3
    assert store.sweep_unfinished(OLD) == 3
    assert unfinished(store, s3_server) == []
    left = client.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert theirs["UploadId"] in {each["UploadId"] for each in left}
    assert store.sweep_unfinished(OLD) == 0


def test_uploads_of_other_applications_in_the_bucket_are_left_alone(moto_server):
    bucket, client = moto_server.create_bucket(), moto_server.client()
    for key in ("films/a.mp4", "blobs/a.mp4", "marks/a", blob_path(64 * "a"), version_path(64 * "a")):
        client.create_multipart_upload(Bucket=bucket, Key=key)
    store = open_store(f"s3://{bucket}", storage_options=moto_server.storage_options)
    assert store.sweep_unfinished(OLD) == 3
    left = client.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert {each["Key"] for each in left} == {"films/a.mp4", "blobs/a.mp4"}


def test_a_put_whose_upload_was_swept_fails_and_says_so(store, s3_server, monkeypatch):
    monkeypatch.setattr(s3_store, "_PARTS_AT_ONCE", 1)

    def parts():
        yield PART * b"x"
        yield PART * b"x"
        assert store.sweep_unfinished(OLD) == 1
        yield b"end"

    with pytest.raises(StorageError):
        store.put("marks/a", parts())
    assert list(store.list("")) == []


@pytest.mark.parametrize("completed", [True, False])
def test_an_upload_that_is_gone_when_it_is_completed_again(through_proxy, completed):
    """Servers forget an upload once it is complete: if the object is there, only the reply was lost."""
    store, proxy = through_proxy
    answers = ["lose" if completed else 503, 404]
    proxy.fault = lambda number, method, path: answers.pop(0) if kind((method, path)) == "complete" else None
    put = partial(store.put, "marks/a", [(2 * PART + 5) * b"x"])
    if completed:
        put()
        assert len(store.get("marks/a")) == 2 * PART + 5
    else:
        with pytest.raises(StorageError, match="somebody aborted"):
            put()
    assert answers == []
