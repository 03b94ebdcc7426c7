from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta

import pytest

from cachestore.errors import ObjectNotFound, StorageError
from cachestore.in_order import in_order
from cachestore.storage import open_store
from cachestore.storage.deadline import remaining
from cachestore.storage.fsspec_store import Capabilities
from cachestore.storage.s3_client import S3Client
from cachestore.storage.s3_store import S3Store
from tests.contracts.object_store import ObjectStoreContract

pytestmark = pytest.mark.usefixtures("described_once")


class TestMoto(ObjectStoreContract):
    racers = 4

    @pytest.fixture
    def reopen(self, moto_server, s3_store_url):
        location, options = s3_store_url(moto_server)
        return lambda: open_store(location, storage_options=options, timeout=20)


@pytest.mark.s3
class TestSeaweedFS(ObjectStoreContract):
    # The losers of a race wait for seconds there.
    racers = 3

    @pytest.fixture
    def reopen(self, seaweedfs, s3_store_url):
        location, options = s3_store_url(seaweedfs)
        return lambda: open_store(location, storage_options=options, timeout=20)


def test_a_whole_bucket_can_be_a_store(moto_server):
    bucket = moto_server.create_bucket()
    for location in (f"s3://{bucket}", f"s3://{bucket}/", f"s3a://{bucket}"):
        store = open_store(location, storage_options=moto_server.storage_options)
        store.put("marks/a", [b"1"])
        assert store.get("marks/a") == b"1"
        assert [info.path for info in store.list("")] == ["marks/a"]
        assert store.create("marks/a", b"2") is False
        store.delete(["marks/a"])
        assert list(store.list("")) == []


@pytest.fixture
def through_proxy(s3_server, s3_store_url, proxy_to):
    """A store on each server, and the proxy that it is reached through."""
    proxy = proxy_to(s3_server.endpoint_url)
    location, options = s3_store_url(s3_server)
    store = open_store(location, storage_options={**options, "endpoint_url": proxy.endpoint_url})
    return store, proxy


def requests_of(proxy, work):
    before = len(proxy.requests)
    work()
    return proxy.methods[before:]


def test_each_operation_is_one_request(through_proxy):
    store, proxy = through_proxy

    def miss(read, *args):
        with pytest.raises(ObjectNotFound):
            read("marks/absent", *args)

    assert requests_of(proxy, lambda: store.put("marks/a", [2000 * b"1"])) == ["PUT"]
    assert requests_of(proxy, lambda: store.get_suffix("marks/a", 2**20)) == ["GET"]
    assert requests_of(proxy, lambda: store.get_suffix("marks/a", 10)) == ["GET"]
    assert requests_of(proxy, lambda: miss(store.get_suffix, 2**20)) == ["GET"]
    assert requests_of(proxy, lambda: store.get_range("marks/a", 5, 10)) == ["GET"]
    assert requests_of(proxy, lambda: store.get("marks/a")) == ["GET"]
    assert requests_of(proxy, lambda: miss(store.get)) == ["GET"]
    assert requests_of(proxy, lambda: list(store.list("marks/"))) == ["GET"]
    assert requests_of(proxy, lambda: store.delete(f"marks/{n}" for n in range(500))) == ["POST"]
    assert requests_of(proxy, lambda: store.delete(["marks/a"])) == ["DELETE"]
    assert requests_of(proxy, lambda: store.create("store.json", b"1")) == ["PUT"]
    assert requests_of(proxy, lambda: store.create("store.json", b"2")) == ["PUT", "GET"]


