//! Versioned keys, latches, commit timestamps: one transaction's work on one group.
