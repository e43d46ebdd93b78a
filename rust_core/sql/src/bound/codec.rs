//! The CBOR form of a bound query: what travels in a fragment.
//!
//! Arrays whose first element is a number: the format of the whole, the tag of an expression. Tags
//! are never reused; a reader refuses what it does not know. Values travel in PostgreSQL's binary
//! format, which `phantom_types` reads and writes for every type.
//!
//! ```text
//! query     [format, command, relations, from, filter, grouping, targets, distinct, sort, limit, offset, parameters]
//! command   [0] select | [1, rows, skip_conflicts] insert | [2, [[attnum, expr]..]] update | [3] delete
//! relation  [table, version]                 from  [0, relation] | [1, kind, left, right, on]
//! grouping  [keys, aggregates, having]       aggregate  [procedure, arguments, distinct, filter, type]
//! target    [expr, name, hidden, origin table, origin attnum]     sort key  [target, descending, nulls_first]
//! expr      [tag, type, typmod, ..]          null stands for what is absent
//! ```

use minicbor::data::Type;
use minicbor::decode::Error as DecodeError;
use minicbor::{Decoder, Encoder};
use phantom_base::{Error, sqlstate};
use phantom_types::{Datum, NO_TYPMOD, TypeId, format};

use super::{
    Aggregate, Command, Expr, ExprKind, Grouping, Insert, JoinKind, JoinTree, Query, Relation,
    SortKey, Target, Test, depth::DEPTH_MAX,
};

/// The format that this release writes and reads.
pub const FORMAT: u32 = 1;

/// The CBOR form of a query.
pub fn encode(query: &Query) -> Vec<u8> {
    let mut writer = Writer { out: Encoder::new(Vec::new()) };
    writer.query(query).expect("a Vec takes every write");
    writer.out.into_writer()
}

/// Reads the CBOR form. Well-formed is not yet valid: the executor checks types as it compiles.
///
/// # Errors
/// `XX000` for bytes that are no query of this format.
pub fn decode(bytes: &[u8]) -> Result<Query, Error> {
    let mut reader = Reader { input: Decoder::new(bytes), depth: 0 };
    reader.query().map_err(|error| {
        Error::new(sqlstate::INTERNAL_ERROR, format!("fragment does not decode: {error}"))
    })
}

mod tag {
    pub const CONST: u8 = 0;
    pub const PARAM: u8 = 1;
    pub const COLUMN: u8 = 2;
    pub const GROUP_KEY: u8 = 3;
    pub const AGGREGATE_REF: u8 = 4;
    pub const CALL: u8 = 5;
    pub const CAST_BY_TEXT: u8 = 6;
    pub const RELABEL: u8 = 7;
    pub const AND: u8 = 8;
    pub const OR: u8 = 9;
    pub const NOT: u8 = 10;
    pub const IS: u8 = 11;
    pub const DISTINCT: u8 = 12;
    pub const CASE: u8 = 13;
    pub const COALESCE: u8 = 14;
    pub const NULL_IF: u8 = 15;
    pub const EXTREME: u8 = 16;
    pub const IN: u8 = 17;
    pub const STEPS: u8 = 18;
    pub const PREVIOUS: u8 = 19;
}

type Written = Result<(), minicbor::encode::Error<std::convert::Infallible>>;
type Read<T> = Result<T, DecodeError>;

struct Writer {
    out: Encoder<Vec<u8>>,
}

impl Writer {
    fn query(&mut self, query: &Query) -> Written {
        self.out.array(12)?.u32(FORMAT)?;
        self.command(&query.command)?;
        self.list(&query.relations, |w, relation| {
            w.out.array(2)?.u32(relation.table)?.u32(relation.version)?;
            Ok(())
        })?;
        self.list(&query.from, Self::join_tree)?;
        self.maybe(query.filter.as_ref())?;
        match &query.grouping {
            None => {
                self.out.null()?;
            }
            Some(grouping) => self.grouping(grouping)?,
        }
        self.list(&query.targets, Self::target)?;
        self.out.bool(query.distinct)?;
        self.list(&query.sort, |w, key| {
            w.out.array(3)?.u16(key.target)?.bool(key.descending)?.bool(key.nulls_first)?;
            Ok(())
        })?;
        self.maybe(query.limit.as_ref())?;
        self.maybe(query.offset.as_ref())?;
        self.list(&query.parameters, |w, ty| {
            w.out.u32(ty.0)?;
            Ok(())
        })
    }

