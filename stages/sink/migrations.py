"""The tables of the SQLite store, as numbered steps (`SqliteFile.migrate`): a step, once released, is never changed.

How a document lies in a row: what is searched by in columns, the rest as JSON in `body`, bytes in columns of their own
(JSON has none). A record id of 32 hex digits is stored as 16 bytes, an address as 4 or 16.

What writing costs is the pages that it touches at random places, twice (WAL, then file). So:
- `observations` has one such index, not two: an id is a hash over scan, address and port among others, so (scan,
  address, port, id) is as unique as id alone, and finds the history of an address too, scan by scan. The scan comes
  first since a batch is of one scan or a few: what it touches is as large as the scan, not as the whole history;
- `services` has rowids and an index of its key, and is not clustered by it: rows of half a kilobyte put at random
  places of a tree split its pages again and again (measured: half the speed).
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
    tls_ts INTEGER, tls_id TEXT, tls TEXT
);
CREATE UNIQUE INDEX services_key ON services (address, port, transport, name);

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
CREATE UNIQUE INDEX observations_key ON observations (address, port, id);
CREATE INDEX observations_ts ON observations (ts)
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

#: Names by their labels from the last to the first, so that all below one domain stand together. What was stored
#: under the name itself is turned round: each step takes the first label of `rest` and puts it before what there is.
_CORPUS: Final = """
CREATE TABLE names (
    reversed TEXT NOT NULL,
    sha256 BLOB NOT NULL,
    PRIMARY KEY (reversed, sha256)
) WITHOUT ROWID;
INSERT OR IGNORE INTO names
    WITH RECURSIVE turned (sha256, rest, reversed) AS (
        SELECT sha256, name || '.', NULL FROM certificate_names
        UNION ALL
        SELECT sha256, substr(rest, instr(rest, '.') + 1),
            substr(rest, 1, instr(rest, '.') - 1) || coalesce('.' || reversed, '')
        FROM turned WHERE rest <> ''
    )
    SELECT reversed, sha256 FROM turned WHERE rest = '';
DROP TABLE certificate_names;

ALTER TABLE certificates ADD COLUMN verdicts TEXT;
CREATE INDEX certificates_expiry ON certificates (json_extract(fields, '$.not_after'));
CREATE INDEX certificates_first_seen ON certificates (first_seen);
CREATE INDEX certificates_authority ON certificates (json_extract(fields, '$.subject_sha256'), sha256)
    WHERE json_extract(fields, '$.ca') = 1;

CREATE TABLE sightings (
    thing TEXT NOT NULL,
    hash BLOB NOT NULL,
    address BLOB NOT NULL,
    port INTEGER NOT NULL,
    transport TEXT NOT NULL,
    name TEXT NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    PRIMARY KEY (thing, hash, address, port, transport, name)
) WITHOUT ROWID;
CREATE TABLE jobs (
    job TEXT NOT NULL PRIMARY KEY,
    state TEXT NOT NULL
) WITHOUT ROWID
"""

#: Step 1 had the address first: then a batch touched a page of its own for each address, the more the older the file.
_OBSERVATIONS_BY_SCAN: Final = """
DROP INDEX observations_key;
CREATE UNIQUE INDEX observations_key ON observations (scan, address, port, id)
"""

_ERASURES: Final = """
CREATE TABLE erasures (
    number INTEGER PRIMARY KEY,
    network TEXT NOT NULL,
    at INTEGER NOT NULL,
    reason TEXT NOT NULL,
    observations INTEGER NOT NULL,
    services INTEGER NOT NULL,
    sightings INTEGER NOT NULL,
    ended INTEGER
)
"""

#: The states of services and what happened to them (`stages.sink.history`).
_HISTORY: Final = """
CREATE TABLE states (
    address BLOB NOT NULL,
    port INTEGER NOT NULL,
    transport TEXT NOT NULL,
    name TEXT NOT NULL,
    down_since INTEGER,
    missing INTEGER NOT NULL,
    certificate BLOB,
    key BLOB,
    ssh BLOB,
    body TEXT NOT NULL
);
CREATE UNIQUE INDEX states_key ON states (address, port, transport, name);
CREATE INDEX states_down ON states (down_since) WHERE down_since IS NOT NULL;
CREATE INDEX states_certificate ON states (certificate, missing) WHERE certificate IS NOT NULL;
CREATE INDEX states_public_key ON states (key, missing) WHERE key IS NOT NULL;
CREATE INDEX states_ssh ON states (ssh, missing) WHERE ssh IS NOT NULL;

CREATE TABLE events (
    id BLOB NOT NULL,
    type TEXT NOT NULL,
    ts INTEGER NOT NULL,
    scan TEXT NOT NULL,
    vantage TEXT NOT NULL,
    address BLOB NOT NULL,
    port INTEGER NOT NULL,
    transport TEXT NOT NULL,
    name TEXT NOT NULL,
    origin BLOB,
    details TEXT NOT NULL
);
CREATE UNIQUE INDEX events_key ON events (id);
CREATE INDEX events_ts ON events (ts, id);
CREATE INDEX events_address ON events (address, port);
CREATE INDEX events_origin ON events (origin) WHERE origin IS NOT NULL;

ALTER TABLE erasures ADD COLUMN states INTEGER NOT NULL DEFAULT 0;
ALTER TABLE erasures ADD COLUMN events INTEGER NOT NULL DEFAULT 0
"""

_ASSESSED: Final = """
ALTER TABLE scans ADD COLUMN assessed_ts INTEGER;
ALTER TABLE scans ADD COLUMN assessed_id TEXT;
ALTER TABLE scans ADD COLUMN assessed TEXT
"""

#: In order; the number of steps is the version of the tables.
MIGRATIONS: Final = (
    _SERVICES_AND_OBSERVATIONS,
    _CERTIFICATES_AND_SCANS,
    _CORPUS,
    _OBSERVATIONS_BY_SCAN,
    _ERASURES,
    _HISTORY,
    _ASSESSED,
)

#: Name of the store's tables in the file's table of versions.
PART: Final = "store"
