"""Packets, links and sockets: headers, checksums, packet rings, routes, the engine of many short connections.

No records and no bus here, and no other room of ours is imported. What came of a connection is told as phase,
errno and ICMP; `stages.core.outcome` names it.
"""
