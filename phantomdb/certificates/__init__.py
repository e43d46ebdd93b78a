"""Certificates of a cluster: its authority, its nodes, its clients.

One authority is one cluster. What it signs names a node or a role (the subject's common name) and
the cluster (its organization). A node's certificate may be shown by a server, and names the hosts
where the node is reached; a client's may not, so that no client can pose as a node.

```text
signing   an authority, and what it signs: bytes, no files
folders   where they are kept: keys for their owner alone, nothing overwritten
```
"""
