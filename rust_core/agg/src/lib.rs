//! Mergeable aggregate states.
