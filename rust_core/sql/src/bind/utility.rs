//! Statements that work on the session alone, and the refusal of everything that is absent.

use pg_query::protobuf::a_const::Val;
use pg_query::protobuf::node::Node;
use pg_query::protobuf::{self, DiscardMode, TransactionStmtKind, VariableSetKind};
use phantom_base::{Error, Result, sqlstate};
use phantom_types::TypeId;

use super::{Binder, Bound, BoundStatement, inner, words};
use crate::statement::{Body, Discard, ResultColumn, Utility};

impl Binder<'_> {
    pub(super) fn utility_statement(node: &Node) -> Result<BoundStatement> {
        let utility = match node {
            Node::VariableSetStmt(set) => bind_set(set)?,
            Node::VariableShowStmt(show) => {
                let name = setting_name(&show.name);
                Utility::Show((name != "all").then_some(name))
            }
            Node::DiscardStmt(discard) => Utility::Discard(match discard.target() {
                DiscardMode::DiscardPlans => Discard::Plans,
                DiscardMode::DiscardSequences => Discard::Sequences,
                DiscardMode::DiscardTemp => Discard::Temp,
                _ => Discard::All,
            }),
            Node::DeallocateStmt(stmt) => Utility::Deallocate(
                (!stmt.isall && !stmt.name.is_empty()).then(|| stmt.name.clone()),
            ),
            Node::TransactionStmt(stmt) => return Err(transaction_block(stmt)),
            other => return Err(Error::unsupported(words::statement(other))),
        };
        let columns = match &utility {
            Utility::Show(Some(name)) => vec![text_column(name)],
            Utility::Show(None) => ["name", "setting", "description"].map(text_column).into(),
            _ => Vec::new(),
        };
        Ok((Bound::Other(Body::Utility(utility)), columns))
    }
}

fn bind_set(set: &protobuf::VariableSetStmt) -> Result<Utility> {
    let name = setting_name(&set.name);
    match set.kind() {
        VariableSetKind::VarResetAll => Ok(Utility::Reset(None)),
        VariableSetKind::VarReset => Ok(Utility::Reset(Some(name))),
        VariableSetKind::VarSetDefault => {
            Ok(Utility::Set { name, value: None, local: set.is_local })
        }
        VariableSetKind::VarSetValue => {
            let words = setting_words(set, &name)?;
            let value = Some(words.join(", "));
            Ok(Utility::Set { name, value, local: set.is_local })
        }
        VariableSetKind::VarSetMulti if set.name != "TRANSACTION SNAPSHOT" => {
            let session = set.name == "SESSION CHARACTERISTICS";
            let mut modes = Vec::with_capacity(set.args.len());
            for argument in &set.args {
                let Some(Node::DefElem(mode)) = inner(Some(argument)) else {
                    return Err(Error::unsupported(format!("SET {}", set.name)));
                };
                modes.push((mode.defname.clone(), setting_word(inner(mode.arg.as_deref()))?));
            }
            Ok(Utility::SetModes { session, modes })
        }
        VariableSetKind::VarSetMulti => Err(Error::unsupported(format!("SET {}", set.name))),
        _ => Err(Error::unsupported("SET .. FROM CURRENT")),
    }
}

/// The words of a value; only lists have several.
fn setting_words(set: &protobuf::VariableSetStmt, name: &str) -> Result<Vec<String>> {
    let mut words = Vec::with_capacity(set.args.len());
    for argument in &set.args {
        let node = inner(Some(argument));
        let word = setting_word(node)?;
        let is_number = matches!(node, Some(Node::AConst(constant))
            if !matches!(constant.val, Some(Val::Sval(_))));
        let is_name = name == "search_path" && !is_number;
        words.push(if is_name { crate::settings::quoted(&word) } else { word });
    }
    let is_list = matches!(name, "search_path" | "datestyle" | "temp_tablespaces");
    if words.len() > 1 && !is_list && !crate::settings::is_foreign(name) {
        let message = format!("SET {} takes only one argument", set.name);
        return Err(Error::new(sqlstate::INVALID_PARAMETER_VALUE, message));
    }
    Ok(words)
}

fn setting_word(node: Option<&Node>) -> Result<String> {
    match node {
        Some(Node::AConst(constant)) => Ok(match &constant.val {
            None => "0".into(),
            Some(Val::Ival(value)) => value.ival.to_string(),
            Some(Val::Fval(value)) => value.fval.clone(),
            Some(Val::Boolval(value)) => if value.boolval { "on" } else { "off" }.into(),
            Some(Val::Sval(value)) => value.sval.clone(),
            Some(Val::Bsval(_)) => return Err(Error::unsupported("a bit string in SET")),
        }),
        Some(Node::TypeCast(_)) => Err(Error::unsupported("SET TIME ZONE INTERVAL")),
        absent => Err(Error::unsupported(format!("{} in SET", words::of(absent)))),
    }
}

/// Settings are named in any case.
fn setting_name(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    if lower == "timezone" || lower == "time zone" { "timezone".into() } else { lower }
}

fn text_column(name: &str) -> ResultColumn {
    ResultColumn {
        name: crate::settings::shown_name(name).to_owned(),
        table: 0,
        attnum: 0,
        ty: TypeId::TEXT,
        typmod: -1,
    }
}

fn transaction_block(stmt: &protobuf::TransactionStmt) -> Error {
    use TransactionStmtKind as Kind;
    let name = match stmt.kind() {
        Kind::TransStmtBegin => "BEGIN",
        Kind::TransStmtStart => "START TRANSACTION",
        Kind::TransStmtCommit => "COMMIT",
        Kind::TransStmtRollback => "ROLLBACK",
        Kind::TransStmtSavepoint => "SAVEPOINT",
        Kind::TransStmtRelease => "RELEASE SAVEPOINT",
        Kind::TransStmtRollbackTo => "ROLLBACK TO SAVEPOINT",
        Kind::TransStmtPrepare => "PREPARE TRANSACTION",
        Kind::TransStmtCommitPrepared => "COMMIT PREPARED",
        Kind::TransStmtRollbackPrepared => "ROLLBACK PREPARED",
        Kind::Undefined => "a transaction command",
    };
    Error::unsupported(name)
        .with_hint("Each statement commits by itself; use the client's autocommit mode.")
}