    fn list<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Self, &T) -> Written) -> Written {
        self.out.array(items.len() as u64)?;
        items.iter().try_for_each(|item| write(self, item))
    }

    fn maybe(&mut self, expr: Option<&Expr>) -> Written {
        match expr {
            Some(expr) => self.expr(expr),
            None => self.out.null().map(|_| ()),
        }
    }

    fn command(&mut self, command: &Command) -> Written {
        match command {
            Command::Select => self.out.array(1)?.u8(0).map(|_| ()),
            Command::Insert(insert) => {
                self.out.array(3)?.u8(1)?;
                self.list(&insert.rows, |w, row| w.list(row, Self::expr))?;
                self.out.bool(insert.skip_conflicts).map(|_| ())
            }
            Command::Update { assignments } => {
                self.out.array(2)?.u8(2)?;
                self.list(assignments, |w, (attnum, value)| {
                    w.out.array(2)?.u16(*attnum)?;
                    w.expr(value)
                })
            }
            Command::Delete => self.out.array(1)?.u8(3).map(|_| ()),
        }
    }

    fn join_tree(&mut self, tree: &JoinTree) -> Written {
        match tree {
            JoinTree::Relation(relation) => self.out.array(2)?.u8(0)?.u16(*relation).map(|_| ()),
            JoinTree::Join { kind, left, right, on } => {
                self.out.array(5)?.u8(1)?.u8(match kind {
                    JoinKind::Inner => 0,
                    JoinKind::Left => 1,
                })?;
                self.join_tree(left)?;
                self.join_tree(right)?;
                self.maybe(on.as_ref())
            }
        }
    }

    fn grouping(&mut self, grouping: &Grouping) -> Written {
        self.out.array(3)?;
        self.list(&grouping.keys, Self::expr)?;
        self.list(&grouping.aggregates, |w, aggregate| {
            w.out.array(5)?.u32(aggregate.procedure)?;
            w.list(&aggregate.arguments, Self::expr)?;
            w.out.bool(aggregate.distinct)?;
            w.maybe(aggregate.filter.as_ref())?;
            w.out.u32(aggregate.ty.0).map(|_| ())
        })?;
        self.maybe(grouping.having.as_ref())
    }

    fn target(&mut self, target: &Target) -> Written {
        self.out.array(5)?;
        self.expr(&target.expr)?;
        self.out.str(&target.name)?.bool(target.hidden)?;
        self.out.u32(target.origin.0)?.u16(target.origin.1).map(|_| ())
    }

    /// Opens the array of an expression that has `operands` elements of its own.
    fn open(
        &mut self,
        tag: u8,
        expr: &Expr,
        operands: u64,
    ) -> Result<&mut Self, minicbor::encode::Error<std::convert::Infallible>> {
        self.out.array(3 + operands)?.u8(tag)?.u32(expr.ty.0)?.i32(expr.typmod)?;
        Ok(self)
    }

    fn expr(&mut self, expr: &Expr) -> Written {
        match &expr.kind {
            ExprKind::Const(value) => {
                let out = &mut self.open(tag::CONST, expr, 1)?.out;
                match value {
                    Datum::Null => out.null()?,
                    value => {
                        let mut bytes = Vec::new();
                        format::write_binary(value, &mut bytes);
                        out.bytes(&bytes)?
                    }
                };
                Ok(())
            }
            ExprKind::Param(index) => self.open(tag::PARAM, expr, 1)?.out.u16(*index).map(|_| ()),
            ExprKind::Column { relation, attnum } => {
                self.open(tag::COLUMN, expr, 2)?.out.u16(*relation)?.u16(*attnum).map(|_| ())
            }
            ExprKind::GroupKey(at) => self.open(tag::GROUP_KEY, expr, 1)?.out.u16(*at).map(|_| ()),
            ExprKind::AggregateRef(at) => {
                self.open(tag::AGGREGATE_REF, expr, 1)?.out.u16(*at).map(|_| ())
            }
            ExprKind::Call(procedure, of) => {
                self.open(tag::CALL, expr, 2)?.out.u32(*procedure)?;
                self.list(of, Self::expr)
            }
            ExprKind::CastByText(of) => self.open(tag::CAST_BY_TEXT, expr, 1)?.expr(of),
            ExprKind::Relabel(of) => self.open(tag::RELABEL, expr, 1)?.expr(of),
            // Only a query that is still being bound has it.
            ExprKind::Collate(_, of) => self.expr(of),
            ExprKind::And(of) => self.open(tag::AND, expr, 1)?.list(of, Self::expr),
            ExprKind::Or(of) => self.open(tag::OR, expr, 1)?.list(of, Self::expr),
            ExprKind::Not(of) => self.open(tag::NOT, expr, 1)?.expr(of),
            ExprKind::Is(test, of) => {
                self.open(tag::IS, expr, 2)?.out.u8(test_number(*test))?;
                self.expr(of)
            }
            ExprKind::Distinct(equal, left, right) => {
                self.comparison(tag::DISTINCT, expr, *equal, left, right)
            }
            ExprKind::NullIf(equal, left, right) => {
                self.comparison(tag::NULL_IF, expr, *equal, left, right)
            }
            ExprKind::Case { whens, otherwise } => {
                self.open(tag::CASE, expr, 2)?.list(whens, |w, (condition, value)| {
                    w.out.array(2)?;
                    w.expr(condition)?;
                    w.expr(value)
                })?;
                self.maybe(otherwise.as_deref())
            }
            ExprKind::Coalesce(of) => self.open(tag::COALESCE, expr, 1)?.list(of, Self::expr),
            ExprKind::Extreme { greatest, of } => {
                self.open(tag::EXTREME, expr, 2)?.out.bool(*greatest)?;
                self.list(of, Self::expr)
            }
            ExprKind::In { equal, needle, list } => {
                self.open(tag::IN, expr, 3)?.out.u32(*equal)?;
                self.expr(needle)?;
                self.list(list, Self::expr)
            }
            ExprKind::Steps(of) => self.open(tag::STEPS, expr, 1)?.list(of, Self::expr),
            ExprKind::Previous => self.open(tag::PREVIOUS, expr, 0).map(|_| ()),
        }
    }

    fn comparison(
        &mut self,
        tag: u8,
        expr: &Expr,
        equal: u32,
        left: &Expr,
        right: &Expr,
    ) -> Written {
        self.open(tag, expr, 3)?.out.u32(equal)?;
        self.expr(left)?;
        self.expr(right)
    }
}

