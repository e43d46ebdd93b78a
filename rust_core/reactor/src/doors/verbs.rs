//! What the control plane wants of connections and of the core.
//!
//! What a verb names may have gone meanwhile: then it is nothing.

use phantom_base::{Error, Nanos};
use phantom_node::control;

use super::ending::Ending;
use super::greeting::framed;
use super::link::Stream;
use super::{Conn, Doors, Part};
use crate::net::{ConnId, Net};
use crate::traffic::{Event, LinkName, Peer, Verb};

impl Doors {
    /// Does what the control plane wants.
    pub(super) fn obey(&mut self, net: &mut dyn Net, verb: Verb, now: Nanos) {
        self.stirred = true;
        match verb {
            Verb::Dial { token, to, message } => self.dial(net, token, &to, &message, now),
            Verb::Say(id, message) => {
                if let Some((socket, greeting)) = self.greeting(id) {
                    greeting.part();
                    socket.push(framed(&message));
                    self.write_one(net, id, now);
                }
            }
            Verb::Adopt { conn, peer, link, stream, message } => {
                self.adopt(net, (conn, peer, link, stream), message, now);
            }
            Verb::Close(id) => {
                let is_client = matches!(
                    self.conns.get(id),
                    Some(Conn { part: Part::Arrived | Part::Client(_) | Part::Refused(_), .. })
                );
                if !is_client {
                    self.close(net, id, &Ending::Unwanted, now);
                }
            }
            Verb::Cut(peer) => self.link_down(net, peer, &Ending::Unwanted, now),
            Verb::OpenClients => self.entrance.open_clients(),
            Verb::Drain(grace_ns) => {
                for listener in self.entrance.close_clients() {
                    net.close_listener(listener);
                }
                self.drain_until.get_or_insert(now.saturating_add(grace_ns));
                for id in self.clients() {
                    self.serve(net, id, now);
                }
            }
            Verb::FinishLinks => {
                self.links.is_finishing = true;
                for peer in self.links.peers() {
                    let streams = self.links.up(peer).map(|link| link.streams);
                    self.to_write.extend(streams.into_iter().flatten());
                }
            }
            verb => self.obey_in_core(verb),
        }
    }

    fn obey_in_core(&mut self, verb: Verb) {
        let Some(core) = &mut self.core else { return };
        let refused =
            |token: u64, error: &Error| Event::Ended(token, control::encode_failed(error));
        let told = |token: u64, it: bool| Event::Ended(token, control::encode_told(it));
        match verb {
            Verb::Resume(session, event, outcome) => {
                // An answer that does not decode has ended its statement with XX000.
                let _ = core.resume_session(session, event, &outcome);
            }
            Verb::CancelSession(session, error) => core.cancel_session(session, error),
            Verb::CancelByKey(pid, secret) => {
                core.cancel_by_key(pid, secret);
            }
            Verb::ReadRows(token, group, spans) => {
                if let Err(error) = core.read_rows(token, group, &spans) {
                    self.events.push_back(refused(token, &error));
                }
            }
            Verb::WriteRows(token, group, writes) => {
                if let Err(error) = core.write_rows(token, group, &writes) {
                    self.events.push_back(refused(token, &error));
                }
            }
            Verb::Barrier(token, group) => core.barrier(group, token),
            // What these refuse is in the status: who leads, and since when.
            Verb::Campaign(groups) => drop(core.replication().campaign(&groups, true)),
            Verb::Leave(token, group) => {
                let goes = core.replication().leave(group).is_ok();
                self.events.push_back(told(token, goes));
            }
            Verb::Look(token) => self.events.push_back(told(token, true)),
            Verb::StepDown(group) => drop(core.replication().step_down(group)),
            Verb::Control(peer, message) => core.send_control(peer, message),
            verb => unreachable!("{verb:?} is no verb of the core"),
        }
    }

    /// Makes a connection a stream of a link, and the link up if it was its last.
    fn adopt(
        &mut self,
        net: &mut dyn Net,
        (id, greeted, link, number): (ConnId, Peer, LinkName, u8),
        message: Option<Vec<u8>>,
        now: Nanos,
    ) {
        let Peer { node: peer, incarnation, features } = greeted;
        if self.greeting(id).is_none() || self.core.is_none() {
            let why = &Ending::OtherStream;
            for stream in self.links.give_up(peer, link).into_iter().flatten().flatten() {
                self.close(net, stream, why, now);
            }
            return self.events.push_back(Event::LinkDown(peer, link, why.to_string()));
        }
        let Ok(complete) = self.links.add(peer, incarnation, link, (number, id)) else {
            return self.close(net, id, &Ending::OtherStream, now);
        };
        if let Some(conn) = self.conns.get_mut(id) {
            conn.part = Part::Stream(Stream::new(peer, link, number));
            if let Some(message) = message {
                conn.socket.push(framed(&message));
            }
        }
        let Some(streams) = complete else { return self.write_one(net, id, now) };
        self.link_down(net, peer, &Ending::Replaced, now);
        let core = self.core.as_mut().expect("seen above");
        if let Err(error) = core.connected(peer, incarnation, features) {
            for stream in streams {
                self.close(net, stream, &Ending::BadFrame(error.to_string()), now);
            }
            self.events.push_back(Event::LinkDown(peer, link, error.to_string()));
            return;
        }
        self.links.rise(peer, link, streams);
        self.events.push_back(Event::LinkUp(peer, link));
        for stream in streams {
            if let Some(Conn { socket, part: Part::Stream(part), .. }) = self.conns.get_mut(stream)
            {
                part.is_up = true;
                socket.deadline = None;
            }
            self.write_one(net, stream, now);
        }
    }
}
