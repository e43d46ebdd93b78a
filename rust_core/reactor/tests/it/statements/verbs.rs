//! What a test asks of a cluster in one call, while there is no trouble.

use phantom_base::GroupId;
use phantom_reactor::traffic::Verb;
use phantom_sql::catalog::Table;

use super::client::{Answer, Client, Progress};
use super::control;
use crate::cluster::Cluster;

impl Cluster {
    /// Makes a table as CREATE TABLE does, through a node. There is no trouble meanwhile.
    pub fn create(&mut self, n: usize, table: &Table) {
        for (group, puts) in control::creation(table) {
            self.write_rows(n, group, &puts);
        }
    }

    /// Writes system rows through a node. There is no trouble meanwhile.
    pub fn write_rows(&mut self, n: usize, group: GroupId, puts: &[u8]) {
        let token = self.token();
        self.post(n, Verb::WriteRows(token, group, puts.to_vec()));
        let outcome = self
            .calm_until("system rows are written", |cluster| cluster.up(n).written.remove(&token));
        assert!(control::is_ok(&outcome), "{outcome:02x?}");
    }

    /// Runs one statement on a connection of its own, without trouble.
    pub fn ask(&mut self, n: usize, text: &str) -> Answer {
        let mut client = Client::connect(self, n);
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
        client.close();
        answer
    }
}
