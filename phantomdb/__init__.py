"""PhantomDB: a distributed database that you pip install.

`phantomdb start` runs a node, `phantomdb demo` a whole cluster on real data. Clients speak
PostgreSQL's protocol; there is no client of our own yet.
"""
