"""Records and their flow: outcomes, records, settings, the bus, the one stage loop, politeness, metrics.

Nothing here knows of packets, of a protocol or of a stage, and no other room of ours is imported.
"""
