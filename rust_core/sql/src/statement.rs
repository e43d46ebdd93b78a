//! A prepared statement: what the binder makes of a text, and what a session keeps under a name.

use phantom_base::Error;
use phantom_base::sync::Arc;
use phantom_types::TypeId;

use crate::bound::{self, Query};
use crate::catalog::{Column, Table};
use crate::point::{self, PointPlan};

/// A statement that was parsed and bound. Immutable and shared.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Its text.
    pub text: Arc<str>,
    /// What it does.
    pub body: Body,
    /// The types of `$1`, `$2`, ..
    pub parameters: Vec<TypeId>,
    /// The columns of its result; empty for a command that returns no rows.
    pub columns: Vec<ResultColumn>,
    /// Whether a literal in it spoke of the present (`'now'`): it is nobody else's statement.
    pub of_the_moment: bool,
    /// The value of `search_path` that its names were looked up with.
    pub search_path: Arc<str>,
    /// Why it cannot be run, though it can be described: a call on constants fails.
    pub plan_error: Option<Error>,
}

/// A column of a result, as RowDescription tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultColumn {
    /// Its name.
    pub name: String,
    /// The table that it shows a column of; 0 for a computed one.
    pub table: u32,
    /// The column's number there; 0 for a computed one.
    pub attnum: u16,
    /// Its type.
    pub ty: TypeId,
    /// Its type's modifier; -1 is none.
    pub typmod: i32,
}

/// What a statement does.
#[derive(Clone, Debug)]
pub enum Body {
    /// Nothing: the text was empty.
    Empty,
    /// Reads or writes rows.
    Query(Arc<Planned>),
    /// CREATE TABLE.
    CreateTable(CreateTable),
    /// DROP TABLE.
    DropTable(DropTable),
    /// Works on the session alone.
    Utility(Utility),
}

/// A query, ready to be run or sent: what it rests on, and its point plan if it has one.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The query.
    pub query: Arc<Query>,
    /// The tables of its range table, as they were bound.
    pub tables: Vec<Arc<Table>>,
    /// How it is run by key; `None` for what needs a planner.
    pub point: Option<PointPlan>,
    /// The CBOR form of the query.
    pub encoded: Arc<[u8]>,
    /// A hash of that form, by which nodes name it to each other.
    pub hash: u128,
}

impl Planned {
    /// Prepares a query over the tables of its range table.
    pub fn new(query: Query, tables: Vec<Arc<Table>>) -> Self {
        let encoded: Arc<[u8]> = bound::codec::encode(&query).into();
        Self::from_parts(query, encoded, tables)
    }

    /// The same for a query that came in its CBOR form.
    pub fn from_parts(query: Query, encoded: Arc<[u8]>, tables: Vec<Arc<Table>>) -> Self {
        assert_eq!(query.relations.len(), tables.len(), "a table for each relation");
        let query = Arc::new(query);
        let point = point::classify(&query, &tables);
        let hash = xxhash_rust::xxh3::xxh3_128(&encoded);
        Self { query, tables, point, encoded, hash }
    }
}

/// CREATE TABLE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateTable {
    /// The schema; `public` so far.
    pub schema: String,
    /// The table's name.
    pub name: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Column numbers of the primary key, in key order.
    pub primary_key: Vec<u16>,
    /// The name of the primary key's constraint; empty without one.
    pub primary_key_name: String,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
}

/// DROP TABLE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropTable {
    /// Schemas and names.
    pub tables: Vec<(String, String)>,
    /// IF EXISTS.
    pub if_exists: bool,
}

/// What works on the session alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Utility {
    /// SET; `None` is DEFAULT.
    Set {
        /// The setting.
        name: String,
        /// Its new value.
        value: Option<String>,
        /// SET LOCAL: it ends with the transaction, and warns outside a transaction block.
        local: bool,
    },
    /// SET TRANSACTION, or SET SESSION CHARACTERISTICS for all transactions to come.
    SetModes {
        /// Whether it is for those to come.
        session: bool,
        /// Settings of a transaction (`transaction_..`) and their values.
        modes: Vec<(String, String)>,
    },
    /// SHOW of one setting, or of ALL.
    Show(Option<String>),
    /// RESET of one setting, or of ALL.
    Reset(Option<String>),
    /// DISCARD ALL, PLANS, SEQUENCES or TEMP.
    Discard(Discard),
    /// DEALLOCATE of one statement, or of ALL.
    Deallocate(Option<String>),
}

/// What DISCARD forgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discard {
    /// Statements, portals and settings.
    All,
    /// Plans, which are the node's: nothing that can be seen.
    Plans,
    /// Cached sequence values; there are none.
    Sequences,
    /// Temporary tables; there are none.
    Temp,
}

impl Prepared {
    pub(crate) fn new(
        text: &str,
        body: Body,
        parameters: Vec<TypeId>,
        columns: Vec<ResultColumn>,
    ) -> Self {
        let text = Arc::from(text);
        let search_path = Arc::from("");
        let (of_the_moment, plan_error) = (false, None);
        Self { text, body, parameters, columns, of_the_moment, search_path, plan_error }
    }

    /// Whether a client that was told of its result would take the other's for it. Names are part
    /// of it: where `a, b` was promised, `b, a` would be read wrongly.
    pub fn has_result_of(&self, other: &Self) -> bool {
        let shape = |column: &ResultColumn| (column.name.clone(), column.ty, column.typmod);
        self.columns.iter().map(shape).eq(other.columns.iter().map(shape))
    }

    /// Whether its result is rows, be they of no columns (`SELECT FROM t`).
    pub fn returns_rows(&self) -> bool {
        let is_select = match &self.body {
            Body::Query(planned) => !planned.query.is_write(),
            _ => false,
        };
        is_select || !self.columns.is_empty()
    }

    /// Whether it changes rows or the catalog.
    pub fn is_write(&self) -> bool {
        match &self.body {
            Body::Query(planned) => planned.query.is_write(),
            Body::CreateTable(_) | Body::DropTable(_) => true,
            Body::Empty | Body::Utility(_) => false,
        }
    }

    /// The command tag, given how many rows it returned or changed.
    pub fn tag(&self, rows: u64) -> String {
        use crate::bound::Command;
        match &self.body {
            Body::Empty => String::new(),
            Body::Query(planned) => match planned.query.command {
                Command::Select => format!("SELECT {rows}"),
                Command::Insert(_) => format!("INSERT 0 {rows}"),
                Command::Update { .. } => format!("UPDATE {rows}"),
                Command::Delete => format!("DELETE {rows}"),
            },
            Body::CreateTable(_) => "CREATE TABLE".into(),
            Body::DropTable(_) => "DROP TABLE".into(),
            Body::Utility(utility) => utility.tag().into(),
        }
    }
}

impl Utility {
    /// The command tag.
    pub fn tag(&self) -> &'static str {
        match self {
            Self::Set { .. } | Self::SetModes { .. } => "SET",
            Self::Show(_) => "SHOW",
            Self::Reset(_) => "RESET",
            Self::Discard(Discard::All) => "DISCARD ALL",
            Self::Discard(Discard::Plans) => "DISCARD PLANS",
            Self::Discard(Discard::Sequences) => "DISCARD SEQUENCES",
            Self::Discard(Discard::Temp) => "DISCARD TEMP",
            Self::Deallocate(None) => "DEALLOCATE ALL",
            Self::Deallocate(Some(_)) => "DEALLOCATE",
        }
    }
}
