"""Nodes as who uses them sees them: their processes, and what their admin doors tell.

The demo, `phantomdb status` and the tests stand here, outside of every node. Nothing here knows
what a node is made of: it is a command, some addresses, signals and HTTP.
"""
