"""The simulated Internet: what tests, the demo and the benchmarks scan instead of the real one.

    caller -- pipe --> warden, in the near namespace            far process, in the far namespace
                       near0 198.18.0.1 ------- veth ---------- far0 198.18.0.2
                       default route -> far                     AnyIP: `local 10.0.0.0/8 dev lo`, nft rules, servers

    truth          what stands at every (address, port): a pure function of a seed
    behaviours     what each kind of service says (pure)          servers        the sockets that say it
    certificates   the certificates it shows                      tlsanswers     TLS without sockets
    nft            the truth as packet filter rules               wiring         links, addresses, routes (pyroute2)
    namespaces     unshare(2), setns(2), prctl(2)                 processes      the warden and the far process
    network        `Simnet`: build it, run programs in it         realservers    nginx, OpenSSH, redis, Postfix in it
    expectation    what a complete scan must find                 compare        what was found against that

No namespace has a name and no file is left: everything lives in processes that end when the caller does, however it
ends. The only room it needs is `net`, for the marker that `net.confine` looks for.
"""
