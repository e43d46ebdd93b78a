"""A whole cluster on this machine, on real data, with real trouble: what `phantomdb demo` does.

Everything goes through doors that anybody has: processes of the `phantomdb` command, PostgreSQL's
protocol through psycopg, HTTP, signals. Nothing here knows what a node is made of.
"""
