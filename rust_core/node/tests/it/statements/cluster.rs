//! Whole nodes on machines.
//!
//! A node here is a `NodeCore` with the inline runtime on a simulated disk: the shipped code, in an
//! order that the seed draws. `control` does what the control plane does for it in production.

use std::path::Path;
use std::sync::Arc;

use phantom_base::{Error, GroupId, Map, Nanos, NodeId, Set};
use phantom_node::control::NodeSettings;
use phantom_node::core::NodeCore;
use phantom_node::frame::BadFrame;
use phantom_node::replication::Replication;
use phantom_node::runtime::Runtime;
use phantom_sql::catalog::Table;

use super::client::{Answer, Client, Progress};
use super::control;
use crate::machines::{DIR, Life, MS, Machines, Place, Polled};

const SETTINGS: NodeSettings = NodeSettings {
    memory_bytes: 16 << 20,
    cores: 2,
    sessions_max: 100,
    sql_memory_bytes: 16 << 20,
};
/// How long anything may take while there is no trouble, in simulated milliseconds.
const PATIENCE_MS: u64 = 60_000;
/// How long a step without trouble takes.
const CALM_STEP: Nanos = 5 * MS;

/// Whole nodes.
pub type Cluster = Machines<WholeNode>;

/// A node that runs.
pub struct WholeNode {
    pub core: NodeCore,
    runtime: Arc<Runtime>,
    /// Sessions that have said that they have something.
    notices: Set<u64>,
    /// Ends of writes of system rows, by token.
    written: Map<u64, Vec<u8>>,
}

impl Life for WholeNode {
    type Common = ();

    fn open(place: Place, (): &mut ()) -> Result<Self, Error> {
        let Place { fs, runtime, clock, random, .. } = place;
        let runtime_too = Arc::clone(&runtime);
        let core = NodeCore::open(fs, Path::new(DIR), &SETTINGS, runtime_too, clock, random)?;
        Ok(Self { core, runtime, notices: Set::new(), written: Map::new() })
    }

    fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    fn replication(&mut self) -> &mut Replication {
        self.core.replication()
    }

    fn disconnected(&mut self, peer: NodeId) {
        self.core.disconnected(peer);
    }

    fn feed(&mut self, peer: NodeId, stream: u8, bytes: &[u8]) -> Result<usize, BadFrame> {
        self.core.feed(peer, stream, bytes)
    }

    fn poll(&mut self, _: NodeId, (): &mut ()) -> Result<Polled, Error> {
        let effects = self.core.poll()?;
        self.notices.extend(effects.sessions);
        self.written.extend(effects.rows);
        let due = |event: &Vec<u8>| control::election_due(event);
        let elections = effects.events.iter().flat_map(due).collect();
        let (moved, sleep_ns) = (effects.moved, effects.sleep_ns);
        Ok(Polled { out: effects.out, elections, told: effects.events.concat(), moved, sleep_ns })
    }
}

impl Cluster {
    pub fn core(&mut self, n: usize) -> &mut NodeCore {
        &mut self.up(n).core
    }

    /// Whether a session has said since the last time that it has something.
    pub fn take_notice(&mut self, n: usize, session: u64) -> bool {
        self.up(n).notices.remove(&session)
    }

    /// Ends a node as SIGTERM does.
    ///
    /// # Errors
    /// Those of its last sync.
    pub fn stop(&mut self, n: usize) -> Result<(), Error> {
        self.nodes[n].up.take().expect("it runs").core.close(std::time::Duration::ZERO)
    }

    /// Makes a table as CREATE TABLE does, through a node. There is no trouble meanwhile.
    pub fn create(&mut self, n: usize, table: &Table) {
        for (group, puts) in control::creation(table) {
            self.write_rows(n, group, &puts);
        }
    }

    /// Writes system rows through a node. There is no trouble meanwhile.
    pub fn write_rows(&mut self, n: usize, group: GroupId, puts: &[u8]) {
        let token = self.token();
        self.core(n).write_rows(token, group, puts).unwrap();
        let outcome = self
            .calm_until("system rows are written", |cluster| cluster.up(n).written.remove(&token));
        assert!(control::is_ok(&outcome), "{outcome:02x?}");
    }

    /// Runs without trouble until something has come.
    pub fn calm_until<T>(&mut self, what: &str, mut look: impl FnMut(&mut Self) -> Option<T>) -> T {
        let end = self.now() + PATIENCE_MS * MS;
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            assert!(self.now() < end, "not within {PATIENCE_MS} ms without trouble: {what}");
            self.calm_step(CALM_STEP);
        }
    }

    /// Runs one statement on a connection of its own, without trouble.
    pub fn ask(&mut self, n: usize, text: &str) -> Answer {
        let mut client = Client::connect(self, n).expect("a session");
        let wait = |cluster: &mut Self, client: &mut Client| {
            cluster.calm_until(text, |cluster| match client.pump(cluster) {
                Progress::Waiting => None,
                Progress::Answered(answer) => Some(answer),
                Progress::Lost => panic!("{text}: the connection is lost"),
            })
        };
        let greeting = wait(self, &mut client);
        assert_eq!(greeting.error, None);
        client.query(text);
        let answer = wait(self, &mut client);
        client.close(self);
        answer
    }
}
