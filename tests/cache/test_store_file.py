from __future__ import annotations

import itertools
import json

import pytest

from cachestore.cache.store_file import read_store_id, write_store_id
from cachestore.errors import StorageError
from cachestore.storage import STORE_FILE, ConditionalPut, open_store
from cachestore.storage.s3_client import S3Client

_numbers = itertools.count()


@pytest.fixture
def local(tmp_path):
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def on_moto(moto_server, s3_store_url):
    location, options = s3_store_url(moto_server)
    return open_store(location, storage_options=options, timeout=20)


def test_before_the_first_put_nothing_is_known(local):
    assert read_store_id(local) is None


def test_a_directory_needs_no_probe(local):
    identifier = write_store_id(local)
    assert read_store_id(local) == identifier == write_store_id(local)
    assert json.loads(local.get(STORE_FILE))["conditional_put"] == ConditionalPut.CREATES
    assert [info.path for info in local.list("")] == [STORE_FILE]


def test_what_a_server_does_is_found_out_once_and_remembered(s3_server, s3_store_url, proxy_to):
    proxy = proxy_to(s3_server.endpoint_url)
    location, options = s3_store_url(s3_server)
    options = {**options, "endpoint_url": proxy.endpoint_url}
    store = open_store(location, storage_options=options, timeout=20)
    identifier = write_store_id(store)
    # A look, eleven of the probe, and the name.
    assert len(proxy.requests) <= 13
    assert json.loads(store.get(STORE_FILE))["conditional_put"] == ConditionalPut.CREATES
    assert [info.path for info in store.list("")] == [STORE_FILE]
    proxy.requests.clear()
    assert write_store_id(open_store(location, storage_options=options)) == identifier
    assert proxy.methods == ["GET"]


def overwriting(self, operation, IfNoneMatch=None, **arguments):
    return _call(self, operation, **arguments)


def refusing(self, operation, **arguments):
    if "IfNoneMatch" in arguments:
        from botocore.exceptions import ClientError

        said = {"Code": "NotImplemented", "Message": "A header you provided implies functionality"}
        raise ClientError({"Error": said, "ResponseMetadata": {"HTTPStatusCode": 501}}, operation)
    return _call(self, operation, **arguments)


_call = S3Client.call


@pytest.mark.parametrize(
    ("call", "does"), [(overwriting, ConditionalPut.LIES), (refusing, ConditionalPut.REFUSED)]
)
def test_a_server_that_lies_or_refuses_keeps_a_store_all_the_same(on_moto, monkeypatch, call, does):
    monkeypatch.setattr(S3Client, "call", call)
    identifier = write_store_id(on_moto)
    assert json.loads(on_moto.get(STORE_FILE))["conditional_put"] == does
    assert read_store_id(on_moto) == identifier == write_store_id(on_moto)


def test_the_last_of_two_first_puts_names_a_store_that_lies(on_moto, monkeypatch):
    """Both looked before either wrote: whoever comes later reads the name that stayed."""
    overtaken = []

    def call(self, operation, IfNoneMatch=None, **arguments):
        answer = _call(self, operation, **arguments)
        if arguments.get("Key", "").endswith(STORE_FILE) and IfNoneMatch and not overtaken:
            overtaken.append(arguments["Key"])
            late = json.dumps({"format": 1, "id": "late"}).encode()
            _call(self, "put_object", Bucket=arguments["Bucket"], Key=arguments["Key"], Body=late)
        return answer

    monkeypatch.setattr(S3Client, "call", call)
    assert write_store_id(on_moto) == "late"
    assert read_store_id(on_moto) == "late"


def test_where_nothing_was_found_out_nothing_is_remembered():
    inner = open_store(f"memory://store-file-{next(_numbers)}")

    class Ill:
        remote = True

        def __getattr__(self, name):
            return getattr(inner, name)

        def create(self, path, data):
            if path != STORE_FILE:
                raise StorageError("no answer in time", transient=True)
            return inner.create(path, data)

    identifier = write_store_id(Ill())
    assert json.loads(inner.get(STORE_FILE)) == {"format": 1, "id": identifier}


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"id": 1}'])
def test_a_damaged_file_says_so(local, content):
    local.put(STORE_FILE, [content])
    for read in (read_store_id, write_store_id):
        with pytest.raises(StorageError, match="damaged"):
            read(local)


@pytest.mark.parametrize("number", [0, 1])
def test_what_was_ever_written_is_read(local, number):
    local.put(STORE_FILE, [b'{"format": %d, "id": "5f0c", "conditional_put": "creates"}' % number])
    assert read_store_id(local) == write_store_id(local) == "5f0c"


def test_a_later_layout_is_refused(local):
    local.put(STORE_FILE, [json.dumps({"format": 2, "id": "x"}).encode()])
    with pytest.raises(StorageError, match="Upgrade"):
        read_store_id(local)
