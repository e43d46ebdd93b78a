"""Carries distributed plans out.

A plan of one fragment is the core's whole work: it goes back to the session, which gives it to the
group's leader and streams the rows.
"""
