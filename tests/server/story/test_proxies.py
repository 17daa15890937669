"""Behind a reverse proxy: what its page says to configure works, and nobody comes through one without a key."""

import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.server import ROOT, Keys, Server, create_key

PAGE = (ROOT / "docs/operations/reverse-proxy.md").read_text()
LARGEST = bytes(5 * 2**20)
"""A picture as large as it may be, were it one."""

NGINX = """\
daemon off;
user root;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
access_log off;
client_body_temp_path {folder}/bodies;
proxy_temp_path {folder}/answers;
fastcgi_temp_path {folder}/f;
uwsgi_temp_path {folder}/u;
scgi_temp_path {folder}/s;
{site}
}}
"""
CADDY = "{{\nadmin off\nauto_https disable_redirects\nskip_install_trust\n}}\n{site}\n"

Start = Callable[[str], int]
"""What the proxy does, with PORT where it shall listen → the port that it listens on."""


@pytest.fixture(scope="module")
def start_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, str, list[str]], int]]:
    """Starts proxies that end with the tests; skips where there is none."""
    with ExitStack() as stack:

        def start(program: str, config: str, arguments: list[str]) -> int:
            if shutil.which(program) is None:
                pytest.skip(f"{program} is not installed")
            folder = tmp_path_factory.mktemp(program)
            port = free_port()
            file = folder / "config"
            file.write_text(config.replace("FOLDER", str(folder)).replace("PORT", str(port)))
            environment = {"HOME": str(folder), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
            command = [program, *arguments, str(file)]
            with (folder / "output").open("w") as output:
                process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
            stack.callback(process.wait, 20)
            stack.callback(process.terminate)
            deadline = time.monotonic() + 20
            while not accepts(port):
                alive = process.poll() is None and time.monotonic() < deadline
                assert alive, (folder / "output").read_text()
                time.sleep(0.05)
            return port

        yield start


@pytest.fixture(scope="module")
def nginx(start_proxy: Callable[[str, str, list[str]], int]) -> Start:
    """Starts nginx with a site."""
    return lambda site: start_proxy("nginx", NGINX.format(folder="FOLDER", site=site), ["-c"])


@pytest.fixture(scope="module")
def caddy(start_proxy: Callable[[str, str, list[str]], int]) -> Start:
    """Starts Caddy with a site."""
    arguments = ["run", "--adapter", "caddyfile", "--config"]
    return lambda site: start_proxy("caddy", CADDY.format(site=site), arguments)


@pytest.fixture(scope="module")
def data_dir(new_data_dir: Callable[[], Path]) -> Path:
    """The data directory of the server that asks for keys."""
    return new_data_dir()


@pytest.fixture(scope="module")
def guarded(start_server: Callable[..., Server], data_dir: Path) -> Server:
    """A server that asks for keys."""
    keys = create_key(data_dir, "backend")
    server = start_server(data_dir)
    server.keys = keys
    return server


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for this machine, and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "cert.pem", folder / "key.pem"


def free_port() -> int:
    """Returns a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def accepts(port: int) -> bool:
    """Says whether somebody listens there."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def block(language: str) -> str:
    """Returns the page's configuration of a proxy."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    """Returns a configuration with what is particular to this machine in it."""
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


def client(url: str, keys: Keys = ("test", "test"), verify: Path | None = None) -> Any:
    """An unmodified SDK client of a proxy, without retries."""
    return boto3.Session(*keys).client(
        "rekognition",
        endpoint_url=url,
        region_name="eu-central-1",
        verify=str(verify) if verify else None,
        config=Config(retries={"total_max_attempts": 1}),
    )


def refusal(call: Callable[[], object]) -> tuple[str, str]:
    """Returns code and text of the error with which a call is refused."""
    with pytest.raises(ClientError) as refused:
        call()
    error = refused.value.response["Error"]
    return error["Code"], error["Message"]


def use(rekognition: Any, name: str) -> None:
    """Calls as programs do: small and large, one after the other, on connections that are kept."""
    rekognition.create_collection(CollectionId=name)
    for _ in range(5):
        assert name in rekognition.list_collections()["CollectionIds"]
    picture = {"Bytes": LARGEST}
    for call in (
        lambda: rekognition.search_faces_by_image(CollectionId=name, Image=picture),
        lambda: rekognition.compare_faces(SourceImage=picture, TargetImage=picture),
    ):
        assert refusal(call)[0] == "InvalidImageFormatException"  # so all of it arrived as it was signed
    rekognition.delete_collection(CollectionId=name)


def test_the_page_s_nginx(nginx: Start, guarded: Server, certificate: tuple[Path, Path]) -> None:
    """With TLS, on a port of its own, with the largest pictures there are."""
    site = replaced(
        block("nginx"),
        ("127.0.0.1:8080", urlsplit(guarded.url).netloc),
        ("listen 443", "listen 127.0.0.1:PORT"),
        ("/etc/ssl/faces.example.pem", str(certificate[0])),
        ("/etc/ssl/faces.example.key", str(certificate[1])),
    )
    use(client(f"https://localhost:{nginx(site)}", guarded.keys, certificate[0]), "by-nginx")


def test_the_page_s_caddy(caddy: Start, guarded: Server, certificate: tuple[Path, Path]) -> None:
    """Likewise; only the certificate is this test's."""
    site = replaced(
        block("caddyfile"),
        ("127.0.0.1:8080", urlsplit(guarded.url).netloc),
        ("faces.example {", f"https://localhost:PORT {{\ntls {certificate[0]} {certificate[1]}"),
    )
    use(client(f"https://localhost:{caddy(site)}", guarded.keys, certificate[0]), "by-caddy")


def location(server: Server, *lines: str, path: str = "/") -> str:
    """A site of nginx that only passes on, with further directives."""
    said = " ".join(f"{line};" for line in (f"proxy_pass {server.url}", *lines))
    return f"server {{ listen 127.0.0.1:PORT; client_max_body_size 15m; location {path} {{ {said} }} }}"


DEFAULTS = (
    (),
    ("proxy_set_header Host localhost",),
    ("proxy_http_version 1.1", "proxy_set_header X-Forwarded-For $remote_addr"),
    ("proxy_http_version 1.1", "proxy_set_header X-Real-IP $remote_addr"),
)


@pytest.mark.parametrize("lines", DEFAULTS, ids=map(", ".join, DEFAULTS))
def test_nobody_comes_through_nginx_without_a_key(nginx: Start, server: Server, lines: tuple[str, ...]) -> None:
    """Neither as it comes, which rewrites Host to a loopback address, nor with the usual headers."""
    code, text = refusal(client(f"http://127.0.0.1:{nginx(location(server, *lines))}").list_collections)
    assert code == "AccessDeniedException"
    assert "create a key" in text


def test_a_host_that_nginx_rewrites_is_explained_in_the_log(nginx: Start, guarded: Server, data_dir: Path) -> None:
    """The caller is told what AWS tells; the operator which Host was signed and which arrived."""
    port = nginx(location(guarded, "proxy_set_header X-Forwarded-Host $http_host"))
    assert refusal(client(f"http://localhost:{port}", guarded.keys).list_collections)[0] == "InvalidSignatureException"
    lines = [json.loads(line) for line in (data_dir / "server.log").read_text().splitlines() if line.startswith("{")]
    line = [line for line in lines if line["event"] == "signature_mismatch"][-1]
    assert (line["host"], line["signed_host"]) == (urlsplit(guarded.url).netloc, f"localhost:{port}")


def test_a_path_prefix_cannot_work(nginx: Start, guarded: Server) -> None:
    """Kept, it is another page than the service's; taken away, another than the one that was signed."""
    assert refusal(client(f"{guarded.url}/faces", guarded.keys).list_collections)[0] == "404"
    port = nginx(
        location(guarded, "rewrite ^/faces/?(.*)$ /$1 break", "proxy_set_header Host $http_host", path="/faces")
    )
    prefixed = client(f"http://127.0.0.1:{port}/faces", guarded.keys)
    assert refusal(prefixed.list_collections)[0] == "InvalidSignatureException"


def exchange(server: Server, version: str, *headers: str) -> bytes:
    """Sends a request that nobody signs by a socket of its own and returns all that comes back."""
    lines = (
        f"POST / HTTP/{version}",
        f"Host: {urlsplit(server.url).netloc}",
        "Content-Type: application/x-amz-json-1.1",
        "X-Amz-Target: RekognitionService.ListCollections",
        "Content-Length: 2",
        "Connection: close",
        *headers,
    )
    with socket.create_connection((urlsplit(server.url).hostname or "", urlsplit(server.url).port or 0), 20) as peer:
        peer.sendall("\r\n".join(lines).encode() + b"\r\n\r\n{}")
        return b"".join(iter(lambda: peer.recv(65_536), b""))


@pytest.mark.parametrize(
    ("version", "headers"),
    [
        ("1.0", ()),
        ("1.0", ("X-Forwarded-For: 10.0.0.1",)),
        ("1.1", ("Forwarded: for=10.0.0.1",)),
        ("1.1", ("Via: 1.1 proxy",)),
        ("1.1", ("x-forwarded-proto: https",)),
        ("1.1", ("X-REAL-IP: 10.0.0.1",)),
        ("1.1", ("X-Forwarded-Host:",)),
        ("1.1", ("Host: localhost",)),
    ],
)
def test_what_tells_of_a_proxy_needs_a_key(server: Server, version: str, headers: tuple[str, ...]) -> None:
    """In whatever way it is said; the same request without it is served."""
    assert b" 200 " in exchange(server, "1.1").partition(b"\r\n")[0]
    answer = exchange(server, version, *headers)
    assert b" 400 " in answer.partition(b"\r\n")[0]
    assert b'"AccessDeniedException"' in answer
    assert b"create a key" in answer
