"""TLS: the echo of `streams_echo`, encrypted, with a certificate that is generated for this run.

What you see: `echo-*` and `client-*` tasks as in `streams_echo`, and `stranger-*` tasks that fail with
`SSLCertVerificationError`, because they do not trust the certificate's issuer. A handshake is a millisecond
of computing in the loop, which a server notices at hundreds a second. (Needs cryptography, to create the
certificate.)
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import itertools
import random
import ssl
import tempfile
from pathlib import Path

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import NoFinding, NoSlowCallback, NoUnhandled, TaskEnded, Utilization, Waiting

SAMPLE = Sample(
    name="tls_echo",
    topic="networks",
    sentence="A TLS server echoes the lines of clients that trust its certificate; others refuse to connect.",
    fix=None,
    expectations=(
        Waiting(kind="socket", task="echo-*", at_least=2),
        Waiting(kind="sleep", task="client-*", at_least=1),
        TaskEnded(task="stranger-*", outcome="failed", exception="SSLCertVerificationError", times=2),
        Utilization(at_most=0.3),
        NoSlowCallback(),
        NoUnhandled(),
        NoFinding(),
    ),
    needs=("cryptography", "cryptography.x509", "cryptography.hazmat.primitives.serialization"),
)


def certificate() -> tuple[bytes, bytes]:
    """A self-signed certificate for 127.0.0.1, valid for a day, and its key; both as PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a sample")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return signed.public_bytes(pem), plain


def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The TLS contexts of the server, and of a client that trusts it."""
    public, private = certificate()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:  # the ssl module only reads keys from files
        chain = Path(folder, "chain.pem")
        chain.touch(mode=0o600)
        chain.write_bytes(private + public)
        server.load_cert_chain(chain)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # `create_default_context` also loads the system's certificates
    client.load_verify_locations(cadata=public.decode())
    return server, client


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Echo lines until the other side disconnects."""
    with contextlib.suppress(ConnectionError, ssl.SSLError), contextlib.closing(writer):
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()


async def client(port: int, trust: ssl.SSLContext, rng: random.Random) -> None:
    """Send something now and then, and check the echo."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust)
    with contextlib.closing(writer):
        while True:
            said = rng.randbytes(rng.randrange(1, 1000)).hex().encode() + b"\n"
            writer.write(said)
            if await reader.readline() != said:
                raise ValueError("something else came back")
            await asyncio.sleep(rng.uniform(0.05, 0.15))


async def stranger(port: int, doubt: ssl.SSLContext) -> None:
    """Connect without trusting the server. Raises ssl.SSLError."""
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=doubt)
    writer.close()


async def main(options: Options) -> None:
    """Start the server, its clients, and an untrusting client now and then."""
    rng = random.Random(options.seed)
    ours, trust = await asyncio.to_thread(contexts)
    doubt = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody; contexts should be created once
    async with asyncio.TaskGroup() as group:

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            group.create_task(echo(reader, writer), name=f"echo-{writer.get_extra_info('peername')[1]}")

        server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=ours)
        port = server.sockets[0].getsockname()[1]
        try:
            for number in range(4):
                group.create_task(client(port, trust, rng), name=f"client-{number}")
            for number in itertools.count(1):
                task = asyncio.create_task(stranger(port, doubt), name=f"stranger-{number}")
                await asyncio.gather(task, return_exceptions=True)
                print(f"stranger-{number}: {task.exception()}")
                await asyncio.sleep(0.7)
        finally:
            server.close()


if __name__ == "__main__":
    run(main, SAMPLE)
