"""The scanner: one probe per target, hits out.

    settings -> prepare (targets, spec, checkpoint) -> choice -> engine: packets | connect
                                                                    |
                      destination: file, bus  <-  app  <-  delivery (bounded queue, marks)

Pure: ports, quantities, fields, hits, rows, spec, summary, progress, outputs/, and of the packet engine permutation,
space, validation, rate. What sends packets is `engine` (with frames, sender, receiver); what dials is `connect`.
"""
