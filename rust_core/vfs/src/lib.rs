//! The file layer: real, simulated, and scripts of faults.
