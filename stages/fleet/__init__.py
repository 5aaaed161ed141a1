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
notice.py    what those who were scanned are told: one file, typed
notice_html.py, notice_pages.py   the pages that it becomes
asking.py, optout_pages.py        what somebody asks for in the form, and the form's pages
notice_site.py  what is answered to each request
desk.py      invitations, sessions and requests in a SQLite file
serving.py, selfsigned.py         sockets, and the certificate that is shown there
nmap_lines.py   nmap's command lines as scans of ours
envelope.py  what goes through a broker, signed (pure)
logserver.py  the coordinator's side of the way by a log
logway.py    the agent's side of it
https.py     HTTPS with certificates on both sides, and pages for browsers (the only file that knows aiohttp)
"""
