"""What certificates cost the sink: `python -m tests.bench.bench_corpus [observations] [certificates]`.

    warm    a SQLite store that holds CERTIFICATES certificates, and OBSERVATIONS tls records whose chains (a leaf of
            its own, two shared authorities, each of some 1,300 bytes) are all of them: the stage as it is run (decode,
            batch, write, acknowledge, synchronous=FULL). Beside it in the same run, by turns, the same records without
            a certificate. The difference is what the corpus adds; the bar is on CPU an observation, of the whole
            process.
    read    one certificate read anew into its document, as the sink does it for one that it has not seen
    judge   one certificate judged: read, path to a root, every verdict

Values are minimum, median and maximum of the rounds.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from stages.core.outcome import Outcome, Phase
from stages.core.records import Tls
from stages.derive.paths import Node
from stages.derive.roots import RootStore
from stages.derive.verdicts import judge
from stages.proto.x509.certificate import document, read
from stages.sink.certificate import Known
from stages.sink.settings import SinkSettings
from stages.sink.sqlite import SqliteStore
from stages.sink.stage import SinkStage
from tests.bench.bench_sink import cpu, drive, figures, ip
from tests.bench.rows import measured
from tests.certificates.zoo import NOW, Cert, basic, extension, intermediate, leaf, root, rsa, san

OBSERVATIONS = 16_000
CERTIFICATES = 16_000
ROUNDS = 5
#: Microseconds of CPU that the corpus may add to an observation when it is warm.
BAR = 30.0
T0 = 1_795_244_400_000_000


def sized(name: str, issuer: Cert) -> Cert:
    """A certificate as large as an ordinary one of the web: an RSA key, and extensions that fill the rest."""
    extensions = (san(name), basic(False), extension("1.2.3.4", bytes(700)))
    return leaf(name, issuer, spki=rsa().spki, extensions=extensions)


def record(k: int, scan: str, ders: list[bytes]) -> bytes:
    chain = [sha256(der).hexdigest() for der in ders]
    return Tls(
        scan, T0 + k, ip(k), 443, Outcome.OK, Phase.FINISH,
        hit="a" * 32, connect=0.01, first_byte=0.02, ended=0.03, version="TLSv1.3", alpn="h2",
        cipher_suite="TLS_AES_128_GCM_SHA256", chain=chain, certificates=ders,
    ).dump()  # fmt: skip


async def warm(observations: int, certificates: int) -> bool:
    authorities = [sized("Bench Intermediate", root()).der, sized("Bench Root", root()).der]
    leaves = [sized(f"h{k}.bench.example", intermediate()).der for k in range(certificates)]
    chains = [[leaves[k % certificates], *authorities] for k in range(observations)]
    added: list[float] = []
    spent: dict[str, list[float]] = {"with": [], "without": []}
    with tempfile.TemporaryDirectory() as folder:
        known = Known()
        path = Path(folder) / "bench.db"
        holder = SqliteStore(path)
        await holder.open()
        number = 0

        async def run(ders: list[list[bytes]]) -> float:
            nonlocal number
            number += 1
            lines = [record(k, f"s{number}", chain) for k, chain in enumerate(ders)]
            stage = SinkStage(SqliteStore(path), SinkSettings(), known=known)
            await stage.start()
            used = cpu()
            await drive(stage, lines)
            used = cpu() - used
            await stage.close()
            return used / len(lines) * 1e6

        figures("cold: CPU an observation, all certificates new", [await run(chains)], "us")
        for turn in range(ROUNDS):
            for kind in ("with", "without")[:: 1 if turn % 2 else -1]:
                spent[kind].append(await run(chains if kind == "with" else [[] for _ in chains]))
            added.append(spent["with"][-1] - spent["without"][-1])
        await holder.close()
    figures("warm: CPU an observation with its chain of 3", spent["with"], "us")
    figures("warm: CPU an observation without", spent["without"], "us")
    return measured("warm: what the corpus adds to an observation", added, "us CPU", bar=BAR, at_most=True)


def each(name: str, work: Callable[[bytes], object], ders: list[bytes]) -> None:
    values = []
    for _ in range(ROUNDS):
        used = time.process_time()
        for der in ders:
            work(der)
        values.append((time.process_time() - used) / len(ders) * 1e6)
    figures(name, values, "us")


async def main(observations: str = str(OBSERVATIONS), certificates: str = str(CERTIFICATES)) -> int:
    ders = [sized(f"h{k}.bench.example", intermediate()).der for k in range(1_000)]
    roots, pool = RootStore.of("zoo", [root().der]), RootStore.of("", [intermediate().der])
    each("read a certificate into its document", lambda der: document(read(der)), ders)
    each(
        "judge a certificate",
        lambda der: judge(Node.of(read(der)), NOW, {"zoo": roots.issuers}, pool.issuers, ["h1.bench.example"]),
        ders,
    )
    good = await warm(int(observations), int(certificates))
    print("above the bar" if good else "BELOW THE BAR")
    return 0 if good else 1


if __name__ == "__main__":
    os.environ["LONGLINE_CONFINE"] = "1"
    sys.exit(asyncio.run(main(*sys.argv[1:])))
