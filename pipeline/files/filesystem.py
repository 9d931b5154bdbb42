"""Reads files, and writes them whole or not at all, on local disks and Beam's file systems.

A path with a scheme (`gs://`, `s3://`) goes through Beam's FileSystems, any other path to a disk.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from textmill.model.errors import TextmillError
from textmill.model.small_files import check_regular
from textmill.model.text.corpus import find_files
from textmill.pipeline.files.error_causes import no_right, storage_refusal

ATTEMPT = ".attempt-"  # how the name of an unfinished file begins
_BLOCK = 1 << 20  # bytes that are hashed at a time


def sha256(data: bytes) -> str:
    """Gives the hexadecimal SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def is_remote(path: str) -> bool:
    """Tells whether a path is on one of Beam's file systems."""
    return "://" in path


def absolute(path: str) -> str:
    """Makes a path that means the same in every process."""
    return path.rstrip("/") if is_remote(path) else os.path.abspath(path)


def join(folder: str, *names: str) -> str:
    """Makes the path of a file in a folder."""
    if is_remote(folder):
        return "/".join([folder.rstrip("/"), *names])
    return str(Path(folder, *names))


def open_read(path: str) -> BinaryIO:
    """Opens a file for its bytes, not decompressed; it can be sought in.

    Raises:
        TextmillError: it cannot be opened.
    """
    with _telling("read", path):
        if is_remote(path):
            from apache_beam.io.filesystem import CompressionTypes

            return _beam().open(path, compression_type=CompressionTypes.UNCOMPRESSED)
        check_regular(path)
        return open(path, "rb")


def read(path: str) -> bytes:
    """Reads a whole file.

    Raises:
        TextmillError: it cannot be read.
    """
    with open_read(path) as file, _telling("read", path):
        return file.read()


def digest_of(path: str) -> str:
    """Gives the SHA-256 of a file as it is, in the memory of a block.

    Raises:
        TextmillError: it cannot be read.
    """
    digest = hashlib.sha256()
    with open_read(path) as file, _telling("read", path):
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def mark_of(path: str) -> str:
    """Gives what changes with a file, without reading it.

    On a disk size, times and inode; on Beam's file systems size, time and checksum, as far as they
    are known there.

    Raises:
        TextmillError: it is gone, or cannot be looked at.
    """
    with _telling("read", path):
        if is_remote(path):
            return _mark_of_remote(path)
        found = os.stat(path)
        return f"{found.st_size}-{found.st_mtime_ns}/{found.st_ctime_ns}-{found.st_ino}"


def of_content(mark: str) -> str:
    """Gives the part of a mark that a new name or new rights of the file leave as it is."""
    return mark.partition("/")[0]


def _mark_of_remote(path: str) -> str:
    found = _beam().match([path])[0].metadata_list
    known = [f"{each.size_in_bytes}-{each.last_updated_in_seconds}" for each in found]
    try:
        known.append(str(_beam().checksum(path)))
    except Exception:  # each raises its own; some have no checksums
        if not known:
            raise
    return " ".join(known)


def exists(path: str) -> bool:
    """Tells whether there is a file of that name."""
    if is_remote(path):
        with _telling("read", path):
            return _beam().exists(path)
    return os.path.exists(path)


def names(folder: str) -> list[str]:
    """Lists the names directly in a folder, sorted; none if there is no such folder."""
    if not is_remote(folder):
        try:
            return sorted(os.listdir(folder))
        except (FileNotFoundError, NotADirectoryError):
            return []
    prefix = folder.rstrip("/") + "/"
    with _telling("read", folder):
        found = _beam().match([prefix + "*"])[0].metadata_list
    inside = (file.path.removeprefix(prefix) for file in found)
    return sorted(name for name in inside if name and "/" not in name)


def find(patterns: Sequence[str]) -> list[str]:
    """Finds files for paths and patterns, on disks and on Beam's file systems, each once.

    Raises:
        TextmillError: a pattern matches nothing, or a name is not valid UTF-8.
    """
    found: dict[str, str] = {}  # by absolute path; if a file has two names, the first counts
    for pattern in patterns:
        for path in _matching(pattern) if is_remote(pattern) else find_files([pattern]):
            try:
                path.encode()
            except UnicodeEncodeError:
                raise TextmillError(f"the name of {path!r} is not valid UTF-8; rename it") from None
            found.setdefault(absolute(path), path)
    return list(found.values())


def _matching(pattern: str) -> list[str]:
    with _telling("list", pattern):
        matches = sorted(file.path for file in _beam().match([pattern])[0].metadata_list)
    if not matches:
        raise TextmillError(f"no file matches '{pattern}'; check the pattern and the folder")
    return matches


def remove(path: str) -> None:
    """Removes a file, if it is there."""
    if is_remote(path):
        if exists(path):
            with _telling("remove", path):
                _beam().delete([path])
        return
    with _telling("remove", path):
        Path(path).unlink(missing_ok=True)


