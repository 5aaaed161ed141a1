"""`longline`: one small file a command group. The only room that knows all others; nothing imports it.

main      the command line as a whole: which command, and errors to exit codes
sections  every section of the settings, by name
assembly  what a stage needs around it: lists, logs, metrics, the loop
"""
