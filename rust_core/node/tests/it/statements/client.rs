//! One connection of a client: messages of PostgreSQL's protocol out, one answer in.
//!
//! As a real connection it takes what its session has only when the session says so, or right after
//! it was given bytes: a wake-up that is lost here is one that a client would wait for in vain.

use phantom_base::{Error, sqlstate};

use super::cluster::Cluster;
use super::control;

/// Bytes that are taken of a session at once.
const TAKE_BYTES: usize = 64 << 10;

/// What a statement was answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Values in text form.
    pub rows: Vec<Vec<Option<String>>>,
    pub tag: String,
    /// SQLSTATE and message.
    pub error: Option<(String, String)>,
}

/// How far a connection is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    Waiting,
    Answered(Answer),
    /// The node or the session is gone.
    Lost,
}

pub struct Client {
    pub node: usize,
    /// The life of the node that the session belongs to.
    life: u64,
    session: u64,
    out: Vec<u8>,
    inbox: Vec<u8>,
    answer: Answer,
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u32 + 4).to_be_bytes();
    [&[kind][..], &len, body].concat()
}

impl Client {
    /// Connects to a node that runs; the first answer is that of the startup.
    pub fn connect(cluster: &mut Cluster, node: usize) -> Result<Self, Error> {
        let life = cluster.nodes[node].lives;
        let session = cluster.core(node).open_session()?;
        let parameters = b"user\0postgres\0database\0postgres\0\0";
        let mut out = (parameters.len() as u32 + 8).to_be_bytes().to_vec();
        out.extend_from_slice(&(3_u32 << 16).to_be_bytes());
        out.extend_from_slice(parameters);
        Ok(Self { node, life, session, out, inbox: Vec::new(), answer: Answer::default() })
    }

    /// Sends a statement as a simple query.
    pub fn query(&mut self, text: &str) {
        self.out.extend(message(b'Q', &[text.as_bytes(), b"\0"].concat()));
    }

    /// Sends a simple query but for its last byte: it is never worked on.
    pub fn begin_query(&mut self, text: &str) {
        self.out.extend(message(b'Q', &[text.as_bytes(), b"\0"].concat()));
        self.out.pop();
    }

    /// Sends a statement with values, as drivers do.
    pub fn execute(&mut self, text: &str, values: &[String]) {
        self.out.extend(message(b'P', &[b"\0", text.as_bytes(), b"\0\0\0"].concat()));
        let mut bind = vec![0, 0, 0, 0];
        bind.extend_from_slice(&(values.len() as u16).to_be_bytes());
        for value in values {
            bind.extend_from_slice(&(value.len() as u32).to_be_bytes());
            bind.extend_from_slice(value.as_bytes());
        }
        bind.extend_from_slice(&[0, 0]);
        self.out.extend(message(b'B', &bind));
        self.out.extend(message(b'E', &[0; 5]));
        self.out.extend(message(b'S', &[]));
    }

    /// Ends what it waits for, as a cancel request or a timeout does.
    pub fn cancel(&self, cluster: &mut Cluster) {
        let error = Error::new(sqlstate::QUERY_CANCELED, "canceling statement");
        cluster.core(self.node).cancel_session(self.session, error);
    }

    /// Closes the connection, whatever it waits for.
    pub fn close(self, cluster: &mut Cluster) {
        if self.is_linked(cluster) {
            cluster.core(self.node).close_session(self.session);
        }
    }

    fn is_linked(&self, cluster: &Cluster) -> bool {
        cluster.nodes[self.node].up.is_some() && cluster.nodes[self.node].lives == self.life
    }

    /// Gives and takes what can be given and taken now.
    pub fn pump(&mut self, cluster: &mut Cluster) -> Progress {
        if !self.is_linked(cluster) {
            return Progress::Lost;
        }
        if cluster.is_paused(self.node) {
            return Progress::Waiting;
        }
        let mut told = cluster.take_notice(self.node, self.session);
        if !self.out.is_empty() {
            let taken = cluster.core(self.node).feed_session(self.session, &self.out);
            self.out.drain(..taken);
            told = true;
        }
        if !told {
            return Progress::Waiting;
        }
        let core = cluster.core(self.node);
        while let Some(event) = core.next_session_event(self.session) {
            core.resume_session(self.session, event.id, &control::decide(&event)).unwrap();
        }
        while let Some(bytes) = core.take_session_out(self.session, TAKE_BYTES) {
            self.inbox.extend(bytes);
        }
        let is_closing = core.session_is_closing(self.session);
        if self.read() {
            let answer = std::mem::take(&mut self.answer);
            cluster.note(format!("{answer:?}").as_bytes());
            return Progress::Answered(answer);
        }
        if is_closing { Progress::Lost } else { Progress::Waiting }
    }

    /// Reads whole messages; whether ReadyForQuery was the last.
    fn read(&mut self) -> bool {
        while let Some(head) = self.inbox.get(1..5) {
            let len = u32::from_be_bytes(head.try_into().unwrap()) as usize;
            let Some(body) = self.inbox.get(5..=len) else { return false };
            match self.inbox[0] {
                b'D' => self.answer.rows.push(values(body)),
                b'C' => self.answer.tag = text(body).0.to_owned(),
                b'E' => self.answer.error = Some(error(body)),
                b'Z' => {
                    self.inbox.drain(..=len);
                    return true;
                }
                _ => {}
            }
            self.inbox.drain(..=len);
        }
        false
    }
}

fn text(bytes: &[u8]) -> (&str, &[u8]) {
    let end = bytes.iter().position(|byte| *byte == 0).expect("a string ends in zero");
    (std::str::from_utf8(&bytes[..end]).unwrap(), &bytes[end + 1..])
}

fn values(body: &[u8]) -> Vec<Option<String>> {
    let count = u16::from_be_bytes([body[0], body[1]]);
    let mut rest = &body[2..];
    let mut take = |n: usize| {
        let (head, tail) = rest.split_at(n);
        rest = tail;
        head
    };
    let mut values = Vec::new();
    for _ in 0..count {
        let len = i32::from_be_bytes(take(4).try_into().unwrap());
        let value = usize::try_from(len).ok().map(|len| take(len).to_vec());
        values.push(value.map(|bytes| String::from_utf8(bytes).unwrap()));
    }
    values
}

fn error(body: &[u8]) -> (String, String) {
    let (mut code, mut message, mut rest) = (String::new(), String::new(), body);
    while rest[0] != 0 {
        let (value, after) = text(&rest[1..]);
        match rest[0] {
            b'C' => value.clone_into(&mut code),
            b'M' => value.clone_into(&mut message),
            _ => {}
        }
        rest = after;
    }
    (code, message)
}