def test_a_listing_has_pages_and_a_delete_has_batches(moto_server, s3_store_url, proxy_to, monkeypatch):
    real = S3Client.call

    def in_small_pages(self, operation, **arguments):
        page = {"MaxKeys": 10} if operation == "list_objects_v2" else {}
        return real(self, operation, **arguments, **page)

    monkeypatch.setattr(S3Client, "call", in_small_pages)
    monkeypatch.setattr(S3Store, "per_delete", 10)
    proxy = proxy_to(moto_server.endpoint_url)
    location, options = s3_store_url(moto_server)
    bucket, prefix = location.removeprefix("s3://").split("/")
    client = moto_server.client()
    for number in range(25):
        client.put_object(Bucket=bucket, Key=f"{prefix}/marks/{number}", Body=b"1")
    client.put_object(Bucket=bucket, Key=f"{prefix}/marks/", Body=b"")
    client.put_object(Bucket=bucket, Key=f"{prefix}-other/marks/x", Body=b"1")
    store = open_store(location, storage_options={**options, "endpoint_url": proxy.endpoint_url})
    assert sorted(int(info.path.removeprefix("marks/")) for info in store.list("")) == list(range(25))
    assert proxy.methods == ["GET", "GET", "GET"]
    store.delete([f"marks/{number}" for number in range(25)])
    assert proxy.methods[3:] == ["POST", "POST", "POST"]
    assert list(store.list("")) == []


def test_each_page_of_a_listing_is_tried_again(moto_server, s3_store_url, monkeypatch):
    real, busy, left = S3Client.call, set(), []

    def in_small_pages(self, operation, **arguments):
        page = arguments.get("ContinuationToken")
        left.append(remaining(1e9))
        if page not in busy:
            busy.add(page)
            raise ConnectionResetError("gone")
        return real(self, operation, **arguments, MaxKeys=2)

    location, options = s3_store_url(moto_server)
    store = open_store(location, storage_options=options)
    for number in range(5):
        store.put(f"marks/{number}", [b"1"])
    monkeypatch.setattr(S3Client, "call", in_small_pages)
    assert len(list(store.list("marks/"))) == 5
    assert len(left) == 6
    assert max(left[2:]) <= 5.0


def test_each_page_of_unfinished_uploads_is_tried_again(moto_server, s3_store_url, monkeypatch):
    answers = [
        ConnectionResetError("gone"),
        {"IsTruncated": True, "NextKeyMarker": "a", "NextUploadIdMarker": "b"},
        ConnectionResetError("gone"),
        {"IsTruncated": False},
    ]

    def call(self, operation, **arguments):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(S3Client, "call", call)
    location, options = s3_store_url(moto_server)
    assert open_store(location, storage_options=options).sweep_unfinished(timedelta(days=1)) == 0
    assert answers == []


@pytest.mark.parametrize(
    "marks", [{}, {"NextKeyMarker": "", "NextUploadIdMarker": ""}, {"NextKeyMarker": "a"}]
)
def test_a_page_of_unfinished_uploads_that_does_not_say_where_to_go_on(
    moto_server, s3_store_url, monkeypatch, marks
):
    upload = {"UploadId": "1", "Initiated": datetime(2020, 1, 1, tzinfo=UTC)}
    pages = []

    def call(self, operation, **arguments):
        if operation != "list_multipart_uploads":
            return {}
        pages.append(arguments)
        upload["Key"] = f"{arguments['Prefix']}marks/{len(pages)}"
        return {"Uploads": [dict(upload)], "IsTruncated": len(pages) == 1, **marks}

    monkeypatch.setattr(S3Client, "call", call)
    location, options = s3_store_url(moto_server)
    swept = open_store(location, storage_options=options).sweep_unfinished(timedelta(days=1))
    assert swept == len(pages) == (2 if marks.get("NextKeyMarker") else 1)


def test_a_lost_reply_to_a_put(through_proxy):
    store, proxy = through_proxy
    store.put("marks/warm", [b"1"])
    lose_once(proxy, "PUT")
    store.put("marks/a", [b"1"])
    assert store.get("marks/a") == b"1"


def test_a_lost_reply_to_a_create_that_won(through_proxy):
    store, proxy = through_proxy
    store.put("marks/warm", [b"1"])
    lose_once(proxy, "PUT")
    assert store.create("marks/lease", b"ana") is True
    assert store.get("marks/lease") == b"ana"
    assert store.create("marks/lease", b"ben") is False


