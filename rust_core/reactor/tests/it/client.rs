//! A client that says and hears bytes.

use phantom_reactor::filter::Tls;
use phantom_reactor::net::sim::{SimSockets, address};
use phantom_reactor::net::{ConnId, Net};

use crate::cluster::{Cluster, PG};

pub struct Client {
    sockets: SimSockets,
    conn: ConnId,
    to_say: Vec<u8>,
    pub heard: Vec<u8>,
    /// How many bytes the wire has brought.
    pub arrived: usize,
    /// It hears no more than it has heard.
    pub is_deaf: bool,
    /// The other side has said all, or the connection is gone.
    pub has_ended: bool,
    pub was_reset: bool,
    /// What it encrypts with.
    tls: Option<Tls>,
}

pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &(body.len() as u32 + 4).to_be_bytes(), body].concat()
}

pub fn startup() -> Vec<u8> {
    let parameters = b"user\0postgres\0database\0postgres\0\0";
    let length = (parameters.len() as u32 + 8).to_be_bytes();
    [&length[..], &(3_u32 << 16).to_be_bytes(), parameters].concat()
}

pub fn query(text: &str) -> Vec<u8> {
    message(b'Q', &[text.as_bytes(), b"\0"].concat())
}

impl Client {
    /// Connects to a node's door.
    pub fn dial(cluster: &Cluster, node: usize, port: u16) -> Self {
        let mut sockets = cluster.clients();
        let conn = sockets.dial(&address(node, port)).unwrap();
        Self {
            sockets,
            conn,
            to_say: Vec::new(),
            heard: Vec::new(),
            arrived: 0,
            is_deaf: false,
            has_ended: false,
            was_reset: false,
            tls: None,
        }
    }

    /// Connects and begins a session.
    pub fn connect(cluster: &Cluster, node: usize) -> Self {
        let mut client = Self::dial(cluster, node, PG);
        client.say(&startup());
        client
    }

    /// Encrypts from now on.
    pub fn encrypt(&mut self, mut tls: Tls) {
        tls.begin(&mut self.to_say);
        self.tls = Some(tls);
        self.pump();
    }

    pub fn say(&mut self, bytes: &[u8]) {
        match &mut self.tls {
            Some(tls) => tls.say(bytes, &mut self.to_say),
            None => self.to_say.extend_from_slice(bytes),
        }
        self.pump();
    }

    /// Says no more.
    pub fn finish(&mut self) {
        self.pump();
        assert!(self.to_say.is_empty(), "it has more to say");
        self.sockets.finish(self.conn);
    }

    /// Hangs up.
    pub fn close(mut self) {
        self.sockets.close(self.conn);
    }

    /// How much it has not been able to say.
    pub fn unsaid(&self) -> usize {
        self.to_say.len()
    }

    /// Says and hears what can be said and heard now.
    pub fn pump(&mut self) {
        while !self.to_say.is_empty() {
            match self.sockets.send(self.conn, &self.to_say) {
                Ok(count) => drop(self.to_say.drain(..count)),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    (self.has_ended, self.was_reset) = (true, true);
                    break;
                }
            }
        }
        let mut buffer = [0; 4096];
        while !self.is_deaf && !self.has_ended {
            match self.sockets.recv(self.conn, &mut buffer) {
                Ok(0) => self.has_ended = true,
                Ok(count) => self.hear(&buffer[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(_) => (self.has_ended, self.was_reset) = (true, true),
            }
        }
    }

    fn hear(&mut self, wire: &[u8]) {
        self.arrived += wire.len();
        let Some(tls) = &mut self.tls else { return self.heard.extend_from_slice(wire) };
        if tls.receive(wire, &mut self.heard, &mut self.to_say).is_err() {
            self.was_reset = true;
        }
    }

    /// Whether the other side has said inside of its encryption that nothing follows.
    pub fn was_told_end(&self) -> bool {
        self.tls.as_ref().is_some_and(Tls::has_ended)
    }

    /// Whole messages that it has heard: kind and body.
    pub fn messages(&self) -> Vec<(u8, Vec<u8>)> {
        let (mut rest, mut all) = (&self.heard[..], Vec::new());
        while let Some(head) = rest.get(1..5) {
            let length = u32::from_be_bytes(head.try_into().unwrap()) as usize;
            let Some(body) = rest.get(5..=length) else { break };
            all.push((rest[0], body.to_vec()));
            rest = &rest[length + 1..];
        }
        all
    }

    /// How often it was told that it may go on.
    pub fn ready(&self) -> usize {
        self.messages().iter().filter(|(kind, _)| *kind == b'Z').count()
    }

    /// The SQLSTATEs of the errors that it has heard.
    pub fn errors(&self) -> Vec<String> {
        let code = |body: &Vec<u8>| {
            let fields = body.split(|byte| *byte == 0).map(String::from_utf8_lossy);
            fields.into_iter().find(|field| field.starts_with('C')).unwrap()[1..].to_owned()
        };
        self.messages()
            .iter()
            .filter(|(kind, _)| *kind == b'E')
            .map(|(_, body)| code(body))
            .collect()
    }

    /// The first values of the rows that it has heard.
    pub fn values(&self) -> Vec<String> {
        let value = |body: &Vec<u8>| {
            let length = u32::from_be_bytes(body[2..6].try_into().unwrap()) as usize;
            String::from_utf8(body[6..6 + length].to_vec()).unwrap()
        };
        self.messages()
            .iter()
            .filter(|(kind, _)| *kind == b'D')
            .map(|(_, body)| value(body))
            .collect()
    }
}

impl Cluster {
    /// Steps until a client has heard so many times that it may go on.
    pub fn until_ready(&mut self, client: &mut Client, count: usize) {
        self.until("a client may go on", |_| {
            client.pump();
            assert!(!client.has_ended, "{:?}", client.messages());
            client.ready() >= count
        });
    }

    /// Steps until the other side of a client's connection has said all.
    pub fn until_ended(&mut self, client: &mut Client) {
        self.until("a connection ends", |_| {
            client.pump();
            client.has_ended
        });
    }
}
