//! Parser, binder, point plans and the batch executor.
