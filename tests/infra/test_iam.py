"""The IAM policies, tried against a server that enforces them."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path

import pytest

from cachestore.errors import ObjectNotFound, StorageError
from cachestore.storage import blob_path, open_store
from tests.servers.s3 import running_moto

POLICIES = Path(__file__).parents[2] / "infra/iam"
BLOB = blob_path("ab" + 62 * "0")


def policy(name: str, *, bucket: str = "team", prefix: str = "cache") -> str:
    text = (POLICIES / f"{name}.json").read_text()
    return text.replace("BUCKET", bucket).replace("PREFIX", prefix)


@pytest.fixture(scope="module")
def enforcing(tmp_path_factory):
    """A moto server of this module's own that enforces policies, and its users' storage options by policy."""
    pytest.importorskip("moto.server", reason="moto is not installed: pip install 'moto[iam,s3,server]'")
    with running_moto(tmp_path_factory.mktemp("iam") / "output") as server:
        s3, iam = server.client(), server.client("iam")
        for bucket in ("team", "other"):
            s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket="team", Key="payroll/salaries", Body=b"secret")
        s3.put_object(Bucket="other", Key="cache/store.json", Body=b"secret")
        users = {"nobody": user(iam, "nobody")}
        for name in ("writer", "gc"):
            users[name] = user(iam, name, document=policy(name))
        # moto asks for the right to delete several objects at once on the bucket, where it means nothing on
        # AWS, which asks on each object.
        several = json.loads(policy("gc"))
        on_bucket = {"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::team"}
        several["Statement"].append(on_bucket)
        users["gc-of-several"] = user(iam, "gc-of-several", document=json.dumps(several))
        reset_auth(server, 0)
        yield {
            name: {**server.storage_options, "key": key, "secret": secret}
            for name, (key, secret) in users.items()
        }


def reset_auth(server, requests: int) -> None:
    """Let the server enforce policies after so many requests."""
    url = f"{server.endpoint_url}/moto-api/reset-auth"
    body, headers = str(requests).encode(), {"Content-Type": "text/plain"}
    urllib.request.urlopen(urllib.request.Request(url, data=body, headers=headers, method="POST")).close()


def user(iam, name: str, *, document: str | None = None) -> tuple[str, str]:
    iam.create_user(UserName=name)
    if document is not None:
        made = iam.create_policy(PolicyName=name, PolicyDocument=document)
        iam.attach_user_policy(UserName=name, PolicyArn=made["Policy"]["Arn"])
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


def denied(work) -> str:
    with pytest.raises(StorageError) as caught:
        work()
    assert not isinstance(caught.value, ObjectNotFound)
    assert caught.value.transient is False
    text = str(caught.value)
    assert "permission denied" in text
    assert "infra/iam/writer.json" in text
    return text


@pytest.mark.parametrize("name", ["writer", "gc"])
def test_both_can_do_all_that_a_hit_and_a_miss_do(enforcing, name):
    store = open_store("s3://team/cache", storage_options=enforcing[name])
    path = BLOB[:-1] + {"writer": "1", "gc": "2"}[name]
    with pytest.raises(ObjectNotFound):
        store.get_suffix(path, 2**20)
    with pytest.raises(ObjectNotFound):
        store.get(f"marks/{name}")
    store.put(path, [b"0123456789"])
    store.put(path, [b"9876543210"])
    assert store.get_suffix(path, 2**20) == b"9876543210"
    assert store.get_range(path, 2, 4) == b"76"
    assert store.create(f"marks/{name}", b"ana") is True
    assert store.create(f"marks/{name}", b"ben") is False
    assert store.get(f"marks/{name}") == b"ana"
    assert path in {info.path for info in store.list("")}


def test_a_writer_can_put_a_large_object_in_parts(enforcing):
    store = open_store("s3://team/cache", storage_options=enforcing["writer"], timeout=60)
    store.put("marks/large", [100 * 2**20 * b"x", b"y"])
    assert store.get_suffix("marks/large", 2) == b"xy"


def test_a_writer_cannot_delete(enforcing):
    store = open_store("s3://team/cache", storage_options=enforcing["writer"])
    store.put("marks/kept", [b"1"])
    denied(lambda: store.delete(["marks/kept"]))
    denied(lambda: store.delete(["marks/kept", "marks/other"]))
    assert store.get("marks/kept") == b"1"


@pytest.mark.parametrize(
    ("name", "paths"), [("gc", ["marks/old"]), ("gc-of-several", ["marks/old", "marks/no"])]
)
def test_gc_can_delete(enforcing, name, paths):
    store = open_store("s3://team/cache", storage_options=enforcing[name])
    store.put("marks/old", [b"1"])
    store.delete(paths)
    with pytest.raises(ObjectNotFound):
        store.get("marks/old")


def test_gc_deletes_nothing_of_others(enforcing):
    denied(lambda: open_store("s3://team/payroll", storage_options=enforcing["gc"]).delete(["salaries"]))


@pytest.mark.parametrize("name", ["writer", "gc"])
@pytest.mark.parametrize("location", ["s3://team/payroll", "s3://team/cache-of-others", "s3://other/cache"])
def test_neither_reaches_beyond_the_store(enforcing, name, location):
    store = open_store(location, storage_options=enforcing[name])
    denied(lambda: store.get("salaries"))
    denied(lambda: store.put("salaries", [b"more"]))
    denied(lambda: store.create("marks/a", b"1"))
    denied(lambda: store.delete(["salaries"]))


@pytest.mark.parametrize("name", ["writer", "gc"])
def test_neither_lists_another_bucket(enforcing, name):
    denied(lambda: list(open_store("s3://other/cache", storage_options=enforcing[name]).list("")))


def test_who_has_no_policy_can_do_nothing(enforcing):
    store = open_store("s3://team/cache", storage_options=enforcing["nobody"])
    denied(lambda: store.get("store.json"))
    denied(lambda: store.put("store.json", [b"1"]))
    denied(lambda: list(store.list("")))


@pytest.mark.parametrize("name", ["writer", "gc"])
def test_the_policies_grant_nothing_else(name):
    granted = {}
    for statement in json.loads(policy(name))["Statement"]:
        assert statement["Effect"] == "Allow"
        assert "Condition" not in statement
        actions = statement["Action"]
        granted[statement["Resource"]] = {actions} if isinstance(actions, str) else set(actions)
    objects = {"s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"}
    assert granted == {
        "arn:aws:s3:::team/cache/*": objects | ({"s3:DeleteObject"} if name == "gc" else set()),
        "arn:aws:s3:::team": {"s3:ListBucket"}
        | ({"s3:ListBucketMultipartUploads"} if name == "gc" else set()),
    }


def test_the_readme_names_every_policy():
    text = (POLICIES.parent / "README.md").read_text()
    assert set(re.findall(r"`iam/(\w+)\.json`", text)) == {file.stem for file in POLICIES.glob("*.json")}