def test_a_broken_read_is_tried_again(through_proxy):
    store, proxy = through_proxy
    data = 100_000 * b"1"
    store.put("marks/a", [data])
    lose_once(proxy, "GET", how="cut")
    assert store.get_suffix("marks/a", 2**20) == data


@pytest.mark.parametrize("operation", ["get", "get_suffix"])
def test_an_answer_that_stops_half_way(moto_server, s3_store_url, proxy_to, operation):
    proxy = proxy_to(moto_server.endpoint_url)
    proxy.fault = lambda number, method, path: "stall" if method == "GET" else None
    location, options = s3_store_url(moto_server)
    store = open_store(location, storage_options={**options, "endpoint_url": proxy.endpoint_url}, timeout=1.0)
    store.put("store.json", [1000 * b"1"])
    error, _, seconds = refused(store, operation)
    assert error.transient is True
    assert seconds < 4


def test_a_large_put_does_not_wait_long_for_a_store_that_hangs(moto_server, hung_address):
    options = {**moto_server.storage_options, "endpoint_url": hung_address}
    store = open_store("s3://team/cache", storage_options=options, timeout=1.0)
    before = time.monotonic()
    with pytest.raises(StorageError) as caught:
        store.put("marks/large", [50 * 2**20 * b"x"])
    assert caught.value.transient is True
    assert time.monotonic() - before < 3


def test_a_busy_server_is_tried_again(through_proxy):
    store, proxy = through_proxy
    store.put("marks/a", [b"1"])
    lose_once(proxy, "GET", how=503)
    assert requests_of(proxy, lambda: store.get("marks/a")) == ["GET", "GET"]


def lose_once(proxy, wanted, how="lose"):
    left = [how]
    proxy.fault = lambda number, method, path: left.pop() if left and method == wanted else None


def test_a_create_that_is_overtaken(through_proxy, s3_server):
    store, proxy = through_proxy
    bucket, prefix = store.url.removeprefix("s3://").split("/")

    def overtake(number, method, path):
        if method == "PUT":
            s3_server.client().put_object(Bucket=bucket, Key=f"{prefix}/marks/lease", Body=b"ben")

    proxy.fault = overtake
    assert store.create("marks/lease", b"ana") is False
    assert store.get("marks/lease") == b"ben"


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_a_server_that_stays_ill(moto_server, s3_store_url, proxy_to, status):
    proxy = proxy_to(moto_server.endpoint_url)
    proxy.fault = lambda number, method, path: status
    location, options = s3_store_url(moto_server)
    store = open_store(location, storage_options={**options, "endpoint_url": proxy.endpoint_url})
    before = time.monotonic()
    with pytest.raises(StorageError, match="busy or ill") as caught:
        store.get("store.json")
    assert caught.value.transient is True
    assert proxy.methods == ["GET", "GET", "GET"]
    assert time.monotonic() - before < 5


def test_nobody_but_the_guard_tries_again(moto_server, s3_store_url, proxy_to):
    proxy = proxy_to(moto_server.endpoint_url)
    proxy.fault = lambda number, method, path: "lose"
    location, options = s3_store_url(moto_server)
    store = open_store(location, storage_options={**options, "endpoint_url": proxy.endpoint_url})
    with pytest.raises(StorageError) as caught:
        store.get("store.json")
    assert caught.value.transient is True
    # aiohttp asks once more by itself when a connection breaks; botocore and s3fs would, many times over.
    assert 3 <= len(proxy.requests) <= 6


OPERATIONS = {
    "get": lambda store: store.get("store.json"),
    "get_suffix": lambda store: store.get_suffix("store.json", 2**20),
    "put": lambda store: store.put("store.json", [b"1"]),
    "create": lambda store: store.create("store.json", b"1"),
    "delete": lambda store: store.delete(["store.json"]),
    "list": lambda store: list(store.list("")),
}


