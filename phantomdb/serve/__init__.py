"""Trio listeners: PostgreSQL clients, peers, the admin door. Bytes in and out; no decisions."""
