"""The sink: everything stored, once.

    hits, banners, tls, scans -> [stage] -> documents (pure) -> store: SQLite | MongoDB -> query, export

    documents.py    record -> documents and the updates of `services`, `scans`, `certificates`. Pure
    certificate.py  what is read out of a certificate's DER (by `stages.proto.x509`), and which are stored already
    store.py        the contract of a store        sqlite.py, mongo.py   the two stores
    corpus.py       the contract of a store whose certificates are worked on: sightings, verdicts, where a job is
    sqlite_corpus.py, mongo_corpus.py    the two of them        certificate_rows.py   filters and rows in SQLite
    migrations.py   the tables of the SQLite store
    stage.py        the runner's stage: batches, acknowledged before the records are
    app.py          what the command calls: the stage, --init, --purge
    retention.py    ages, and what is older
    query.py, export.py, certificate_text.py   reading it again

Delivery is at least once and out of order, so documents hold only what converges: minima, maxima, "newer wins", and
"the first stored stays" for observations, which `services` follow. Counts, changes, up and down are derived from the
observations, elsewhere (`stages.derive`).
"""
