"""Plugins: code of others that a scan calls (`--plugin`). They see batches, and never a packet at a time.

base       what a plugin is: a class with some methods
loading    from a name to an object
filtering  which answers are results, where plugins say so
running    how calls reach them: one after the other, in a thread of their own
sent       which targets stand at positions that were sent
"""
