"""Jobs over what is stored, run again at will: nothing here meets a target, and nothing is counted as it goes.

shelf       what a job needs of a store (the sink's stores have it; the command hands it over)
pems        certificates out of files: PEM, DER, JSON Lines
roots       root stores: certifi's, PEM bundles
paths       from a certificate to a root (pure)
verdicts    expired, self-signed, untrusted, weak, ... each with its reason (pure)
sshkeys     the host key in what an SSH server said (pure)
sightings   which certificate, key or host key was where, and when (pure)
reprocess   the job: sightings from observations, then every certificate read and judged again; goes on where it was
availability    which services are up, since when, and what happened to them (pure)
state_documents a service's state as it is stored (pure)
faces       what of a banner stays the same from one conversation to the next (pure)
moves       whether a certificate or key that is missing turned up elsewhere (pure)
assess      the job after a sweep: every service's state, and the events
outages     outages out of states and events (pure)
questions   keys that many addresses share, and what moved (pure, over sightings)
settings    options

Verdicts are judged for a point in time and say which. What cannot be known is `unknown`, never `no`.
"""
