//! Fault scripts: one text form for tests, scenarios and replays.
//!
//! ```text
//! op=sync class=log nth=3            -> error(EIO)
//! op=write class=table path=*.tbl    -> short(100)
//! op=rename class=current            -> crash(LoseAll)
//! nth=17                             -> error(ENOSPC)       # any call
//! ```
//!
//! One rule a line; `#` starts a comment. All predicates of a rule must hold: `op` (`sync` covers
//! `sync_data` and `sync_all`), `class`, `path` (`*` matches anything), `offset=A..B` (where a read
//! or write begins), `after=N` and `until=N` (numbers of I/O calls), then among the calls that match
//! `nth=N`, `every=N`, `chance=P`. The first rule that fires acts. Rules count how often they fired,
//! so that a test can assert that its fault surfaced.

use std::fmt;
use std::ops::Range;

use phantom_base::{Random, SeededRandom};

use crate::FileClass;
use crate::glob;
use crate::sim::Crash;

/// An I/O call, by its name in `Vfs` or `VfsFile`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are those of the calls")]
pub enum Op {
    Create,
    Open,
    Rename,
    Link,
    Remove,
    List,
    MakeDir,
    SyncDir,
    Lock,
    Space,
    Read,
    Write,
    Sync,
    SetLen,
    Len,
    Allocate,
    Advise,
}

impl Op {
    const NAMES: [(&'static str, Self); 17] = [
        ("create", Self::Create),
        ("open", Self::Open),
        ("rename", Self::Rename),
        ("link", Self::Link),
        ("remove", Self::Remove),
        ("list", Self::List),
        ("make_dir", Self::MakeDir),
        ("sync_dir", Self::SyncDir),
        ("lock", Self::Lock),
        ("space", Self::Space),
        ("read", Self::Read),
        ("write", Self::Write),
        ("sync", Self::Sync),
        ("set_len", Self::SetLen),
        ("len", Self::Len),
        ("allocate", Self::Allocate),
        ("advise", Self::Advise),
    ];

    /// Whether the call changes the disk or what of it is durable. A crash before a call that does
    /// not leaves the same images as a crash before the next one that does.
    pub fn is_change(self) -> bool {
        !matches!(
            self,
            Self::Open | Self::List | Self::Space | Self::Read | Self::Len | Self::Advise
        )
    }
}

const CLASSES: [(&str, FileClass); 7] = [
    ("log", FileClass::Log),
    ("table", FileClass::Table),
    ("manifest", FileClass::Manifest),
    ("current", FileClass::Current),
    ("lock", FileClass::Lock),
    ("temp", FileClass::Temp),
    ("derived", FileClass::Derived),
];

/// Which error a fault raises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SimErrno {
    /// The device failed.
    Eio,
    /// The disk is full.
    Enospc,
}

/// What happens when a rule fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The call fails. A failed sync also makes the pending pages clean, as kernels do.
    Error(SimErrno),
    /// A read or write does at most so many bytes.
    Short(usize),
    /// The machine stops during the call.
    Crash(Crash),
}

/// One line of a script.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    op: Option<Op>,
    class: Option<FileClass>,
    path: Option<String>,
    offset: Option<Range<u64>>,
    after: Option<u64>,
    until: Option<u64>,
    nth: Option<u64>,
    every: Option<u64>,
    chance: Option<f64>,
    action: Action,
    matched: u64,
    fired: u64,
}

/// A list of rules.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FaultScript {
    rules: Vec<Rule>,
}

/// A line of a script that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of a fault script: {what}")]
pub struct FaultSyntax {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

/// A call, as rules see it.
pub(crate) struct Call<'a> {
    pub op: Op,
    pub class: Option<FileClass>,
    pub path: &'a str,
    pub offset: u64,
    /// Its number among all calls, from 1.
    pub number: u64,
}

impl FaultScript {
    /// Reads a script.
    pub fn parse(text: &str) -> Result<Self, FaultSyntax> {
        let mut rules = Vec::new();
        for (i, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if !line.is_empty() {
                rules.push(parse_rule(line).map_err(|what| FaultSyntax { line: i + 1, what })?);
            }
        }
        Ok(Self { rules })
    }

    /// How often each rule fired.
    pub fn fired(&self) -> Vec<u64> {
        self.rules.iter().map(|rule| rule.fired).collect()
    }

    pub(crate) fn decide(&mut self, call: &Call<'_>, random: &mut SeededRandom) -> Option<Action> {
        self.rules.iter_mut().find_map(|rule| rule.fires(call, random).then_some(rule.action))
    }
}

