//! Scripts of the machines above replication: blocks of commands, `----`, and what they print. The
//! file's name is the claim.
//!
//! `REWRITE=1 cargo test -p phantom_node scripts` writes the answers anew; the diff is read like code.
//! Each machine says beside its scene what its commands are.

mod gateway;
mod leader;

use std::fmt::Write as _;
use std::path::Path;

use phantom_base::sync::Arc;
use phantom_sql::bind;
use phantom_sql::catalog::{CatalogSnapshot, Collation, Column, Table, TableState};
use phantom_sql::settings::Settings;
use phantom_sql::statement::{Body, Planned};
use phantom_types::{EvalContext, Meter, SessionFormat, TypeId};

/// What a script troubles.
trait Scene {
    /// At the beginning.
    fn new() -> Self;
    /// Carries a command out; what it prints goes behind `seen`.
    fn run(&mut self, words: &[&str], seen: &mut Vec<String>);
}

fn answer<S: Scene>(text: &str) -> String {
    let (mut scene, mut seen) = (S::new(), Vec::new());
    let mut out = String::new();
    let mut in_answer = false;
    for line in text.lines() {
        if in_answer {
            in_answer = !line.is_empty();
        } else if line == "----" {
            in_answer = true;
            out.push_str("----\n");
            for printed in seen.drain(..) {
                writeln!(out, "{printed}").expect("a string");
            }
            out.push('\n');
        } else if !line.is_empty() {
            writeln!(out, "{line}").expect("a string");
            if !line.starts_with('#') {
                let words: Vec<&str> = line.split_whitespace().collect();
                scene.run(&words, &mut seen);
            }
        }
    }
    while out.ends_with("\n\n") {
        out.pop();
    }
    out
}

#[allow(clippy::disallowed_methods, reason = "scripts are read from the source tree")]
fn scripts_of<S: Scene>(machine: &str, at_least: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts").join(machine);
    let files = std::fs::read_dir(folder).expect("the folder of scripts");
    let mut paths: Vec<_> = files.map(|file| file.expect("a script").path()).collect();
    paths.sort();
    assert!(paths.len() >= at_least, "only {} scripts", paths.len());
    let rewrite = std::env::var_os("REWRITE").is_some();
    let mut wrong = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).expect("a script");
        let answered = answer::<S>(&text);
        if rewrite {
            std::fs::write(&path, answered).expect("the source tree is ours");
        } else if answered != text {
            let differs = text.lines().zip(answered.lines()).find(|(was, is)| was != is);
            wrong.push((path, differs.map(|(was, is)| (was.to_owned(), is.to_owned()))));
        }
    }
    assert!(wrong.is_empty(), "answers differ (expected, got): {wrong:#?}");
}

#[test]
fn the_leader_answers_as_written() {
    scripts_of::<leader::LeaderScene>("leader", 12);
}

#[test]
fn the_gateway_answers_as_written() {
    scripts_of::<gateway::GatewayScene>("gateway", 8);
}

/// The table of all scripts: `t (k int4 PRIMARY KEY, v int4)`.
fn table() -> Table {
    let column = |name: &str| Column {
        name: name.into(),
        ty: TypeId::INT4,
        typmod: -1,
        not_null: name == "k",
        collation: Collation::Default,
    };
    Table {
        oid: 16_400,
        version: 1,
        storage_id: 16_400,
        colocation: 1,
        state: TableState::Public,
        schema: "public".into(),
        name: "t".into(),
        columns: vec![column("k"), column("v")],
        primary_key: vec![1],
        primary_key_name: "t_pkey".into(),
    }
}

fn eval() -> EvalContext {
    EvalContext {
        transaction_time: 0,
        statement_time: 0,
        format: SessionFormat::default(),
        database: Arc::from("postgres"),
        server_version: Arc::from("x"),
        meter: Meter::default(),
    }
}

fn bound(text: &str) -> Arc<Planned> {
    let table = table();
    let catalog = CatalogSnapshot::default().with(1, vec![(table.oid, Some(table))]);
    let (settings, eval) = (Settings::new("postgres"), eval());
    let context =
        bind::Context { catalog: &catalog, settings: &settings, role: "postgres", eval: &eval };
    match bind::prepare(text, &[], context).expect("a statement").body {
        Body::Query(planned) => planned,
        _ => panic!("{text} is no query"),
    }
}

/// The number in words like `flow=7`.
fn named(words: &[&str], name: &str) -> Option<u64> {
    let found = words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    found.map(|number| number.parse().expect("a number"))
}

/// The number at a place.
fn number(words: &[&str], at: usize) -> u64 {
    words.get(at).and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("{words:?}"))
}
