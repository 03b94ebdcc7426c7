"""What is particular to S3, all of it: timeouts, error codes, pages of a listing, deletes by the thousand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from cachestore.errors import ObjectNotFound, SettingsError, StorageError
from cachestore.storage.failures import AlreadyThere, BeyondTheEnd
from cachestore.storage.fsspec_store import UNKNOWN_SIZE, FsspecStore, modified_of
from cachestore.storage.object_store import ObjectInfo
from cachestore.storage.paths import checked_path

_PER_REQUEST = 1000
# The older rules, which buckets of today keep as well; or the name of an access point.
_BUCKET = re.compile(r"[A-Za-z0-9._-]{3,255}|arn:[A-Za-z0-9:._-]+")

_BUSY = {
    "InternalError", "OperationAborted", "RequestTimeout", "RequestTimeoutException", "ServiceUnavailable",
    "SlowDown", "Throttling", "ThrottlingException", "TooManyRequestsException", "ConditionalRequestConflict",
}  # fmt: skip
_WHO = {
    "ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch", "TokenRefreshRequired",
    "InvalidClientTokenId", "UnrecognizedClientException",
}  # fmt: skip
_ELSEWHERE = {
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "PermanentRedirect",
    "301",
}


class S3Store(FsspecStore):
    """Keeps objects in an S3 bucket, through s3fs.

    Its own retries are off, and its waits end with the deadline: left alone, s3fs takes 415 s to give up.
    """

    def __init__(self, location: str, **options: Any) -> None:
        super().__init__(location, **options)
        bucket = self._location.partition("://")[2].partition("/")[0]
        if _BUCKET.fullmatch(bucket) is None:
            raise SettingsError(
                f"{self.url!r} names no bucket. Write s3://bucket/prefix; a bucket has at least 3 letters, "
                "digits, dots or hyphens, and credentials go into the environment."
            )

    def get(self, path: str) -> bytes:
        """Return the whole object."""
        # With a start it is one request; without, s3fs asks for the size first.
        return self._read(path, start=0, size=UNKNOWN_SIZE)

    def delete(self, paths: Iterable[str]) -> None:
        """Remove the objects, a thousand to a request."""
        every = iter(paths)
        while batch := list(islice(every, _PER_REQUEST)):
            # Not every server deletes several at once, so one alone goes the way that all of them know.
            if len(batch) == 1:
                super().delete(batch)
            else:
                self._delete_batch(batch)

    def _delete_batch(self, paths: list[str]) -> None:
        bucket, prefix = self._bucket()
        wanted = {"Objects": [{"Key": prefix + checked_path(path)} for path in paths], "Quiet": True}
        attempt = self._attempt("delete", paths[0])
        # s3fs's own bulk delete drops the errors that come inside a good answer.
        answer = self._call("call_s3", "delete_objects", Bucket=bucket, Delete=wanted, attempt=attempt)
        for problem in answer.get("Errors", []):
            code = problem.get("Code", "")
            if code != "NoSuchKey":
                raise _meaning(
                    code, 403 if code == "AccessDenied" else 0, problem.get("Message", ""), attempt
                )

    def _listed(self, prefix: str, folder: str) -> Iterator[ObjectInfo]:
        bucket, root = self._bucket()
        page: dict[str, Any] = {"Bucket": bucket, "Prefix": root + prefix}
        # Page by page, each with a deadline of its own: a listing of a million is never in memory whole.
        while True:
            answer = self._call("call_s3", "list_objects_v2", attempt=self._attempt("list", prefix), **page)
            for found in answer.get("Contents", []):
                path = found["Key"].removeprefix(root)
                if not path.endswith("/"):
                    yield ObjectInfo(path, int(found["Size"]), modified_of(found))
            if not answer.get("IsTruncated"):
                return
            page["ContinuationToken"] = answer["NextContinuationToken"]

    def _bucket(self) -> tuple[str, str]:
        """Return the bucket, and what precedes each path in it."""
        bucket, _, prefix = self._filesystem()[1].partition("/")
        return bucket, f"{prefix}/" if prefix else ""

    def _make(self) -> tuple[Any, str]:
        filesystem, root = super()._make()
        # Who guards this store tries again, and knows the deadline.
        filesystem.retries = 1
        return filesystem, root

    def _filesystem_options(self) -> dict[str, Any]:
        waits = {
            "connect_timeout": self._timeout,
            "read_timeout": self._timeout,
            "retries": {"total_max_attempts": 1, "mode": "standard"},
        }
        return {**self._options, "config_kwargs": {**waits, **self._options.get("config_kwargs", {})}}

    def _failure(self, error: Exception, attempt: str, *, absent: bool) -> StorageError:
        answer = _answer(error)
        if answer is not None:
            said = answer.get("Error", {})
            code = str(said.get("Code", ""))
            status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            if absent and code in {"NoSuchKey", "404"}:
                return ObjectNotFound(f"{attempt}: there is no such object.")
            return _meaning(code, status, str(said.get("Message", "")), attempt)
        name = type(error).__name__
        if name in {
            "NoCredentialsError",
            "PartialCredentialsError",
            "CredentialRetrievalError",
            "ProfileNotFound",
        }:
            return StorageError(
                f"{attempt}: {error}. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, "
                "or give `key` and `secret` in the storage options."
            )
        if any(kind.__name__ in _UNREACHABLE for kind in type(error).__mro__):
            return StorageError(
                f"{attempt}: {' '.join(str(error).split()).rstrip('.')}. Look at the network, the endpoint "
                "(`endpoint_url` in the storage options, or AWS_ENDPOINT_URL) and the server.",
                transient=True,
            )
        return super()._failure(error, attempt, absent=absent)


# By name, for botocore and aiohttp are not imported for a look at an error.
_UNREACHABLE = {
    "ClientConnectionError", "ClientConnectorError", "ClientOSError", "ClientPayloadError",
    "ConnectTimeoutError", "ConnectionClosedError", "ConnectionError", "ConnectionTimeoutError",
    "EndpointConnectionError", "HTTPClientError", "IncompleteReadError", "ProxyConnectionError",
    "ReadTimeoutError", "ResponseStreamingError", "ServerDisconnectedError", "ServerTimeoutError",
    "SocketTimeoutError",
}  # fmt: skip


def _answer(error: BaseException | None) -> Mapping[str, Any] | None:
    """Return what the server said: s3fs raises errors of Python's that were caused by botocore's."""
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, Mapping):
            return response
        error = error.__cause__
    return None


def _meaning(code: str, status: int, message: str, attempt: str) -> StorageError:
    said = f"{code}: {message}".strip(": ").rstrip(".") or f"status {status}"
    if code in {"PreconditionFailed", "412"} or status == 412:
        return AlreadyThere(f"{attempt}: something is there already.")
    if code in {"InvalidRange", "416"} or status == 416:
        return BeyondTheEnd(f"{attempt}: {said}.")
    if code == "NoSuchBucket":
        return StorageError(f"{attempt}: there is no such bucket. Create it, or correct the location.")
    if code in _WHO:
        return StorageError(
            f"{attempt}: the server does not accept the credentials ({said}). Look at AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, the profile, or `key` and `secret` in the storage options."
        )
    if code in {"AccessDenied", "AllAccessDisabled"} or status == 403:
        return StorageError(
            f"{attempt}: permission denied ({said}). Use other credentials, or ask for the policy of "
            "infra/iam/writer.json; without s3:ListBucket on the bucket even an absent object answers so."
        )
    if code in _ELSEWHERE:
        return StorageError(
            f"{attempt}: the bucket is in another region or at another endpoint ({said}). Give `region_name` "
            "in `client_kwargs`, or `endpoint_url`, in the storage options."
        )
    if code in _BUSY or status >= 500 or status == 429:
        return StorageError(
            f"{attempt}: the server is busy or ill ({said}). Try again later.", transient=True
        )
    return StorageError(f"{attempt}: {said}. Look at the location and its storage options.")
