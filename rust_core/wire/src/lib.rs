//! Sans-IO PostgreSQL sessions.
