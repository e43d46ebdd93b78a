//! Counting: what a majority of a fixed set of voters has said.
//!
//! A majority of n is n / 2 + 1. Pure functions, so that every shape of quorum can be enumerated.

/// How many of `voters` make a majority.
pub fn majority(voters: usize) -> usize {
    assert!(voters > 0, "a group has at least one voter");
    voters / 2 + 1
}

/// The largest value that a majority has reached or passed.
pub fn reached<T: Ord + Copy>(values: &mut [T]) -> T {
    let needed = majority(values.len());
    values.sort_unstable_by(|a, b| b.cmp(a));
    let reached = values[needed - 1];
    assert!(values.iter().filter(|v| **v >= reached).count() >= needed, "a majority is counted");
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Enumerates every assignment of the values 0..=3 to one to five voters, and compares with
    /// the definition.
    #[test]
    fn reached_is_what_a_majority_holds_in_every_shape_up_to_five() {
        for voters in 1..=5_u32 {
            for code in 0..4_u32.pow(voters) {
                let mut values: Vec<u32> = (0..voters).map(|v| code / 4_u32.pow(v) % 4).collect();
                let holds = |x: u32, values: &[u32]| {
                    values.iter().filter(|v| **v >= x).count() * 2 > values.len()
                };
                let expected = (0..=3).rev().find(|x| holds(*x, &values)).unwrap();
                assert_eq!(reached(&mut values), expected, "{values:?}");
            }
        }
    }

    #[test]
    fn two_majorities_share_a_voter() {
        for voters in 1..=9 {
            assert!(majority(voters) * 2 > voters);
            assert!((majority(voters) - 1) * 2 <= voters);
        }
    }
}