def refused(store, operation):
    before = time.monotonic()
    with pytest.raises(StorageError) as caught:
        OPERATIONS[operation](store)
    assert not isinstance(caught.value, ObjectNotFound)
    text = str(caught.value)
    assert "\n" not in text
    assert store.url in text
    return caught.value, text, time.monotonic() - before


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_refused_connection(moto_server, refusing_address, operation):
    options = {**moto_server.storage_options, "endpoint_url": refusing_address}
    error, text, seconds = refused(open_store("s3://team/cache", storage_options=options), operation)
    assert error.transient is True
    assert refusing_address in text
    assert "Look at the network, the endpoint" in text
    assert seconds < 5


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_hung_socket(moto_server, hung_address, operation):
    options = {**moto_server.storage_options, "endpoint_url": hung_address}
    store = open_store("s3://team/cache", storage_options=options, timeout=1.0)
    error, text, seconds = refused(store, operation)
    assert error.transient is True
    assert seconds < 2.5
    assert "Look at the network" in text


def test_a_hung_socket_with_the_timeout_that_is_the_default(moto_server, hung_address):
    options = {**moto_server.storage_options, "endpoint_url": hung_address}
    _, _, seconds = refused(open_store("s3://team/cache", storage_options=options), "get_suffix")
    assert 4 < seconds < 7


@pytest.mark.parametrize("operation", OPERATIONS)
def test_who_may_not_list_gets_403_for_what_is_absent(moto_server, s3_store_url, proxy_to, operation):
    proxy = proxy_to(moto_server.endpoint_url)
    proxy.fault = lambda number, method, path: 403
    location, options = s3_store_url(moto_server)
    store = open_store(location, storage_options={**options, "endpoint_url": proxy.endpoint_url})
    error, text, _ = refused(store, operation)
    assert error.transient is False
    assert "permission denied" in text
    assert "without s3:ListBucket on the bucket even an absent object answers so" in text
    assert len(proxy.requests) == 1


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_bucket_that_is_not_there(moto_server, operation):
    store = open_store("s3://no-such-bucket/cache", storage_options=moto_server.storage_options)
    error, text, _ = refused(store, operation)
    assert error.transient is False
    assert re.fullmatch(
        r"Cannot \w+ '.*' in s3://no-such-bucket/cache: there is no such bucket\. "
        r"Create it, or correct the location\.",
        text,
    )


@pytest.mark.s3
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("wrong", [{"secret": "wrong"}, {"key": "nobody"}])
def test_wrong_credentials(seaweedfs, s3_store_url, operation, wrong):
    location, options = s3_store_url(seaweedfs)
    store = open_store(location, storage_options={**options, **wrong})
    error, text, _ = refused(store, operation)
    assert error.transient is False
    assert "does not accept the credentials" in text
    assert "AWS_ACCESS_KEY_ID" in text
    assert "testtest" not in text