impl Rule {
    fn fires(&mut self, call: &Call<'_>, random: &mut SeededRandom) -> bool {
        let holds = self.op.is_none_or(|op| op == call.op)
            && self.class.is_none_or(|class| Some(class) == call.class)
            && self.path.as_ref().is_none_or(|pattern| glob::matches(pattern, call.path))
            && self.offset.as_ref().is_none_or(|range| range.contains(&call.offset))
            && self.after.is_none_or(|n| call.number > n)
            && self.until.is_none_or(|n| call.number <= n);
        if !holds {
            return false;
        }
        self.matched += 1;
        let chosen = self.nth.is_none_or(|n| self.matched == n)
            && self.every.is_none_or(|n| self.matched.is_multiple_of(n))
            && self.chance.is_none_or(|p| unit(random) < p);
        self.fired += u64::from(chosen);
        chosen
    }
}

/// A number in 0..1.
#[expect(clippy::cast_precision_loss, reason = "53 bits fit a double")]
fn unit(random: &mut SeededRandom) -> f64 {
    (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

fn parse_rule(line: &str) -> Result<Rule, String> {
    let (predicates, action) = line.split_once("->").ok_or("there is no `->`")?;
    let mut rule = Rule {
        op: None,
        class: None,
        path: None,
        offset: None,
        after: None,
        until: None,
        nth: None,
        every: None,
        chance: None,
        action: parse_action(action.trim())?,
        matched: 0,
        fired: 0,
    };
    for predicate in predicates.split_whitespace() {
        let (name, value) =
            predicate.split_once('=').ok_or_else(|| format!("`{predicate}` has no `=`"))?;
        match name {
            "op" => rule.op = Some(lookup(&Op::NAMES, value)?),
            "class" => rule.class = Some(lookup(&CLASSES, value)?),
            "path" => rule.path = Some(value.to_owned()),
            "offset" => {
                let (from, to) = value.split_once("..").ok_or("an offset is `A..B`")?;
                rule.offset = Some(number(from)?..number(to)?);
            }
            "after" => rule.after = Some(number(value)?),
            "until" => rule.until = Some(number(value)?),
            "nth" => rule.nth = Some(number(value)?),
            "every" => rule.every = Some(number(value)?.max(1)),
            "chance" => rule.chance = Some(value.parse().map_err(|e| format!("{value}: {e}"))?),
            _ => return Err(format!("`{name}` is no predicate")),
        }
    }
    Ok(rule)
}

fn parse_action(text: &str) -> Result<Action, String> {
    let (name, argument) = text
        .strip_suffix(')')
        .and_then(|rest| rest.split_once('('))
        .ok_or_else(|| format!("`{text}` is not an action with an argument"))?;
    match (name, argument) {
        ("error", "EIO") => Ok(Action::Error(SimErrno::Eio)),
        ("error", "ENOSPC") => Ok(Action::Error(SimErrno::Enospc)),
        ("short", n) => Ok(Action::Short(number(n)? as usize)),
        ("crash", policy) => Ok(Action::Crash(policy.parse()?)),
        _ => Err(format!("`{text}` is no action; there are error(EIO|ENOSPC), short(N), crash(P)")),
    }
}

fn lookup<T: Copy>(names: &[(&str, T)], value: &str) -> Result<T, String> {
    let found = names.iter().find(|(name, _)| *name == value);
    found.map(|(_, it)| *it).ok_or_else(|| format!("`{value}` is unknown here"))
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|e| format!("`{text}`: {e}"))
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(_, op)| op == self).map_or("?", |(name, _)| name);
        f.write_str(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fires(script: &mut FaultScript, op: Op, path: &str, number: u64) -> Option<Action> {
        let call = Call { op, class: Some(FileClass::Table), path, offset: 512, number };
        script.decide(&call, &mut SeededRandom::new(1))
    }

    #[test]
    fn predicates_must_all_hold_and_hits_are_counted() {
        let mut script = FaultScript::parse(
            "op=write class=table path=*.tbl offset=0..1024 nth=2 -> short(100)  # a comment\n\
             op=sync after=5 until=6 -> error(EIO)\n",
        )
        .unwrap();
        assert_eq!(fires(&mut script, Op::Write, "a/1.tbl", 1), None);
        assert_eq!(fires(&mut script, Op::Write, "a/1.log", 2), None);
        assert_eq!(fires(&mut script, Op::Write, "a/2.tbl", 3), Some(Action::Short(100)));
        assert_eq!(fires(&mut script, Op::Write, "a/2.tbl", 4), None);
        assert_eq!(fires(&mut script, Op::Sync, "x", 5), None);
        assert_eq!(fires(&mut script, Op::Sync, "x", 6), Some(Action::Error(SimErrno::Eio)));
        assert_eq!(script.fired(), [1, 1]);
    }

    #[test]
    fn a_wrong_line_is_named() {
        for bad in ["op=write", "op=dance -> short(1)", "nth=x -> short(1)", "-> flip(1)"] {
            let error = FaultScript::parse(&format!("\n{bad}")).unwrap_err();
            assert_eq!(error.line, 2, "{error}");
        }
    }
}
