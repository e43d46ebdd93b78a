//! Messages between gateways and leaders on their way out, cut so that each part fits a frame.
//!
//! ```text
//! part   flags u8 (1 first, 2 last) | bytes
//! ```
//!
//! Links keep order, so parts follow each other; a first part drops whatever was begun before it. A
//! queue that is full lets the rest wait here; how much can wait is bounded by the credit of flows. What
//! waits, and what has come in part, is counted in the node's memory and never refused: a part that is
//! left out would end the link.

use std::collections::VecDeque;

use phantom_base::{Map, NodeId};
use phantom_types::Share;

use super::flows::too_large;
use super::wire;
use crate::frame::Section;
use crate::leader::work::{FlowId, Reply};

/// A part of a message, in bytes.
const PART_BYTES: usize = 256 << 10;
/// A message beyond this is not one of ours, in bytes: an entry's bound with room for its names.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;

const FIRST: u8 = 1;
const LAST: u8 = 2;

/// Parts that wait for room in the links' queues, and messages that have come in part.
#[derive(Default)]
pub struct Parts {
    waiting: Map<NodeId, VecDeque<(Section, Vec<u8>)>>,
    arriving: Map<(NodeId, Section), Vec<u8>>,
    memory: Share,
}

impl Parts {
    /// Nothing yet; what it will hold is counted in `memory`.
    pub fn new(memory: Share) -> Self {
        Self { memory, ..Self::default() }
    }

    /// Queues a message for a peer.
    pub fn push(&mut self, peer: NodeId, section: Section, message: &[u8]) {
        assert!(message.len() <= MESSAGE_BYTES_MAX, "its receiver would close the link");
        let queue = self.waiting.entry(peer).or_default();
        let count = message.len().div_ceil(PART_BYTES).max(1);
        for (at, chunk) in message.chunks(PART_BYTES).enumerate() {
            let mut part = Vec::with_capacity(1 + chunk.len());
            let first = if at == 0 { FIRST } else { 0 };
            let last = if at + 1 == count { LAST } else { 0 };
            part.push(first | last);
            part.extend_from_slice(chunk);
            queue.push_back((section, part));
        }
        self.memory.count(self.memory.held() + message.len() + count);
    }

    /// Queues a leader's reply; one that is too large to travel is replaced by its error (54000).
    pub fn push_reply(&mut self, gateway: NodeId, flow: FlowId, reply: &Reply) {
        let mut message = wire::encode_reply(flow, reply);
        if message.len() > MESSAGE_BYTES_MAX {
            let error = too_large("answer", message.len());
            message = wire::encode_reply(flow, &Reply::Failed(error));
        }
        self.push(gateway, Section::Replies, &message);
    }

    /// Hands parts over as long as `send` takes them, peer by peer; whether anything still waits.
    pub fn flush(&mut self, mut send: impl FnMut(NodeId, Section, Vec<u8>) -> bool) -> bool {
        let mut bytes = 0;
        for (peer, queue) in &mut self.waiting {
            while let Some((section, part)) = queue.front() {
                if !send(*peer, *section, part.clone()) {
                    break;
                }
                bytes += part.len();
                queue.pop_front();
            }
        }
        self.memory.count(self.memory.held() - bytes);
        self.waiting.retain(|_, queue| !queue.is_empty());
        !self.waiting.is_empty()
    }

    /// The parts that wait for a peer.
    #[cfg(test)]
    pub fn waiting(&self, peer: NodeId) -> Vec<Vec<u8>> {
        self.waiting[&peer].iter().map(|(_, part)| part.clone()).collect()
    }

    /// Takes a part of a peer's message; the message if it was the last.
    ///
    /// # Errors
    /// In words, for parts that do not fit together: the peer's link is to be closed.
    pub fn receive(
        &mut self,
        peer: NodeId,
        section: Section,
        part: &[u8],
    ) -> Result<Option<Vec<u8>>, &'static str> {
        let (flags, bytes) = part.split_first().ok_or("an empty part of a message")?;
        let key = (peer, section);
        if flags & FIRST != 0 {
            let dropped = self.arriving.insert(key, bytes.to_vec());
            let dropped = dropped.map_or(0, |message| message.len());
            self.memory.count(self.memory.held() + bytes.len() - dropped);
        } else {
            let begun =
                self.arriving.get_mut(&key).ok_or("a part of a message without its first")?;
            if begun.len() + bytes.len() > MESSAGE_BYTES_MAX {
                return Err("a message over the limit");
            }
            begun.extend_from_slice(bytes);
            self.memory.count(self.memory.held() + bytes.len());
        }
        if flags & LAST == 0 {
            return Ok(None);
        }
        let message = self.arriving.remove(&key);
        let bytes = message.as_ref().map_or(0, Vec::len);
        self.memory.count(self.memory.held() - bytes);
        Ok(message)
    }

    /// A link has ended: what was on it is gone.
    pub fn forget(&mut self, peer: NodeId) {
        self.waiting.remove(&peer);
        self.arriving.retain(|(from, _), _| *from != peer);
        let waiting = self.waiting.values().flatten().map(|(_, part)| part.len());
        let arriving = self.arriving.values().map(Vec::len);
        self.memory.count(waiting.chain(arriving).sum());
    }
}

#[cfg(test)]
mod tests {
    use phantom_types::Account;

    use super::*;
    use crate::leader::work::Rows;

    #[test]
    fn parts_make_the_message_and_a_first_part_drops_what_was_begun() {
        let peer = NodeId(2);
        let account = Account::new(0);
        let mut sender = Parts::new(account.share());
        let message: Vec<u8> = (0..PART_BYTES * 2 + 5).map(|i| i as u8).collect();
        sender.push(peer, Section::Requests, &message);
        let parts = sender.waiting(peer);
        assert_eq!(parts.len(), 3);
        assert_eq!(account.held(), message.len() + parts.len());
        sender.forget(peer);
        assert_eq!(account.held(), 0, "a link that ends takes along what waited for it");
        let mut receiver = Parts::new(account.share());
        let mut take = |part: &[u8]| receiver.receive(peer, Section::Requests, part);
        assert_eq!(take(&parts[0]), Ok(None));
        assert_eq!(take(&parts[0]), Ok(None), "the link was cut in between");
        assert_eq!(take(&parts[1]), Ok(None));
        assert_eq!(account.held(), 2 * PART_BYTES, "what was begun before is gone");
        assert_eq!(take(&parts[2]), Ok(Some(message)));
        assert!(take(&parts[2]).is_err());
        assert!(take(&[]).is_err());
        assert_eq!(account.held(), 0);
    }

    #[test]
    fn an_answer_that_is_too_large_to_travel_is_an_error_and_no_end_of_the_link() {
        let (mut leader, mut gateway) = (Parts::default(), Parts::default());
        let bytes = vec![0; MESSAGE_BYTES_MAX];
        leader.push_reply(NodeId(2), 7, &Reply::Rows(Rows::Remote { count: 1, bytes }));
        let parts = leader.waiting(NodeId(2));
        let received = parts.iter().map(|part| gateway.receive(NodeId(1), Section::Replies, part));
        let message = received.last().expect("a part").expect("it fits").expect("it is whole");
        let (flow, reply) = wire::decode_reply(&message).expect("a reply");
        let Reply::Failed(error) = reply else { panic!("{reply:?}") };
        assert_eq!((flow, error.sqlstate), (7, phantom_base::sqlstate::PROGRAM_LIMIT_EXCEEDED));
    }
}
