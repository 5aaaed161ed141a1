"""Campaigns: measurements that never end. What is due and when, what was done, and the life between the two.

    campaign.toml --plan--> schedule <--journal (campaign.db)
                               |             ^
                           conductor --------+--> executor (a scan of ours, or the fleet's; glued by cli)

A *sweep* is one scan of a campaign from one vantage: full (all targets) or known (services that are known). The
schedule is pure; the journal says what was done, so that a conductor that was killed goes on where it was.
"""
