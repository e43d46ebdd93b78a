//! One connection of a client: messages of PostgreSQL's protocol out, one answer in.

use phantom_reactor::traffic::Verb;

use crate::client::{Client as Wire, message, query};
use crate::cluster::Cluster;

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
    wire: Wire,
    answer: Answer,
    /// Its pid and its secret.
    key: (u32, u32),
}

impl Client {
    /// Connects to a node; the first answer is that of the startup.
    pub fn connect(cluster: &mut Cluster, node: usize) -> Self {
        let wire = Wire::connect(cluster, node);
        Self { node, wire, answer: Answer::default(), key: (0, 0) }
    }

    /// Sends a statement as a simple query.
    pub fn query(&mut self, text: &str) {
        self.wire.say(&query(text));
    }

    /// Sends a simple query but for its last byte: it is never worked on.
    pub fn begin_query(&mut self, text: &str) {
        let mut query = query(text);
        query.pop();
        self.wire.say(&query);
    }

    /// Sends a statement with values, as drivers do.
    pub fn execute(&mut self, text: &str, values: &[String]) {
        self.wire.say(&message(b'P', &[b"\0", text.as_bytes(), b"\0\0\0"].concat()));
        let mut bind = vec![0, 0, 0, 0];
        bind.extend_from_slice(&(values.len() as u16).to_be_bytes());
        for value in values {
            bind.extend_from_slice(&(value.len() as u32).to_be_bytes());
            bind.extend_from_slice(value.as_bytes());
        }
        bind.extend_from_slice(&[0, 0]);
        self.wire.say(&message(b'B', &bind));
        self.wire.say(&message(b'E', &[0; 5]));
        self.wire.say(&message(b'S', &[]));
    }

    /// Ends what it waits for, as a cancel request does.
    pub fn cancel(&self, cluster: &mut Cluster) {
        cluster.post(self.node, Verb::CancelByKey(self.key.0, self.key.1));
    }

    /// Hangs up, whatever it waits for.
    pub fn close(self) {
        self.wire.close();
    }

    /// Says and hears what can be said and heard now.
    pub fn pump(&mut self, cluster: &mut Cluster) -> Progress {
        cluster.net.pass(cluster.now());
        self.wire.pump();
        if self.read() {
            let answer = std::mem::take(&mut self.answer);
            cluster.note(format!("{answer:?}").as_bytes());
            return Progress::Answered(answer);
        }
        if self.wire.has_ended { Progress::Lost } else { Progress::Waiting }
    }

    /// Reads whole messages; whether ReadyForQuery was the last.
    fn read(&mut self) -> bool {
        while let Some(head) = self.wire.heard.get(1..5) {
            let len = u32::from_be_bytes(head.try_into().unwrap()) as usize;
            let Some(body) = self.wire.heard.get(5..=len) else { return false };
            match self.wire.heard[0] {
                b'D' => self.answer.rows.push(values(body)),
                b'C' => self.answer.tag = text(body).0.to_owned(),
                b'K' => {
                    let number =
                        |at: usize| u32::from_be_bytes(body[at..at + 4].try_into().unwrap());
                    self.key = (number(0), number(4));
                }
                b'E' => self.answer.error = Some(error(body)),
                b'Z' => {
                    self.wire.heard.drain(..=len);
                    return true;
                }
                _ => {}
            }
            self.wire.heard.drain(..=len);
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
