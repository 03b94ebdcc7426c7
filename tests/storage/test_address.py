import pytest

from cachestore.storage.address import address_of

SECRET = "hunter2-very-secret"


@pytest.fixture(autouse=True)
def no_configuration(monkeypatch):
    from fsspec import config

    monkeypatch.setattr(config, "conf", {})


def test_one_way_is_one_address():
    options = {"endpoint_url": "http://a", "client_kwargs": {"region_name": "eu", "endpoint_url": "http://b"}}
    assert address_of("s3://b/p", options, {}) == address_of("s3://b/p/", dict(reversed(options.items())), {})


@pytest.mark.parametrize(
    "secrets",
    [
        {"key": "AK", "secret": SECRET},
        {"client_kwargs": {"aws_secret_access_key": SECRET}},
        {"a_name_nobody_knows": SECRET},
        {"token": {"private_key": SECRET}},
    ],
)
def test_a_secret_is_no_part_of_an_address(secrets):
    plain = address_of("s3://b/p", {"client_kwargs": {}} if "client_kwargs" in secrets else {}, {})
    assert address_of("s3://b/p", secrets, {"AWS_SECRET_ACCESS_KEY": SECRET}) == plain
    assert address_of(f"s3://ana:{SECRET}@b/p", {}, {}) == address_of("s3://ana@b/p", {}, {})
    with_key = [
        f"AccountName=a;AccountKey={key}==;SharedAccessSignature={key}" for key in (SECRET, "another")
    ]
    assert len({address_of("abfs://c/p", {"connection_string": each}, {}) for each in with_key}) == 1
    assert (
        len({address_of("abfs://c/p", {}, {"AZURE_STORAGE_CONNECTION_STRING": each}) for each in with_key})
        == 1
    )
    endpoints = [{"endpoint_url": f"http://ana:{password}@h"} for password in (SECRET, "another")]
    assert len({address_of("s3://b/p", endpoint, {}) for endpoint in endpoints}) == 1


def test_two_places_are_two_addresses(monkeypatch):
    from fsspec import config

    configured = {"s3": {"endpoint_url": "http://c"}}
    places = [
        ("s3://b/p", {}, {}),
        ("s3://b/q", {}, {}),
        ("gs://b/p", {}, {}),
        ("s3://b/p", {"endpoint_url": "http://a"}, {}),
        ("s3://b/p", {"endpoint_url": "http://b"}, {}),
        ("s3://b/p", {"client_kwargs": {"endpoint_url": "http://a"}}, {}),
        ("s3://b/p", {"profile": "ana"}, {}),
        ("s3://b/p", {}, {"AWS_ENDPOINT_URL": "http://a"}),
        ("s3://b/p", {}, {"AWS_ENDPOINT_URL_S3": "http://a"}),
        ("s3://b/p", {}, {"AWS_PROFILE": "ana"}),
        ("abfs://c/p", {"account_name": "a"}, {}),
        ("abfs://c/p", {"account_name": "b"}, {}),
        ("s3://b/p", {}, {"AWS_DEFAULT_PROFILE": "ana"}),
        ("abfs://c/p", {"connection_string": "AccountName=a;AccountKey=k"}, {}),
        ("abfs://c/p", {"connection_string": "AccountName=b;AccountKey=k"}, {}),
        ("abfs://c/p", {"connection_string": "BlobEndpoint=http://a;AccountKey=k"}, {}),
        ("abfs://c/p", {"connection_string": "AccountName=a;EndpointSuffix=s;AccountKey=k"}, {}),
        ("abfs://c/p", {}, {"AZURE_STORAGE_CONNECTION_STRING": "AccountName=a"}),
        ("abfs://c/p", {}, {"AZURE_STORAGE_CONNECTION_STRING": "AccountName=b"}),
        ("webdav://p", {"base_url": "https://a"}, {}),
        ("webdav://p", {"base_url": "https://b"}, {}),
        ("sftp://h/p", {"port": 22}, {}),
        ("sftp://h/p", {"port": 23}, {}),
    ]
    addresses = {address_of(*place) for place in places}
    monkeypatch.setattr(config, "conf", configured)
    addresses.add(address_of("s3://b/p", {}, {}))
    assert len(addresses) == len(places) + 1
    assert all(set(address) <= set("0123456789abcdef") for address in addresses)
