//! The end of requests that nobody waits for any more.
//!
//! A gateway's name for what it sent is good for one link. When the link goes, the gateway settles its
//! flows by itself, and one that starts anew gives the names out again. So whatever came over a link is
//! answered over that link or not at all: an answer that was late would end another statement, and a
//! write would be told the fate of a different one.

use phantom_base::sync::Ordering;
use phantom_base::{Error, NodeId, sqlstate};
use phantom_mvcc::Ticket;

use super::message::DispatchId;
use super::{Origin, Requests, Stage};
use crate::replication::Replication;

impl Requests {
    /// A gateway wants no more of what it sent. What is proposed goes on; how it ends is still told.
    pub fn cancel(&mut self, replication: &mut Replication, gateway: NodeId, dispatch: DispatchId) {
        let Some(ticket) = self.by_origin.get(&Origin { gateway, dispatch }).copied() else {
            return;
        };
        self.cancel_request(ticket);
        self.go_on(replication);
    }

    /// The link to a gateway is gone: nobody waits for its flows, and nothing of them is answered.
    pub fn gateway_gone(&mut self, replication: &mut Replication, gateway: NodeId) {
        self.replies.retain(|(to, _)| *to != gateway);
        let mut orphans: Vec<Ticket> = Vec::new();
        self.by_origin.retain(|origin, ticket| {
            let stays = origin.gateway != gateway;
            if !stays {
                orphans.push(*ticket);
            }
            stays
        });
        for ticket in orphans {
            self.get(ticket).origin.gateway = NodeId::NONE;
            self.cancel_request(ticket);
        }
        self.go_on(replication);
    }

    fn cancel_request(&mut self, ticket: Ticket) {
        let active = self.get(ticket);
        active.cancelled.store(true, Ordering::Relaxed);
        match active.stage {
            // They look at the flag when they come back.
            Stage::Working | Stage::Proposed(..) => {}
            _ => self.fail(ticket, cancelled()),
        }
    }
}

pub(super) fn cancelled() -> Error {
    Error::new(sqlstate::QUERY_CANCELED, "canceling statement due to user request")
}
