//! What requests must put up with: leadership that comes and goes, gateways that want no more.
//!
//! A leader reads its own newest state only once all entries of former leaders are applied here: a
//! barrier of its own tells when, and writes wait for it. What only a leader can go on with is sent
//! away when leadership goes; what is in flight keeps its latches until its end is known.
//!
//! A gateway's name for what it sent is good for one link. When the link goes, the gateway settles its
//! flows by itself, and one that starts anew gives the names out again. So whatever came over a link is
//! answered over that link or not at all: an answer that was late would end another statement, and a
//! write would be told the fate of a different one.

use phantom_base::{Error, NodeId, Term, sqlstate};

use super::active::Stage;
use super::work::Origin;
use super::{Context, Effect, GroupLeader, READY, RequestId};

impl GroupLeader {
    /// Whether what a write saw under its latches may still be believed.
    pub(super) fn is_in_its_term(&mut self, request: RequestId) -> bool {
        let latched_in = self.get(request).latched_in;
        assert!(latched_in.is_some(), "a write looks under its latches");
        self.term == latched_in
    }

    /// Sends a write away that was at a worker while leadership went, and perhaps came back. Nothing
    /// was done: its gateway sends it again.
    pub(super) fn outlived(&mut self, context: &mut Context<'_>, request: RequestId) {
        phantom_base::mark!("a_write_outlived_its_leadership");
        self.send_away(context, request);
    }

    pub(super) fn led(&mut self, context: &mut Context<'_>, term: Term) {
        self.term = Some(term);
        self.is_ready = false;
        // Refused only where leadership went again, which is an input of its own.
        context.effects.push_back(Effect::Barrier(self.group, READY));
    }

    /// Sends away what only a leader can go on with. Proposals and barriers in flight get answers
    /// of their own; a scan that runs has its snapshot.
    pub(super) fn lost(&mut self, context: &mut Context<'_>) {
        self.term = None;
        self.is_ready = false;
        self.unready.clear();
        let is_stranded = |stage: &Stage| {
            matches!(stage, Stage::Ready | Stage::Latches | Stage::InFlight(..) | Stage::Catalog)
        };
        let stranded = self.active.iter().filter(|(_, active)| is_stranded(&active.stage));
        for request in stranded.map(|(request, _)| *request).collect::<Vec<_>>() {
            self.send_away(context, request);
        }
    }

    pub(super) fn became_ready(&mut self, context: &mut Context<'_>, term: Term) {
        if self.term != Some(term) {
            return;
        }
        self.is_ready = true;
        for request in std::mem::take(&mut self.unready) {
            if self.active.contains_key(&request) {
                self.latch(context, request);
            }
        }
    }

    pub(super) fn cancel(&mut self, context: &mut Context<'_>, origin: Origin) {
        if let Some(request) = self.by_origin.get(&origin).copied() {
            self.cancel_request(context, request);
        }
    }

    pub(super) fn gateway_gone(&mut self, context: &mut Context<'_>, gateway: NodeId) {
        let mut orphans: Vec<RequestId> = Vec::new();
        self.by_origin.retain(|origin, request| {
            let stays = origin.gateway != gateway;
            if !stays {
                orphans.push(*request);
            }
            stays
        });
        for request in orphans {
            self.get(request).origin.gateway = NodeId::NONE;
            self.cancel_request(context, request);
        }
    }

    fn cancel_request(&mut self, context: &mut Context<'_>, request: RequestId) {
        let active = self.get(request);
        active.cancel();
        match active.stage {
            // It is looked at when they come back.
            Stage::Working | Stage::Proposed(..) => {}
            _ => self.fail(context, request, cancelled()),
        }
    }
}

pub fn cancelled() -> Error {
    Error::new(sqlstate::QUERY_CANCELED, "canceling statement due to user request")
}
