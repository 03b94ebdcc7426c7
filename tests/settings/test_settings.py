import json
from dataclasses import asdict

import pytest

from cachestore import SettingsError
from cachestore.settings import Settings
from cachestore.settings.settings import without_password

SECRET = "hunter2-very-secret"


@pytest.mark.parametrize(
    "settings",
    [
        Settings(location=f"s3://ana:{SECRET}@bucket/prefix"),
        Settings(location="s3://b/p", index=f"postgresql://ana:{SECRET}@db:5432/cache"),
        Settings(location="s3://b/p", index=f"postgresql://db/cache?user=ana&password={SECRET}"),
        Settings(location="s3://b/p", storage_options={"key": "AK", "secret": SECRET, "token": SECRET}),
        Settings(location="s3://b/p", storage_options={"client_kwargs": {"aws_secret_access_key": SECRET}}),
        Settings(location="s3://b/p", storage_options={"endpoint_url": f"http://ana:{SECRET}@h"}),
        Settings(location="gs://b/p", storage_options={"token": {"private_key": SECRET}}),
        Settings(location="abfs://c/p", storage_options={"account_name": "a", "account_key": SECRET}),
        Settings(location="x://c/p", storage_options={"a_name_nobody_knows": SECRET}),
        Settings(location="s3://b/p", index=f"postgresql://ana:p/{SECRET}@db/cache"),
        Settings(location="s3://b/p", index=f"postgres://ana:p@{SECRET}@db/cache?sslmode=require"),
        Settings(location=f"https://{SECRET}@host/p"),
        Settings(location=f"https://host/p?sig={SECRET}&x=1"),
    ],
)
def test_without_secrets_holds_no_secret(settings):
    assert SECRET in settings.identity()
    assert SECRET not in settings.without_secrets().identity()
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)
    assert SECRET not in json.dumps(asdict(settings.without_secrets()))


def test_without_secrets_keeps_what_finds_the_store():
    options = {"client_kwargs": {"endpoint_url": "http://127.0.0.1:9000", "region_name": "eu"}, "anon": False}
    settings = Settings(location="s3://b/p", index="postgresql://ana@db/cache", storage_options=options)
    assert settings.without_secrets() == settings


@pytest.mark.parametrize(
    "location",
    ["abfs://container@account.dfs.example/p", "s3://b/a:b@c/d", "postgresql://ana@db/cache?sslmode=require"],
)
def test_without_secrets_leaves_names_as_they_are(location):
    assert Settings(location=location).without_secrets().location == location


def test_index_and_options_belong_to_their_place():
    team = Settings(location="s3://team/cache", index="postgresql://db/cache", storage_options={"anon": True})
    assert team.at("s3://team/cache") == team
    other = team.at("/elsewhere")
    assert (other.location, other.index, other.storage_options) == ("/elsewhere", None, {})
    assert team.at("/elsewhere", index="sqlite:///x").index == "sqlite:///x"


@pytest.mark.parametrize(
    "wrong",
    [
        {"timeout": 0},
        {"timeout": float("inf")},
        {"timeout": 1e10},
        {"timeout": "5"},
        {"verbose": "loud"},
        {"reuse_unseeded": "maybe"},
        {"first_party": "acme"},
        {"first_party": [3]},
        {"package_versions": "patch"},
        {"package_versions": {"numpy": "patch"}},
        {"project": 3},
        {"check_arguments": "yes"},
        {"near": True},
        {"near": " "},
        {"near": "s3://bucket/near"},
        {"near": "s3:/bucket/near"},
        {"near_limit": "much"},
        {"near_limit": 0},
        {"near_limit": True},
        {"write_behind": 1},
        {"durable": None},
        {"load_policy": "none"},
        {"load_policy": ["any"]},
        {"location": ""},
        {"index": 3},
        {"storage_options": "anon"},
    ],
)
def test_values_without_a_meaning_are_refused_by_name(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        Settings(**wrong)


def test_equal_limits_are_equal_settings():
    assert Settings(near_limit="10GB") == Settings(near_limit=10**10) == Settings()
    assert Settings(near_limit="1KiB").near_bytes == 1024


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("s3://KEY:SEC/RET@bucket/prefix", "s3://KEY@bucket/prefix"),
        ("s3:/KEY:SECRET@bucket/prefix", "s3:/KEY@bucket/prefix"),
        ("http://host:8080/path@2x", "http://host:8080/path@2x"),
        ("s3://bucket/path@2x", "s3://bucket/path@2x"),
        ("abfs://container@account/prefix", "abfs://container@account/prefix"),
        ("https://ana:secret@host:80/x?sig=secret", "https://ana@host:80/x"),
        ("/a directory:/with@signs", "/a directory:/with@signs"),
    ],
)
def test_a_location_is_shown_without_its_secret(url, public):
    assert without_password(url) == public
