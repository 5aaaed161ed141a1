"""Two requests in a file, as the form keeps them: `python requests_of_form.py notice.db`."""

from __future__ import annotations

import sys
import time
from contextlib import closing

from stages.fleet.asking import Asked
from stages.fleet.desk import SqliteDesk


def main(file: str) -> None:
    with closing(SqliteDesk(file)) as desk:
        desk.file("alice", Asked(("8.8.8.0/24",), (), (), "a hospital", "alice@net.example"), time.time())
        desk.file("alice", Asked(("9.0.0.0/8",), ("9.0.0.0/8",), (), "", "alice@net.example"), time.time())


if __name__ == "__main__":
    main(sys.argv[1])
