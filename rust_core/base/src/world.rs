//! What simulation replaces: the clock, randomness and threads. Files are `phantom_vfs`.

/// Nanoseconds, since the Unix epoch for wall time, since an arbitrary start for monotonic time.
pub type Nanos = u64;

/// The machine's two clocks.
pub trait Clock: Send + Sync {
    /// Wall time since the Unix epoch; may jump in both directions.
    fn wall_ns(&self) -> Nanos;
    /// Time since an arbitrary start; never goes back.
    fn monotonic_ns(&self) -> Nanos;
}

/// A source of random numbers.
pub trait Random: Send {
    /// The next 64 random bits.
    fn next_u64(&mut self) -> u64;

    /// A number in `0..bound`, almost uniform; `bound` is at least 1.
    fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "an empty range has no member");
        // Lemire's multiply-shift; the bias is under bound / 2^64.
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// True once in `n` draws on average.
    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// Who makes threads. Only the threaded runtime has a real one.
pub trait Spawner: Send + Sync {
    /// Starts a named thread that runs `body` to its end; `stack_bytes` 0 is the platform's default.
    fn spawn(&self, name: &str, stack_bytes: usize, body: Box<dyn FnOnce() + Send>);
}

/// A stream of random numbers that a seed repeats: xoshiro256++ (Blackman, Vigna 2019), its state
/// filled by splitmix64, as its authors advise.
#[derive(Clone, Debug)]
pub struct SeededRandom {
    state: [u64; 4],
}

impl SeededRandom {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> Self {
        let mut mixed = seed;
        Self { state: std::array::from_fn(|_| splitmix64(&mut mixed)) }
    }

    /// An independent stream, named by `label`, that drawing from `self` does not disturb.
    #[must_use]
    pub fn fork(&self, label: u64) -> Self {
        Self::new(
            self.state[0]
                ^ self.state[3].rotate_left(17)
                ^ label.wrapping_mul(0x9E37_79B9_7F4A_7C15),
        )
    }
}

fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Random for SeededRandom {
    fn next_u64(&mut self) -> u64 {
        let s = &mut self.state;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_stream_and_forks_differ() {
        let draw = |mut r: SeededRandom| -> Vec<u64> { (0..8).map(|_| r.next_u64()).collect() };
        let root = SeededRandom::new(7);
        assert_eq!(draw(root.clone()), draw(SeededRandom::new(7)));
        assert_ne!(draw(root.fork(1)), draw(root.fork(2)));
        assert_ne!(draw(root.clone()), draw(root.fork(0)));
    }

    #[test]
    fn below_stays_below() {
        let mut random = SeededRandom::new(1);
        for bound in [1, 2, 3, 10, u64::MAX] {
            for _ in 0..100 {
                assert!(random.below(bound) < bound);
            }
        }
    }
}
