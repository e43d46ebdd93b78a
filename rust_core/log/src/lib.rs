//! The node's one log: frames, segments, group commit, recovery, reclaim.
