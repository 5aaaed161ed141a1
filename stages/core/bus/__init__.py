"""The logs between the stages: `base` holds the contract, `urls` finds the transport, each has a file of its own.

pipe    lines on stdin and stdout; nothing survives
sqlite  one file is both the logs and the store; WAL; results and offsets in one transaction
        (`segments`: its tables; `owner`: which process reads)
kafka   production; scaled by consumer group (`kafka_options`: how to reach the cluster)
memory  for tests, with faults on demand

`batching` says what the value of a message holds, `topics` which topics are beside the flow.
"""
