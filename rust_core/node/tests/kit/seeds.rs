//! Which seeds a simulation runs with, and what is said when one fails.
//!
//! `PHANTOM_SEEDS` is how many there are, from `PHANTOM_FIRST_SEED` on; `PHANTOM_SEED` is the only one.

use std::panic::{RefUnwindSafe, catch_unwind};

/// Runs every seed: `usual` of them if nobody says how many. Returns how many there were, and the
/// sums of what each run counted. A failure prints the command that replays it, by the test's `name`.
pub fn run_all<const N: usize>(
    name: &str,
    usual: u64,
    run: impl Fn(u64) -> [u64; N] + RefUnwindSafe,
) -> (u64, [u64; N]) {
    let number = |name: &str| std::env::var(name).ok().map(|n| n.parse::<u64>().expect(name));
    let first = number("PHANTOM_FIRST_SEED").unwrap_or(0);
    let count = number("PHANTOM_SEEDS").unwrap_or(usual);
    let seeds = number("PHANTOM_SEED").map_or(first..first + count, |seed| seed..seed + 1);
    let mut total = [0; N];
    for seed in seeds.clone() {
        let Ok(counts) = catch_unwind(|| run(seed)) else {
            let package = env!("CARGO_PKG_NAME");
            panic!("replay: PHANTOM_SEED={seed} cargo test -p {package} --test it {name}");
        };
        total = std::array::from_fn(|i| total[i] + counts[i]);
    }
    (seeds.end - seeds.start, total)
}