fn test_number(test: Test) -> u8 {
    match test {
        Test::Null => 0,
        Test::True => 1,
        Test::False => 2,
        Test::Unknown => 3,
    }
}

struct Reader<'a> {
    input: Decoder<'a>,
    depth: usize,
}

impl Reader<'_> {
    fn query(&mut self) -> Read<Query> {
        self.array_of(12)?;
        let format = self.input.u32()?;
        if format != FORMAT {
            return Err(wrong(format!("format {format}")));
        }
        Ok(Query {
            command: self.command()?,
            relations: self.list(|r| {
                r.array_of(2)?;
                Ok(Relation { table: r.input.u32()?, version: r.input.u32()? })
            })?,
            from: self.list(Self::join_tree)?,
            filter: self.maybe(Self::expr)?,
            grouping: self.maybe(Self::grouping)?,
            targets: self.list(Self::target)?,
            distinct: self.input.bool()?,
            sort: self.list(|r| {
                r.array_of(3)?;
                let (target, descending) = (r.input.u16()?, r.input.bool()?);
                Ok(SortKey { target, descending, nulls_first: r.input.bool()? })
            })?,
            limit: self.maybe(Self::expr)?,
            offset: self.maybe(Self::expr)?,
            parameters: self.list(Self::type_id)?,
        })
    }

    fn array_of(&mut self, expected: u64) -> Read<()> {
        match self.input.array()? {
            Some(found) if found == expected => Ok(()),
            found => Err(wrong(format!("array of {found:?} where {expected} belong"))),
        }
    }

    fn count(&mut self) -> Read<usize> {
        let count = self.input.array()?.ok_or_else(|| wrong("array of unknown length".into()))?;
        usize::try_from(count).map_err(|_| wrong(format!("array of {count}")))
    }

    fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Read<T>) -> Read<Vec<T>> {
        let count = self.count()?;
        // An element takes at least a byte, so a forged count cannot take memory ahead of input.
        let left = self.input.input().len() - self.input.position();
        let mut items = Vec::with_capacity(count.min(left));
        for _ in 0..count {
            items.push(read(self)?);
        }
        Ok(items)
    }

    fn maybe<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<Option<T>> {
        if self.input.datatype()? == Type::Null {
            self.input.null()?;
            return Ok(None);
        }
        read(self).map(Some)
    }

    fn type_id(&mut self) -> Read<TypeId> {
        let oid = self.input.u32()?;
        TypeId::from_oid(oid).ok_or_else(|| wrong(format!("type {oid}")))
    }

    fn command(&mut self) -> Read<Command> {
        let fields = self.count()?;
        match (self.input.u8()?, fields) {
            (0, 1) => Ok(Command::Select),
            (1, 3) => {
                let rows = self.list(|r| r.list(Self::expr))?;
                Ok(Command::Insert(Insert { rows, skip_conflicts: self.input.bool()? }))
            }
            (2, 2) => {
                let assignments = self.list(|r| {
                    r.array_of(2)?;
                    Ok((r.input.u16()?, r.expr()?))
                })?;
                Ok(Command::Update { assignments })
            }
            (3, 1) => Ok(Command::Delete),
            (tag, _) => Err(wrong(format!("command {tag} of {fields} fields"))),
        }
    }

    fn join_tree(&mut self) -> Read<JoinTree> {
        self.deeper(|r| {
            let fields = r.count()?;
            match (r.input.u8()?, fields) {
                (0, 2) => Ok(JoinTree::Relation(r.input.u16()?)),
                (1, 5) => {
                    let kind = match r.input.u8()? {
                        0 => JoinKind::Inner,
                        1 => JoinKind::Left,
                        other => return Err(wrong(format!("join kind {other}"))),
                    };
                    let left = Box::new(r.join_tree()?);
                    let right = Box::new(r.join_tree()?);
                    Ok(JoinTree::Join { kind, left, right, on: r.maybe(Self::expr)? })
                }
                (tag, _) => Err(wrong(format!("join tree {tag} of {fields} fields"))),
            }
        })
    }

    fn grouping(&mut self) -> Read<Grouping> {
        self.array_of(3)?;
        let keys = self.list(Self::expr)?;
        let aggregates = self.list(|r| {
            r.array_of(5)?;
            Ok(Aggregate {
                procedure: r.input.u32()?,
                arguments: r.list(Self::expr)?,
                distinct: r.input.bool()?,
                filter: r.maybe(Self::expr)?,
                ty: r.type_id()?,
            })
        })?;
        Ok(Grouping { keys, aggregates, having: self.maybe(Self::expr)? })
    }

    fn target(&mut self) -> Read<Target> {
        self.array_of(5)?;
        Ok(Target {
            expr: self.expr()?,
            name: self.input.str()?.to_owned(),
            hidden: self.input.bool()?,
            origin: (self.input.u32()?, self.input.u16()?),
        })
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(wrong(format!("nesting deeper than {DEPTH_MAX}")));
        }
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn boxed(&mut self) -> Read<Box<Expr>> {
        self.expr().map(Box::new)
    }

    fn expr(&mut self) -> Read<Expr> {
        self.deeper(|r| {
            let fields = r.count()?;
            let tag = r.input.u8()?;
            let ty = r.type_id()?;
            let typmod = r.input.i32()?;
            let kind = r.expr_kind(tag, ty, fields)?;
            Ok(Expr { kind, ty, typmod })
        })
    }

    fn expr_kind(&mut self, tag: u8, ty: TypeId, fields: usize) -> Read<ExprKind> {
        let kind = match (tag, fields) {
            (tag::CONST, 4) => ExprKind::Const(self.value(ty)?),
            (tag::PARAM, 4) => ExprKind::Param(self.input.u16()?),
            (tag::COLUMN, 5) => {
                ExprKind::Column { relation: self.input.u16()?, attnum: self.input.u16()? }
            }
            (tag::GROUP_KEY, 4) => ExprKind::GroupKey(self.input.u16()?),
            (tag::AGGREGATE_REF, 4) => ExprKind::AggregateRef(self.input.u16()?),
            (tag::CALL, 5) => ExprKind::Call(self.input.u32()?, self.list(Self::expr)?),
            (tag::CAST_BY_TEXT, 4) => ExprKind::CastByText(self.boxed()?),
            (tag::RELABEL, 4) => ExprKind::Relabel(self.boxed()?),
            (tag::AND, 4) => ExprKind::And(self.list(Self::expr)?),
            (tag::OR, 4) => ExprKind::Or(self.list(Self::expr)?),
            (tag::NOT, 4) => ExprKind::Not(self.boxed()?),
            (tag::IS, 5) => {
                let test = match self.input.u8()? {
                    0 => Test::Null,
                    1 => Test::True,
                    2 => Test::False,
                    3 => Test::Unknown,
                    other => return Err(wrong(format!("test {other}"))),
                };
                ExprKind::Is(test, self.boxed()?)
            }
            (tag::DISTINCT, 6) => {
                ExprKind::Distinct(self.input.u32()?, self.boxed()?, self.boxed()?)
            }
            (tag::NULL_IF, 6) => ExprKind::NullIf(self.input.u32()?, self.boxed()?, self.boxed()?),
            (tag::CASE, 5) => ExprKind::Case {
                whens: self.list(|r| {
                    r.array_of(2)?;
                    Ok((r.expr()?, r.expr()?))
                })?,
                otherwise: self.maybe(Self::boxed)?,
            },
            (tag::COALESCE, 4) => ExprKind::Coalesce(self.list(Self::expr)?),
            (tag::EXTREME, 5) => {
                ExprKind::Extreme { greatest: self.input.bool()?, of: self.list(Self::expr)? }
            }
            (tag::IN, 6) => ExprKind::In {
                equal: self.input.u32()?,
                needle: self.boxed()?,
                list: self.list(Self::expr)?,
            },
            (tag::STEPS, 4) => match self.list(Self::expr)? {
                steps if steps.is_empty() => return Err(wrong("no steps".into())),
                steps => ExprKind::Steps(steps),
            },
            (tag::PREVIOUS, 3) => ExprKind::Previous,
            _ => return Err(wrong(format!("expression {tag} of {fields} fields"))),
        };
        Ok(kind)
    }

    fn value(&mut self, ty: TypeId) -> Read<Datum> {
        let Some(bytes) = self.maybe(|r| r.input.bytes())? else { return Ok(Datum::Null) };
        format::read_binary(ty, NO_TYPMOD, bytes, 0).map_err(|error| wrong(error.to_string()))
    }
}

fn wrong(what: String) -> DecodeError {
    DecodeError::message(what)
}
