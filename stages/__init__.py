"""Longline: a continuous Internet-measurement pipeline. This docstring is the map.

    targets, blocklist
          |
      [scanner] --hits--> [bannergrab] --banners--> [sink] --> MongoDB | SQLite
          |     --hits--> [tlsgrab]    --tls------>   ^
          |     --hits----------------------------->  |
          +-----scans (start, progress, end)----------+

Every arrow is a log: a pipe, a SQLite file or Kafka (`core.bus`). A stage is a function from records to records and
does not know which of the three carries them. Jobs over what is stored (`derive`) read and write the store.

Rooms, and what each may import:

    core        records and their flow: outcomes, settings, bus, the one stage loop. No packets. Imports no other room.
    proto       conversations, sans-IO: payloads, dialogues, TLS, certificates. Bytes in and out. Imports no other room.
    net         packets, links and sockets: headers, rings, the engine of many connections. Imports no other room.
    scanner     one probe per target, hits out.            } a stage imports core, proto, net and itself,
    bannergrab  one conversation per hit, banners out.     } never another stage
    tlsgrab     one TLS handshake per hit, chains out.     }
    sink        everything stored, once.                   }
    derive      jobs over what is stored, run again.       }
    fleet       scans shared among agents; who is left alone.
    campaign    scans that never end: what is due, what was done, and the life between the two.
    simnet      the simulated Internet of tests and demo. Imports net and proto.
    cli         `longline`: the only room that knows them all.

Inside a stage the arrows point one way: pure code <- session or engine <- adapters <- app.
"""

__version__ = "0.1.0"
