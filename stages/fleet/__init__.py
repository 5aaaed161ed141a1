"""Scans shared among agents that come and go.

work.py      what is to be scanned: a typed record, never a command line
messages.py  what agent and coordinator say to each other
coverage.py  whether all of it was done, and what of it twice
ledger.py    who does which part: leases, fencing tokens, deadlines (pure)
things.py    what it keeps: scans, parts, leases, agents
state.py     the ledger in a SQLite file
ca.py        certificates of a small authority, one-time tokens, revocation
grabs.py     whether what was grabbed is what was asked for
coordinator.py  what is answered to each request
policy.py    what an agent lets itself be given
spool.py     what an agent has found and not yet handed over
link.py      one coordinator, as an agent sees it
agent.py     the life of an agent
optout.py    who wants to be left alone
nmap_lines.py   nmap's command lines as scans of ours
https.py     HTTPS with certificates on both sides (the only file that knows aiohttp)
"""
