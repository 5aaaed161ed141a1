"""The logs between the stages: `base` holds the contract, each other file one transport.

pipe    lines on stdin and stdout; nothing survives
sqlite  one file is both the logs and the store; WAL; results and offsets in one transaction
kafka   production; scaled by consumer group
memory  for tests
"""
