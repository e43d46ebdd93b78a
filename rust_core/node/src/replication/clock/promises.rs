//! What lies between the machine's promises and this node: its clock, its log and its disk.
//!
//! ```text
//! promises   bound u64 | count u32 of (peer u32 | withdrawn epoch u64)      a slot of the node
//! ```

use phantom_base::bytes::{Reader, Truncated};
use phantom_base::{GroupId, Nanos, NodeId, Timestamp, mutant};
use phantom_log::{Log, Record};
use phantom_raft::{BarrierOutcome, SupportState, Token};

use super::super::Replication;
use super::super::error::{Error, Refused, Result};
use super::super::formation::{encode_bound, node_slot};

/// A disk on which a sync has not ended for so long asks nobody to count on its node.
const SILENT_FROM_NS: Nanos = 1_000_000_000;

pub fn encode_support(state: &SupportState) -> Vec<u8> {
    let mut bytes = state.bound.0.to_le_bytes().to_vec();
    bytes.extend_from_slice(&(state.withdrawn.len() as u32).to_le_bytes());
    for (peer, epoch) in &state.withdrawn {
        bytes.extend_from_slice(&peer.0.to_le_bytes());
        bytes.extend_from_slice(&epoch.to_le_bytes());
    }
    bytes
}

fn decode_support(bytes: &[u8]) -> std::result::Result<SupportState, Truncated> {
    let mut r = Reader::new(bytes);
    let bound = Timestamp(r.u64()?);
    let count = r.u32()?;
    let one = |r: &mut Reader<'_>| Ok((NodeId(r.u32()?), r.u64()?));
    let withdrawn = (0..count).map(|_| one(&mut r)).collect::<std::result::Result<_, _>>()?;
    Ok(SupportState { bound, withdrawn })
}

/// What was promised in former lives; a log of a release without promises has none.
pub fn read_support(log: &Log) -> Result<SupportState> {
    let Some(bytes) = log.node_state(node_slot::SUPPORT) else {
        return Ok(SupportState::default());
    };
    decode_support(&bytes).map_err(|_| Error::Damaged("the promises".into()))
}

impl Replication {
    /// Tells the machine the time, as far as this node may act on it.
    pub(in crate::replication) fn tell_time(&mut self) {
        if self.stamps.is_settled() {
            let uncertainty_ms = self.stamps.uncertainty_ms(&*self.clock);
            // The clock of the last turn would let a promise lapse in a turn that has nothing to do.
            let is_late = mutant!("second_poll_has_work");
            let now = if is_late { self.stamps.last() } else { self.stamps.now(&*self.clock) };
            self.machine.look(now, uncertainty_ms);
        }
    }

    /// Says whether others may be asked to count on this node, `pending` being how long the log's
    /// oldest sync has taken.
    pub(in crate::replication) fn mind_silence(&mut self, pending: Nanos) {
        self.machine.set_silent(pending >= SILENT_FROM_NS);
    }

    /// Asks for a read barrier in a group of this node, whoever leads it. A leader with a lease
    /// answers at once; else the answer comes with `token` out of `Effects::barriers`.
    ///
    /// # Errors
    /// Nothing was asked: nobody is known to lead, or too much waits.
    pub fn barrier(
        &mut self,
        gid: GroupId,
        token: Token,
    ) -> std::result::Result<Option<BarrierOutcome>, Refused> {
        self.refuse_while_starting()?;
        let now = self.clock.monotonic_ns();
        if let Some(stamp) = self.stamps.tick(&*self.clock) {
            self.tell_time();
            if let Some(open) = self.machine.lease(now, gid, stamp) {
                self.barriers.by_lease += 1;
                return Ok(Some(open));
            }
        }
        self.machine.barrier(now, gid, token)?;
        self.barriers.by_round += 1;
        Ok(None)
    }

    /// The last words of this life: nothing is stamped or promised after them, so the next need not
    /// wait for what was only kept in reserve.
    pub(in crate::replication) fn log_last_words(&mut self) -> Result<()> {
        let promises = encode_support(&self.machine.last_support());
        let support = Record::Node { slot: node_slot::SUPPORT, bytes: &promises };
        let bound = self.stamps.last_bound().map(encode_bound);
        match &bound {
            Some(bytes) => {
                self.log.push(&[support, Record::Node { slot: node_slot::HLC_BOUND, bytes }])?
            }
            None => self.log.push(&[support])?,
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promises_come_back_and_cut_bytes_are_refused() {
        let withdrawn = vec![(NodeId(2), 1 << 32), (NodeId(3), 7)];
        let state = SupportState { bound: Timestamp::from_ms(9), withdrawn };
        let bytes = encode_support(&state);
        assert_eq!(decode_support(&bytes), Ok(state));
        for cut in 0..bytes.len() {
            assert!(decode_support(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }
}
