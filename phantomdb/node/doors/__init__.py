"""Where a node is reached, and what is asked of who comes.

```text
listening      the sockets that it listens on
addresses      what others are told of them, and where it may listen
certificates   the node's files: read at the start and when they change
```
"""
