//! Carries out what the gateway and the leaders want done, until nothing is left of it.
//!
//! Leaders go first: what a step wants of replication is done before the next step of any leader, so
//! that what it has looked at is still so.

use phantom_base::{Nanos, NodeId};
use phantom_raft::{BarrierAnswer, BarrierOutcome, Done, Event};

use super::below::refusal;
use super::{NodeCore, Purpose};
use crate::control;
use crate::frame::Section;
use crate::gateway::{self, News, Owner, wire};
use crate::leader::work::{FlowId, Origin, Reply, ToLeader};
use crate::leader::{self, Input};
use crate::link::STREAM_BULK;
use crate::replication::entry::EntryKind;
use crate::replication::{Received, Refused};
use crate::runtime::Pool;

impl NodeCore {
    /// Carries everything out; whether there was anything.
    pub(super) fn carry(&mut self, now: Nanos) -> bool {
        let mut moved = false;
        loop {
            if let Some(effect) = self.leaders.next_effect() {
                self.carry_of_leader(now, effect);
            } else if let Some(effect) = self.gateway.next_effect() {
                self.carry_of_gateway(now, effect);
            } else {
                return moved;
            }
            moved = true;
        }
    }

    fn carry_of_leader(&mut self, now: Nanos, effect: leader::Effect) {
        let replication = &mut self.replication;
        match effect {
            leader::Effect::Barrier(group, request) => {
                match replication.barrier(group, request) {
                    Ok(None) => {}
                    Ok(Some(outcome)) => {
                        // A lease answers at once.
                        let gid = group;
                        self.barrier_ended(&BarrierAnswer { token: request, gid, outcome });
                    }
                    Err(refused) => {
                        let input = Input::Refused(request, refusal(replication, group, refused));
                        self.leaders.step(replication, group, input);
                    }
                }
            }
            leader::Effect::Propose(group, request, body) => {
                let proposed = replication.propose(group, EntryKind::Batch, &body, request);
                if let Err(refused) = proposed {
                    let input = Input::Refused(request, refusal(replication, group, refused));
                    self.leaders.step(replication, group, input);
                }
            }
            leader::Effect::Work(group, request, task) => {
                let worked = self.leaders.worked.clone();
                let job = move || worked.post((group, request, task.run()));
                self.runtime.submit(Pool::Sql, Box::new(job));
            }
            leader::Effect::Catalog(group, request) => {
                self.ask_catalog_barrier(now, Purpose::Request(group, request));
            }
            leader::Effect::Reply(Origin { gateway, flow }, reply) => {
                if gateway == self.replication.node() {
                    self.reply(now, gateway, flow, reply);
                } else {
                    self.parts.push_reply(gateway, flow, &reply);
                }
            }
        }
    }

    fn carry_of_gateway(&mut self, now: Nanos, effect: gateway::Effect) {
        match effect {
            gateway::Effect::Here(group, message) => {
                let gateway = self.replication.node();
                let input = Input::of(gateway, message);
                self.leaders.step(&mut self.replication, group, input);
            }
            gateway::Effect::Send(peer, section, message) => {
                self.parts.push(peer, section, &message);
            }
            gateway::Effect::Tell(Owner::Session(id, statement), news) => {
                let (sessions, mut below) = self.split(now);
                sessions.news(&mut below, id, statement, news);
            }
            gateway::Effect::Tell(Owner::Control(token), news) => self.control_news(token, news),
        }
    }

    /// Hands over to the links what they have room for; whether anything still waits.
    pub(super) fn flush(&mut self) -> bool {
        let replication = &mut self.replication;
        self.parts
            .flush(|peer, section, part| replication.send(peer, STREAM_BULK, section, part).is_ok())
    }

    fn reply(&mut self, now: Nanos, from: NodeId, flow: FlowId, reply: Reply) {
        let context = gateway::Context { leaders: &self.replication, now };
        self.gateway.step(gateway::Input::Reply(from, flow, reply), context);
    }

