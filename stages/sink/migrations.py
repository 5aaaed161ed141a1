"""The tables of the SQLite store, as numbered steps (`SqliteFile.migrate`): a step, once released, is never changed.

How a document lies in a row: what is searched by in columns, the rest as JSON in `body`, bytes in columns of their own
(JSON has none). A record id of 32 hex digits is stored as 16 bytes. The address is 16 bytes, so that a network is a
range in an index of both families; the text is made from it when read.

`services` is clustered by its key: a network's services lie together, and an upsert touches one page.
"""

from __future__ import annotations

from typing import Final

_SERVICES_AND_OBSERVATIONS: Final = """
CREATE TABLE services (
    address BLOB NOT NULL,
    port INTEGER NOT NULL,
    transport TEXT NOT NULL,
    name TEXT NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    hit_ts INTEGER, hit_id TEXT, hit TEXT,
    banner_ts INTEGER, banner_id TEXT, banner TEXT, banner_data BLOB,
    tls_ts INTEGER, tls_id TEXT, tls TEXT,
    PRIMARY KEY (address, port, transport, name)
) WITHOUT ROWID;

CREATE TABLE observations (
    id NOT NULL,
    kind TEXT NOT NULL,
    scan TEXT NOT NULL,
    ts INTEGER NOT NULL,
    address BLOB NOT NULL,
    port INTEGER NOT NULL,
    transport TEXT NOT NULL,
    name TEXT NOT NULL,
    body TEXT NOT NULL,
    data BLOB
);
CREATE UNIQUE INDEX observations_id ON observations (id);
CREATE INDEX observations_ts ON observations (ts);
CREATE INDEX observations_address ON observations (address, port)
"""

_CERTIFICATES_AND_SCANS: Final = """
CREATE TABLE certificates (
    sha256 BLOB NOT NULL PRIMARY KEY,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    fields TEXT NOT NULL,
    raw BLOB NOT NULL
);
CREATE TABLE certificate_names (
    name TEXT NOT NULL,
    sha256 BLOB NOT NULL,
    PRIMARY KEY (name, sha256)
) WITHOUT ROWID;

CREATE TABLE scans (
    scan TEXT NOT NULL PRIMARY KEY,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    start_ts INTEGER, start_id TEXT, start TEXT,
    progress_ts INTEGER, progress_id TEXT, progress TEXT,
    end_ts INTEGER, end_id TEXT, "end" TEXT
) WITHOUT ROWID
"""

#: In order; the number of steps is the version of the tables.
MIGRATIONS: Final = (_SERVICES_AND_OBSERVATIONS, _CERTIFICATES_AND_SCANS)

#: Name of the store's tables in the file's table of versions.
PART: Final = "store"
