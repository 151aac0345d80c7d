"""Who may talk to whom: addresses that need no keys, and CURVE keys with an allow-list for all others.

A folder of keys::

    learner.key  learner.key_secret      the learner's own pair; actors need the first
    NAME.key_secret                      the pair of an actor called NAME
    allowed/NAME.key                     the allow-list: public keys of the actors that the learner lets in

A ``.key_secret`` is readable by its owner alone. https://rfc.zeromq.org/spec/26/ says what CURVE does.
"""

from __future__ import annotations

import fcntl
import ipaddress
import os
import re
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import zmq
import zmq.auth
import zmq.auth.thread

LEARNER, ALLOWED = "learner", "allowed"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,40}")


@dataclass(frozen=True)
class LearnerKeys:
    """The learner's pair, and the folder of public keys it lets in."""

    public: bytes
    secret: bytes
    allowed: Path


@dataclass(frozen=True)
class ActorKeys:
    """An actor's pair, and the learner's public key, which proves that the learner is who it should be."""

    public: bytes
    secret: bytes
    learner: bytes


def make_keys(folder: Path, actors: tuple[str, ...] = ("actor",)) -> list[Path]:
    """Make the pairs that ``folder`` lacks, of the learner and of ``actors``; the files made. Nothing is overwritten.

    Raises ValueError for a name that cannot be a file's.
    """
    for name in actors:
        if not _NAME.fullmatch(name) or name == LEARNER:
            raise ValueError(f"'{name}' cannot be an actor's name: use letters, digits, '-' and '_', not '{LEARNER}'")
    (folder / ALLOWED).mkdir(parents=True, exist_ok=True)
    folder.chmod(stat.S_IRWXU)
    made: list[Path] = []
    for name in (LEARNER, *actors):
        if (folder / f"{name}.key_secret").exists():
            continue
        with tempfile.TemporaryDirectory(dir=folder) as fresh:
            public, secret = map(Path, zmq.auth.create_certificates(fresh, name))
            secret.chmod(stat.S_IRUSR | stat.S_IWUSR)
            place = folder if name == LEARNER else folder / ALLOWED
            made += [public.rename(place / public.name), secret.rename(folder / secret.name)]
    return made


def learner_keys(folder: Path) -> LearnerKeys:
    """Raises ValueError, one line, where keys are missing or not private, or nobody would be let in."""
    public, secret = _pair(folder, LEARNER)
    if not any((folder / ALLOWED).glob("*.key")):
        raise ValueError(f"'{folder / ALLOWED}' lets nobody in: `robot-rl keys --actors NAME` makes an actor's key")
    return LearnerKeys(public, secret, folder / ALLOWED)


def actor_keys(folder: Path, name: str) -> ActorKeys:
    """Raises ValueError, one line, where a key is missing or not private."""
    public, secret = _pair(folder, name)
    path = folder / f"{LEARNER}.key"
    if not path.exists():
        raise ValueError(f"no '{path}': copy the learner's public key there")
    return ActorKeys(public, secret, zmq.auth.load_certificate(path)[0])


def _pair(folder: Path, name: str) -> tuple[bytes, bytes]:
    path = folder / f"{name}.key_secret"
    if not path.exists():
        raise ValueError(f"no '{path}': make keys with `robot-rl keys --folder {folder}`")
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ValueError(
            f"'{path}' can be read by others: `chmod 600 {path}`, and make new keys if it was copied about"
        )
    try:
        public, secret = zmq.auth.load_certificate(path)
    except (ValueError, OSError) as error:
        raise ValueError(f"'{path}' holds no key pair ({error}): make new ones with `robot-rl keys`") from None
    if secret is None:
        raise ValueError(f"'{path}' holds no secret key: make new ones with `robot-rl keys`")
    return public, secret


def default_endpoint() -> str:
    """A socket in a folder that only this user can enter."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(runtime) / "robot-rl" if runtime else Path(tempfile.gettempdir()) / f"robot-rl-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    about = folder.lstat()
    if about.st_uid != os.getuid() or stat.S_IMODE(about.st_mode) & 0o077 or not stat.S_ISDIR(about.st_mode):
        raise ValueError(f"'{folder}' is not yours alone: remove it, or give --endpoint")
    return f"ipc://{folder / 'learner'}"


def check_endpoint(endpoint: str, keys: LearnerKeys | ActorKeys | None) -> None:
    """Raises ValueError for an address that others can reach, unless there are keys; and for what is no address."""
    transport, _, address = endpoint.partition("://")
    if transport == "ipc" and address.startswith("/"):
        return
    host, _, port = address.rpartition(":")
    if transport != "tcp" or not port.isdigit() or not host:
        raise ValueError(f"'{endpoint}' is no address of a link: give ipc:///folder/name or tcp://host:port")
    if keys is None and not _is_loopback(host):
        raise ValueError(
            f"'{endpoint}' can be reached by others: give --keys FOLDER (`robot-rl keys` makes one), or an address "
            "of this machine alone (tcp://127.0.0.1:port, ipc:///folder/name)"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:  # a name may come to mean another machine at any time
        return False


def claim_endpoint(endpoint: str) -> TextIO | None:
    """A lock beside an ipc socket: binding would silently take it from a learner that lives."""
    transport, _, path = endpoint.partition("://")
    if transport != "ipc":
        return None
    Path(path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = Path(f"{path}.lock").open("a")  # noqa: SIM115 - held until closed
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise ValueError(f"a learner listens on '{endpoint}' already: stop it, or give another --endpoint") from None
    return lock


def secure_learner(context: zmq.Context, socket: zmq.Socket, keys: LearnerKeys) -> zmq.auth.thread.ThreadAuthenticator:
    """Make ``socket`` a CURVE server that lets in the allow-list alone. Stop what is returned when done."""
    authenticator = zmq.auth.thread.ThreadAuthenticator(context)
    authenticator.start()
    authenticator.configure_curve(domain="*", location=str(keys.allowed))
    socket.curve_publickey, socket.curve_secretkey, socket.curve_server = keys.public, keys.secret, True
    return authenticator


def secure_actor(socket: zmq.Socket, keys: ActorKeys) -> None:
    """Make ``socket`` a CURVE client of the learner."""
    socket.curve_publickey, socket.curve_secretkey, socket.curve_serverkey = keys.public, keys.secret, keys.learner
