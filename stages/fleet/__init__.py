"""Scans shared among agents that come and go.

work.py      what is to be scanned: a typed record, never a command line
messages.py  what agent and coordinator say to each other
coverage.py  whether all of it was done, and what of it twice
ledger.py    who does which part: leases, fencing tokens, deadlines (pure)
state.py     the ledger in a SQLite file
ca.py        certificates of a small authority, one-time tokens, revocation
coordinator.py  what is answered to each request
policy.py    what an agent lets itself be given
spool.py     what an agent has found and not yet handed over
agent.py     the life of an agent
https.py     HTTPS with certificates on both sides (the only file that knows aiohttp)
"""
