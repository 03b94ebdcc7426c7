"""What is particular to S3, all of it: timeouts, error codes, pages of a listing, deletes by the thousand."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain, islice
from typing import Any, TypeVar

from cachestore.errors import ObjectNotFound, SettingsError, StorageError
from cachestore.in_order import in_order
from cachestore.storage.deadline import deadline
from cachestore.storage.failures import AlreadyThere, BeyondTheEnd, told
from cachestore.storage.fsspec_store import FsspecStore, modified_of
from cachestore.storage.gathering import gathered
from cachestore.storage.object_store import ObjectInfo
from cachestore.storage.paths import MARKS, VERSIONS, checked_path, key_of
from cachestore.storage.tries import tried

T = TypeVar("T")

# With the one that waits and the one that is made, 40 MiB in memory.
_PARTS_AT_ONCE = 3
# For cleaning up at a server that has just failed to answer.
_SHORT = 1.0
# Where an absent object, or upload, is an answer.
_MAY_BE_ABSENT = {"head_object", "complete_multipart_upload", "abort_multipart_upload"}
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
    """Keeps objects in an S3 bucket, with the options and the environment of s3fs.

    Waits end with the deadline, and nobody below this tries again: left alone, s3fs takes 415 s to give up.
    """

    at_once = 32
    per_delete = 1000

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
        return self._read_span(path, "bytes=0-")

    def get_suffix(self, path: str, length: int) -> bytes:
        """Return the last `length` bytes, or the whole object when it is shorter."""
        if length <= 0:
            return b""
        # Not every server answers more than there is with what there is; then, all is asked for.
        return self._read_span(path, f"bytes=-{length}") or self.get(path)

    def get_range(self, path: str, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to before `stop`."""
        return self._read_span(path, f"bytes={start}-{stop - 1}") if stop > start else b""

    def version(self, path: str) -> str:
        """Return the ETag, which other bytes do not have."""
        head = self._ask("head_object", Key=self._key(path), attempt=self._attempt("read", path))
        return f"{head['ContentLength']} {head.get('ETag', '')} {head.get('LastModified', '')}"

    def put(self, path: str, parts: Iterable[bytes | memoryview]) -> None:
        """Store the parts at `path`: one request for up to 8 MiB, else an upload of parts while more are made."""
        every = gathered(parts)
        first = next(every, b"")
        second = next(every, None)
        if second is None:
            self._write(path, first)
        else:
            self._upload(path, chain((first, second), every))

    def delete(self, paths: Iterable[str]) -> None:
        """Remove the objects, a thousand to a request."""
        every = iter(paths)
        while batch := list(islice(every, self.per_delete)):
            # Not every server deletes several at once, so one alone goes the way that all of them know.
            if len(batch) == 1:
                attempt = self._attempt("delete", batch[0])
                self._ask("delete_object", Key=self._key(batch[0]), attempt=attempt)
            else:
                self._delete_batch(batch)

    def sweep_unfinished(self, older_than: timedelta, *, act: bool = True) -> int:
        """Abort the uploads of writers that were killed, which cost space and are in no listing."""
        _, root = self._bucket()
        page: dict[str, Any] = {"Prefix": root}
        swept, young = 0, datetime.now(UTC) - older_than
        while True:
            attempt = self._attempt("list uploads to", "")
            answer = self._ask_again("list_multipart_uploads", attempt=attempt, **page)
            for found in answer.get("Uploads", []):
                # Some servers name those of other prefixes as well.
                ours = found["Key"].startswith(root) and _is_ours(found["Key"].removeprefix(root))
                if ours and found["Initiated"].astimezone(UTC) < young:
                    swept += 1
                    if act:
                        self._abort(found["Key"], found["UploadId"])
            # Without a mark where to go on, the next page would be this one again.
            if not answer.get("IsTruncated") or not answer.get("NextKeyMarker"):
                return swept
            page["KeyMarker"] = answer["NextKeyMarker"]
            page["UploadIdMarker"] = answer.get("NextUploadIdMarker", "")

    def _upload(self, path: str, parts: Iterable[bytes]) -> None:
        """Put parts as they come, some at a time; each has its own tries, for nobody can make it a second time."""
        key, attempt = self._key(path), self._attempt("write", path)
        ask = partial(self._ask_again, Key=key, attempt=attempt)
        upload = ask("create_multipart_upload")["UploadId"]
        size = 0

        def send(numbered: tuple[int, bytes]) -> dict[str, Any]:
            number, part = numbered
            sent = ask("upload_part", UploadId=upload, PartNumber=number, body=part)
            return {"PartNumber": number, "ETag": sent.get("ETag", "")}

        def counted() -> Iterator[tuple[int, bytes]]:
            nonlocal size
            for number, part in enumerate(parts, start=1):
                size += len(part)
                yield number, part

        try:
            sent = list(in_order(send, counted(), at_once=_PARTS_AT_ONCE))
            try:
                ask("complete_multipart_upload", UploadId=upload, MultipartUpload={"Parts": sent})
            except ObjectNotFound:
                # There is no such upload: it was completed, and the reply was lost.
                if self._size(key, attempt) != size:
                    raise StorageError(f"{attempt}: somebody aborted the upload.", transient=True) from None
        except BaseException as error:
            # A server that has just failed to answer would not answer to this either.
            ill = isinstance(error, StorageError) and error.transient
            with suppress(StorageError), deadline(_SHORT if ill else self._timeout):
                self._abort(key, upload)
            raise

    def _abort(self, key: str, upload: str) -> None:
        with suppress(ObjectNotFound):
            self._ask(
                "abort_multipart_upload",
                Key=key,
                UploadId=upload,
                attempt=f"Cannot abort an upload to {key!r}",
            )

    def _size(self, key: str, attempt: str) -> int | None:
        try:
            return int(self._ask_again("head_object", Key=key, attempt=attempt)["ContentLength"])
        except ObjectNotFound:
            return None

    def _read_span(self, path: str, span: str) -> bytes:
        (bucket, _), key, attempt = self._bucket(), self._key(path), self._attempt("read", path)
        try:
            data: bytes = self._within(lambda client: client.read(bucket, key, span), attempt, absent=True)
        except BeyondTheEnd:
            # As a slice: of an empty object every range is empty.
            return b""
        return data

    def _write(self, path: str, data: bytes) -> None:
        self._ask("put_object", Key=self._key(path), body=data, attempt=self._attempt("write", path))

    def _write_new(self, path: str, data: bytes) -> None:
        attempt = self._attempt("create", path)
        self._ask("put_object", Key=self._key(path), body=data, IfNoneMatch="*", attempt=attempt)

    def _delete_batch(self, paths: list[str]) -> None:
        wanted = {"Objects": [{"Key": self._key(path)} for path in paths], "Quiet": True}
        attempt = self._attempt("delete", paths[0])
        for problem in self._ask("delete_objects", Delete=wanted, attempt=attempt).get("Errors", []):
            code = problem.get("Code", "")
            if code != "NoSuchKey":
                raise _meaning(code, 0, problem.get("Message", ""), attempt)

    def _listed(self, prefix: str, folder: str) -> Iterator[ObjectInfo]:
        _, root = self._bucket()
        page: dict[str, Any] = {"Prefix": root + prefix}
        # Page by page: a listing of a million is never in memory whole. Who guards this sees to the first page, and the
        # others have a deadline and tries of their own.
        ask = self._ask
        while True:
            answer = ask("list_objects_v2", attempt=self._attempt("list", prefix), **page)
            for found in answer.get("Contents", []):
                path = found["Key"].removeprefix(root)
                if not path.endswith("/"):
                    yield ObjectInfo(path, int(found["Size"]), modified_of(found))
            if not answer.get("IsTruncated"):
                return
            page["ContinuationToken"] = answer["NextContinuationToken"]
            ask = self._ask_again

    def _key(self, path: str) -> str:
        return self._bucket()[1] + checked_path(path)

    def _bucket(self) -> tuple[str, str]:
        """Return the bucket, and what precedes each path in it."""
        bucket, _, prefix = self._filesystem()[1].partition("/")
        return bucket, f"{prefix}/" if prefix else ""

    def _make(self) -> tuple[Any, str]:
        from cachestore.storage.s3_client import S3Client

        filesystem, root = super()._make()
        # More than are worth having under way at once: several callers share a store.
        return S3Client(filesystem, timeout=self._timeout, connections=2 * self.at_once), root

    def close(self) -> None:
        """Let the connections go."""
        made, self._made = self._made, None
        if made is not None and made[0] == os.getpid():
            made[1].close()

    def _ask_again(self, operation: str, **arguments: Any) -> dict[str, Any]:
        return tried(lambda: self._ask(operation, **arguments), timeout=self._timeout)

    def _ask(
        self, operation: str, *, attempt: str, body: bytes | None = None, **arguments: Any
    ) -> dict[str, Any]:
        """Call an operation on the bucket."""
        bucket, _ = self._bucket()

        def call(client: Any) -> dict[str, Any]:
            if body is not None:
                arguments["Body"] = client.body(body)
            answer: dict[str, Any] = client.call(operation, Bucket=bucket, **arguments)
            return answer

        return self._within(call, attempt, absent=operation in _MAY_BE_ABSENT)

    def _within(self, call: Callable[[Any], T], attempt: str, *, absent: bool = False) -> T:
        client, _ = self._filesystem()
        try:
            return call(client)
        except Exception as error:
            raise self._failure(error, attempt, absent=absent) from error

    def _failure(self, error: Exception, attempt: str, *, absent: bool) -> StorageError:
        answer = getattr(error, "response", None)
        if isinstance(answer, Mapping):
            said = answer.get("Error", {})
            code = str(said.get("Code", ""))
            status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            if absent and code in {"NoSuchKey", "NoSuchUpload", "404"}:
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
                f"{attempt}: {told(error)}. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, "
                "or give `key` and `secret` in the storage options."
            )
        if any(kind.__name__ in _UNREACHABLE for kind in type(error).__mro__):
            return StorageError(
                f"{attempt}: {told(error)}. Look at the network, the endpoint "
                "(`endpoint_url` in the storage options, or AWS_ENDPOINT_URL) and the server.",
                transient=True,
            )
        return super()._failure(error, attempt, absent=absent)


def _is_ours(path: str) -> bool:
    # Other applications may use the bucket as well.
    return key_of(path) is not None or path.startswith((VERSIONS, MARKS))


# By name, for botocore and urllib3 are not imported for a look at an error.
_UNREACHABLE = {"ConnectionError", "HTTPClientError", "HTTPError", "IncompleteReadError"}


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
    if code == "NotImplemented" or status == 501:
        return StorageError(
            f"{attempt}: the server does not know such a request ({said}). Use another server."
        )
    if code in _BUSY or status >= 500 or status == 429:
        return StorageError(
            f"{attempt}: the server is busy or ill ({said}). Try again later.", transient=True
        )
    return StorageError(f"{attempt}: {said}. Look at the location and its storage options.")