    /// Tells leaders what the machine has news of; before its barriers and proposals of the same poll.
    pub(super) fn heed(&mut self, event: &Event) {
        let (group, input) = match event {
            Event::BecameLeader { gid, term } => (*gid, Input::Led(*term)),
            Event::LostLeadership { gid, .. } => (*gid, Input::Lost),
            Event::ElectionDue(_) | Event::MemberTooFarBehind { .. } => return,
        };
        self.leaders.step(&mut self.replication, group, input);
    }

    /// Takes the end of a barrier that a request has asked for.
    pub(super) fn barrier_ended(&mut self, answer: &BarrierAnswer) {
        let BarrierAnswer { token, gid, outcome } = *answer;
        let input = match outcome {
            BarrierOutcome::Open { stamp, term, .. } => Input::Open(token, stamp, term),
            BarrierOutcome::Refused(refused) => {
                let refusal = refusal(&mut self.replication, gid, Refused::Raft(refused));
                Input::Refused(token, refusal)
            }
        };
        self.leaders.step(&mut self.replication, gid, input);
    }

    /// Takes the end of a proposal.
    pub(super) fn proposal_ended(&mut self, done: &Done) {
        let input = Input::Ended(done.token, done.outcome);
        self.leaders.step(&mut self.replication, done.gid, input);
    }

    /// Takes what workers have posted; whether there was anything.
    pub(super) fn take_worked(&mut self) -> bool {
        self.leaders.look_for_stamps(&mut self.replication);
        let posted = self.leaders.worked.take();
        let moved = !posted.is_empty();
        for (group, request, worked) in posted {
            self.leaders.step(&mut self.replication, group, Input::Worked(request, worked));
        }
        moved
    }

    /// Takes a part of what a peer says.
    pub(super) fn receive(&mut self, received: Received) {
        let Received { from, section, bytes } = received;
        if section == Section::Control {
            self.pending.control.push((from, bytes));
            return;
        }
        let whole = match self.parts.receive(from, section, &bytes) {
            Ok(Some(whole)) => whole,
            Ok(None) => return,
            Err(_) => {
                // Its next bytes find the link closed; flows to it are settled now.
                phantom_base::mark!("parts_of_a_message_did_not_fit");
                self.disconnected(from);
                return;
            }
        };
        if section == Section::Requests {
            if let Ok(message) = wire::decode_to_leader(&whole) {
                self.heed_peer(from, message);
            } else {
                phantom_base::mark!("a_request_did_not_decode");
                self.disconnected(from);
            }
        } else if let Ok((flow, reply)) = wire::decode_reply(&whole) {
            self.reply(self.clock.monotonic_ns(), from, flow, reply);
        } else {
            phantom_base::mark!("a_reply_did_not_decode");
            self.disconnected(from);
        }
    }

    fn heed_peer(&mut self, gateway: NodeId, message: ToLeader) {
        let group = match &message {
            ToLeader::Run(fragment) => Some(fragment.group),
            ToLeader::Credit(flow, _) | ToLeader::Cancel(flow) => {
                // None has what has ended meanwhile.
                self.leaders.group_of(Origin { gateway, flow: *flow })
            }
        };
        if let Some(group) = group {
            self.leaders.step(&mut self.replication, group, Input::of(gateway, message));
        }
    }

    fn control_news(&mut self, token: u64, news: News) {
        let outcome = match news {
            News::Finished(_, commit) => control::encode_ok(|out| out.u64(commit.0).map(|_| ())),
            News::SystemRows(spans) => control::encode_ok(|out| {
                out.array(spans.len() as u64)?;
                for rows in &spans {
                    out.array(rows.len() as u64)?;
                    for (value, version) in rows {
                        out.array(2)?.bytes(value)?.u64(*version)?;
                    }
                }
                Ok(())
            }),
            News::Failed(error) => control::encode_failed(&error),
            News::Rows(..) => return,
        };
        self.pending.rows.push((token, outcome));
    }
}
