"""Plugins: code of others that a scan calls (`--plugin`). They see batches, and never a packet at a time.

base      what a plugin is: a class with five methods
loading   from a name to an object
running   how calls reach them: one after the other, in a thread of their own
"""
