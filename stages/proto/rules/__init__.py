"""Rules that recognise a service by how it answers a given hello and by its certificate. Pure.

patterns  regular expressions that cannot run away
fields    what can be asked of a handshake: `Seen` -> value
terms     one condition: `subject CN matches www\\.[a-z2-7]{8,20}\\.net`
hellos    a ClientHello out of a table
place     on which line of a TOML file a key stands
rulefile  a TOML file -> rules; what is wrong with it, with line and key
ruleset   rules together: which hellos they need, which of them hold

Shipped rules are data: `shipped/*.toml`.
"""