def write_once(path: str | os.PathLike[str], data: bytes, *, attempts: str | None = None) -> bool:
    """Writes a whole file, if there is none of that name.

    If there are several attempts to write a file, the first one wins and the others leave nothing.
    On a disk, an attempt writes under a name of its own and then links the file to `path`. On
    `gs://`, the service creates an object only if it is absent. Beam's other file systems offer
    neither: there an attempt checks that the name is free just before it renames its file.

    Args:
        path: the file.
        data: its bytes.
        attempts: on a disk, the folder of the attempt's own file, which a kill leaves there; None
            means the file's folder.

    Returns:
        Whether this attempt wrote the file that is there now.

    Raises:
        TextmillError: it cannot be written; nothing is left under `path`.
    """
    target = os.fspath(path)
    if target.startswith("gs://"):
        return _create_object(target, data)
    if is_remote(target):
        return _write_remote(target, data)
    attempt = Path(attempts or Path(target).parent, f"{ATTEMPT}{uuid.uuid4().hex}")
    with _telling("write", target):
        try:
            with open(attempt, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            return _name(attempt, Path(target))
        finally:
            attempt.unlink(missing_ok=True)


def make_directory(path: str | os.PathLike[str], *, parents: bool = True) -> None:
    """Makes a directory; object stores need none.

    Args:
        path: the directory.
        parents: whether to make missing directories above it, too.

    Raises:
        TextmillError: it cannot be made.
    """
    path = os.fspath(path)
    if is_remote(path):
        return
    with _telling("make", path):
        if parents:
            os.makedirs(path, exist_ok=True)
        else:
            with contextlib.suppress(FileExistsError):
                os.mkdir(path)


def remove_attempts(folder: str) -> None:
    """Removes the files that killed processes have begun in a folder."""
    for name in names(folder):
        if name.startswith(ATTEMPT):
            remove(join(folder, name))


@contextlib.contextmanager
def local_copy(folder: str) -> Iterator[str]:
    """Gives a local folder with the files of a folder: the folder itself, if it is local."""
    if not is_remote(folder):
        yield folder
        return
    inside = names(folder)
    if not inside:
        raise TextmillError(f"{folder} holds no file")
    with tempfile.TemporaryDirectory(prefix="textmill-") as scratch:
        for name in inside:
            Path(scratch, name).write_bytes(read(join(folder, name)))
        yield scratch


def _name(attempt: Path, target: Path) -> bool:
    try:
        os.link(attempt, target)  # fails if the target exists, unlike a rename
    except FileExistsError:
        return False
    except PermissionError:  # a file system without hard links
        if target.exists():
            return False
        attempt.rename(target)
    return True


def _create_object(target: str, data: bytes) -> bool:
    """Creates an object of Cloud Storage if there is none: generation 0 means absence.

    If an answer was lost, the retry finds its own object and takes it for another attempt's. That
    does no harm, because the bytes are the same.
    """
    bucket, _, name = target.removeprefix("gs://").partition("/")
    with _telling("write", target):
        client = _gcs_client()
        from google.api_core.exceptions import PreconditionFailed

        try:
            client.bucket(bucket).blob(name).upload_from_string(
                data, content_type="application/octet-stream", if_generation_match=0
            )
        except PreconditionFailed:
            return False
    return True


def check_bucket(path: str) -> None:
    """Checks that objects can be created in the bucket of a `gs://` path.

    Raises:
        TextmillError: the bucket does not exist, or this account may not use it.
    """
    name = path.split("/")[2]
    with _telling("write", path):
        bucket = _gcs_client().get_bucket(name)
        if not bucket.test_iam_permissions(["storage.objects.create"]):
            raise TextmillError(f"cannot write {path}: {no_right(name)}")


def bucket_location(bucket: str) -> str:
    """Gives a bucket's region or multi-region, as Cloud Storage writes it.

    Raises:
        Exception: the bucket does not exist, or this account may not ask.
    """
    return _gcs_client().get_bucket(bucket).location


def _gcs_client() -> Any:
    # Beam's file system has the run's credentials, and says what to install if Google's packages
    # are missing.
    return _beam().get_filesystem("gs://any/thing")._gcsIO().client


def _write_remote(target: str, data: bytes) -> bool:
    from apache_beam.io.filesystem import CompressionTypes

    folder, _, _ = target.rpartition("/")
    attempt = f"{folder}/{ATTEMPT}{uuid.uuid4().hex}"
    with _telling("write", target):
        try:
            with _beam().create(attempt, compression_type=CompressionTypes.UNCOMPRESSED) as file:
                file.write(data)
            if _beam().exists(target):
                return False
            _beam().rename([attempt], [target])
            return True
        finally:
            if _beam().exists(attempt):
                _beam().delete([attempt])


def _beam() -> Any:
    from apache_beam.io.filesystems import FileSystems

    return FileSystems


@contextlib.contextmanager
def _telling(what: str, path: str) -> Iterator[None]:
    """Turns an error of a file system into one line."""
    try:
        yield
    except TextmillError:
        raise
    except Exception as error:  # each of Beam's file systems raises its own
        reason = storage_refusal(error, path) if path.startswith("gs://") else None
        if reason is not None:
            raise TextmillError(f"cannot {what} {path}: {reason}") from None
        if isinstance(error, OSError):
            raise TextmillError(f"cannot {what} {path}: {error.strerror or error}") from None
        reason = str(error).strip().split("\n")[0][:200]
        raise TextmillError(f"cannot {what} {path}: {reason or type(error).__name__}") from None