def test_no_credentials(moto_server, s3_store_url, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    location, options = s3_store_url(moto_server)
    del options["key"], options["secret"]
    error, text, _ = refused(open_store(location, storage_options=options), "get")
    assert error.transient is False
    assert "Set AWS_ACCESS_KEY_ID" in text


def test_options_that_mean_nothing(moto_server, s3_store_url):
    location, options = s3_store_url(moto_server)
    error, text, _ = refused(open_store(location, storage_options={**options, "colour": "red"}), "get")
    assert error.transient is False
    assert "colour" in text


def test_the_users_own_timeouts_count(moto_server, hung_address):
    options = {
        **moto_server.storage_options,
        "endpoint_url": hung_address,
        "config_kwargs": {"read_timeout": 0.5, "connect_timeout": 0.5},
    }
    _, _, seconds = refused(open_store("s3://team/cache", storage_options=options), "get_suffix")
    assert seconds < 4


@pytest.mark.parametrize(("status", "prepared"), [(None, True), (503, True), (307, False), (403, False)])
def test_only_what_speaks_of_another_way_drops_the_prepared_one(
    moto_server, s3_store_url, proxy_to, monkeypatch, status, prepared
):
    proxy = proxy_to(moto_server.endpoint_url)
    location, options = s3_store_url(moto_server)
    store = S3Store(
        location,
        storage_options={**options, "endpoint_url": proxy.endpoint_url},
        capabilities=Capabilities(),
    )
    store.put("marks/a", [b"1"])
    store.get("marks/a")
    proxy.fault = lambda number, method, path: status
    with pytest.raises(StorageError):
        store.get("marks/absent")
    proxy.fault = lambda number, method, path: None
    real, called = S3Client.call, []
    monkeypatch.setattr(S3Client, "call", lambda *args, **given: called.append(args) or real(*args, **given))
    assert store.get("marks/a") == b"1"
    assert (not called) is prepared


def test_errors_inside_a_good_answer_to_a_delete_are_heard(moto_server, s3_store_url, monkeypatch):
    real = S3Client.call

    def denied(self, operation, **arguments):
        if operation == "delete_objects":
            return {"Errors": [{"Key": "store.json", "Code": "AccessDenied", "Message": "Access Denied"}]}
        return real(self, operation, **arguments)

    monkeypatch.setattr(S3Client, "call", denied)
    location, options = s3_store_url(moto_server)
    with pytest.raises(StorageError) as caught:
        open_store(location, storage_options=options).delete(["store.json", "marks/a"])
    text = str(caught.value)
    assert caught.value.transient is False
    assert "permission denied" in text


def test_a_second_try_has_what_the_first_left(moto_server, s3_store_url, proxy_to):
    proxy = proxy_to(moto_server.endpoint_url)
    location, options = s3_store_url(moto_server)
    store = open_store(location, storage_options={**options, "endpoint_url": proxy.endpoint_url}, timeout=3.0)
    store.put("marks/a", [b"1"])
    store.get("marks/a")
    for work in (lambda: store.get("marks/a"), lambda: store.put("marks/a", [b"2"])):
        proxy.requests.clear()

        def late_then_hung(number, method, path):
            proxy.closed.wait(2.0 if number == 0 else 20)
            return 503

        proxy.fault = late_then_hung
        before = time.monotonic()
        with pytest.raises(StorageError):
            work()
        assert len(proxy.requests) == 2
        assert time.monotonic() - before < 4.2


def test_what_a_server_does_not_know_is_not_asked_again(through_proxy):
    store, proxy = through_proxy
    store.put("marks/a", [b"1"])
    proxy.requests.clear()
    proxy.fault = lambda number, method, path: 501
    with pytest.raises(StorageError, match="does not know such a request") as caught:
        store.put("marks/a", [b"2"])
    assert caught.value.transient is False
    assert proxy.methods == ["PUT"]


def test_many_threads_make_one_client(moto_server, s3_store_url, monkeypatch):
    made = []
    real = S3Client.__init__

    def counted(self, *args, **options):
        made.append(self)
        real(self, *args, **options)

    monkeypatch.setattr(S3Client, "__init__", counted)
    location, options = s3_store_url(moto_server)
    store = open_store(location, storage_options=options, timeout=20)
    found = in_order(lambda number: store.put(f"marks/{number}", [b"1"]), range(24), at_once=12)
    assert list(found) == 24 * [None]
    assert len(made) == 1


def test_renewed_credentials_count(moto_server, s3_store_url):
    """Reads keep how a bucket is read, but never who reads."""
    location, options = s3_store_url(moto_server)
    store = open_store(location, storage_options=options)
    store.put("marks/a", [b"1"])
    assert store.get("marks/a") == store.get("marks/a") == b"1"
    client = store._inner._filesystem()[0]
    [way] = client._ways.values()
    client._client._request_signer._credentials.access_key = "renewed"
    request = way.request("marks/a", "bytes=0-")
    assert "Credential=renewed/" in request.headers["Authorization"]
