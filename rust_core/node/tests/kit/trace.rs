//! Determinism: a seed gives the same trace in every process.

use std::process::Command;

use crate::traced;

const SEED: &str = "PHANTOM_TRACE_SEED";

/// Prints the trace of a seed; does nothing unless the test below asks.
#[test]
fn prints_the_trace_of_a_seed() {
    if let Ok(seed) = std::env::var(SEED) {
        let seed = seed.parse().expect("a seed");
        println!("trace {:x?}", traced(seed));
    }
}

fn trace_in_a_process(seed: u64, noise: &str) -> String {
    let output = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "trace::prints_the_trace_of_a_seed", "--nocapture"])
        .env(SEED, seed.to_string())
        .env("PHANTOM_NOISE", noise)
        .output()
        .expect("the same program");
    let text = String::from_utf8(output.stdout).expect("text");
    let line = text.lines().find_map(|line| line.split_once("trace ")).expect("a trace");
    line.1.to_owned()
}

#[test]
fn same_seed_same_trace() {
    for seed in [1, 3] {
        let one = trace_in_a_process(seed, "");
        let other = trace_in_a_process(seed, &"x".repeat(10_000));
        assert_eq!(one, other, "seed {seed} does not repeat");
    }
    assert_ne!(trace_in_a_process(1, ""), trace_in_a_process(2, ""));
}
