"""Conversations, sans-IO: payloads, dialogues, the TLS wire format. Bytes in, bytes out; no clock, no socket.

Imports no other room of ours.
"""
