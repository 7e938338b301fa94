"""TLS keeps the name though the connection is made by number."""

import ssl
import threading
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

BODY = b"<rss version='2.0'/>" * 5_000  # more than one record of TLS


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_):
        pass


@dataclass
class TlsServer:
    """Where the server listens, its certificate, and the names that clients asked for."""

    url: str
    certificate: str
    asked: list = field(default_factory=list)


@pytest.fixture
def tls_server(tmp_path, now):
    """A server for news.example with a certificate that it signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "news.example")])
    certificate = (
        x509.CertificateBuilder(
            name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=36_500)
        )
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("news.example")]), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    file = tmp_path / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + certificate)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    told = TlsServer(f"https://news.example:{server.server_port}/feed", certificate.decode())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    context.sni_callback = lambda _socket, server_name, _context: told.asked.append(server_name)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield told
    server.shutdown()
    server.server_close()
    thread.join()


async def _resolve(host, port):
    return ["127.0.0.1"]


def test_the_name_is_asked_for_and_a_certificate_that_nobody_trusts_is_refused(tls_server, fetch):
    outcome = fetch(tls_server.url, resolve=_resolve)
    assert tls_server.asked == ["news.example"]
    assert (outcome.severity, outcome.reason) == ("soft", "tls")


def test_a_trusted_server_is_read_whole(tls_server, fetch, monkeypatch):
    trusted = ssl.create_default_context(cadata=tls_server.certificate)
    monkeypatch.setattr("flows.feeds.fetch._tls_context", lambda: trusted)
    outcome = fetch(tls_server.url, resolve=_resolve)
    assert outcome.body == BODY
    assert tls_server.asked == ["news.example"]


def test_the_certificate_of_another_name_is_refused_though_it_is_trusted(tls_server, fetch, monkeypatch):
    trusted = ssl.create_default_context(cadata=tls_server.certificate)
    monkeypatch.setattr("flows.feeds.fetch._tls_context", lambda: trusted)
    outcome = fetch(tls_server.url.replace("news.example", "other.example"), resolve=_resolve)
    assert (outcome.severity, outcome.reason) == ("soft", "tls")


def test_authorities_are_read_only_when_a_server_is_asked_by_https(server, fetch, monkeypatch):
    read = []
    monkeypatch.setattr("flows.feeds.fetch._tls_context", lambda: read.append(1))
    outcome = fetch(server.reply("/feed", b"<rss/>"))
    assert outcome.body == b"<rss/>"
    assert read == []
