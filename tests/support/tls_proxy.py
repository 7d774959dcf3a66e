"""TLS in front of a server that has none built in, with a certificate of its own authority."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self


class Certificates:
    """A certificate authority, and a certificate for 127.0.0.1 that it signed.

    Args:
        directory: where the files are made.
    """

    def __init__(self, directory: Path) -> None:
        self.authority, self.key = directory / "ca.pem", directory / "server.key"
        self.certificate = directory / "server.pem"
        authority_key, request = directory / "ca.key", directory / "server.csr"
        names = directory / "names"
        names.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost")
        elliptic = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        _openssl(
            "req", "-x509", *elliptic, "-days", "2", "-subj", "/CN=tests",
            "-keyout", authority_key, "-out", self.authority,
        )  # fmt: skip
        _openssl("req", *elliptic, "-subj", "/CN=localhost", "-keyout", self.key, "-out", request)
        _openssl(
            "x509", "-req", "-in", request, "-CA", self.authority, "-CAkey", authority_key,
            "-CAcreateserial", "-days", "2", "-extfile", names, "-out", self.certificate,
        )  # fmt: skip


def _openssl(*words: str | Path) -> None:
    done = subprocess.run(
        ["openssl", *map(str, words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


class TlsProxy:
    """Ends TLS and hands the bytes on; a context manager.

    Args:
        certificates: what it shows.
        target: the port on loopback behind it.
        asks: whether clients have to show a certificate of the same authority.
    """

    def __init__(self, certificates: Certificates, target: int, *, asks: bool = False) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificates.certificate, certificates.key)
        if asks:
            self._context.verify_mode = ssl.CERT_REQUIRED
            self._context.load_verify_locations(certificates.authority)
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.accepted = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                plain, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=[plain], daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        try:
            client = self._context.wrap_socket(plain, server_side=True)
        except OSError:
            # A client that does not trust us hangs up.
            plain.close()
            return
        self.accepted += 1
        server = socket.create_connection(("127.0.0.1", self._target))
        back = threading.Thread(target=_pipe, args=[server, client], daemon=True)
        back.start()
        _pipe(client, server)


def _pipe(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):
            end.close()
