//! Expressions as register programs over the columns of a batch.
//!
//! `Compiler` (compile.rs) turns a bound expression into a straight line of instructions: each
//! reads columns, constants and registers, and writes one register. Nothing jumps and nothing
//! recurses at run time. What an expression may leave out - the rest of an AND once it is false,
//! the branch of a CASE that is not taken - is left out by *selections*: an instruction names the
//! slot of the rows that it works on, slot 0 being the rows that the caller asks for, and AND, OR,
//! CASE, COALESCE and IN narrow it into further slots. So an error arises only for a row that
//! reaches it. Instructions whose slot is empty are passed over.
//!
//! A fragment is input: types, arities, functions and places are checked while compiling, and what
//! the binder would not make is `XX000`. Values are those of `scalar`, row for row.
//!
//! Registers are written by the instruction that computes an operand and read by the one that
//! uses it, under the same slot; then they are free for others.

mod compile;
mod run;
mod shape;
#[cfg(test)]
mod tests;

pub(super) use compile::{Compiler, is_equality, same_form, same_keys};
pub(super) use shape::{Shape, Source};

use phantom_base::Result;
use phantom_types::catalog::Procedure;
use phantom_types::{Column, Datum, EvalContext, Selection, TypeId};

use super::key_table::KeyTable;
use crate::bound::Test;

/// Where an operand's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operand {
    /// A column of the batch.
    Column(usize),
    /// What an instruction computed.
    Register(usize),
    /// The same value for every row.
    Constant(usize),
}

/// Which rows of its selection `Narrow` keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keep {
    True,
    NotTrue,
    Null,
    NotNull,
}

#[derive(Debug)]
enum Op {
    Call {
        procedure: &'static Procedure,
        arguments: Vec<Operand>,
    },
    CastByText {
        of: Operand,
        ty: TypeId,
    },
    Not(Operand),
    Is(Test, Operand),
    Distinct {
        equal: &'static Procedure,
        sides: [Operand; 2],
    },
    NullIf {
        equal: &'static Procedure,
        sides: [Operand; 2],
        ty: TypeId,
    },
    Extreme {
        greatest: bool,
        of: Vec<Operand>,
        ty: TypeId,
    },
    /// Membership among constants.
    In {
        needle: Operand,
        set: usize,
    },
    /// The rows of `selection` that pass, into another slot.
    Narrow {
        of: Operand,
        keep: Keep,
        into: usize,
    },
    /// Lets every row of a connective be undecided.
    Begin {
        truth: usize,
        decides: bool,
    },
    /// Takes one operand of a connective into account; rows that it leaves open go into a slot.
    Decide {
        truth: usize,
        of: Operand,
        decides: bool,
        into: usize,
    },
    /// The value of a connective.
    Truth {
        truth: usize,
    },
    /// Each row from the piece in whose slot it is; NULL where it is in none.
    Choose {
        pieces: Vec<(usize, Operand)>,
        ty: TypeId,
    },
}

#[derive(Debug)]
struct Instruction {
    op: Op,
    /// The slot of the rows that it works on.
    selection: usize,
    /// The register that it writes; `Narrow`, `Begin` and `Decide` write none.
    out: usize,
}

/// Constants that IN looks among.
#[derive(Debug, Default)]
struct InSet {
    keys: KeyTable,
    has_null: bool,
    is_empty: bool,
}

/// Three-valued truth of a row while a connective is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Truth {
    False,
    True,
    Unknown,
}

/// A compiled expression, and the memory in which it runs.
#[derive(Debug)]
pub(super) struct Program {
    instructions: Vec<Instruction>,
    constants: Vec<Datum>,
    sets: Vec<InSet>,
    result: Operand,
    ty: TypeId,
    registers: Vec<Option<Column>>,
    /// What each register took of the meter.
    grown: Vec<usize>,
    /// Slots from 1; slot 0 is the caller's.
    selections: Vec<Vec<u32>>,
    truths: Vec<Vec<Truth>>,
}

impl Program {
    /// The type of its value.
    pub fn ty(&self) -> TypeId {
        self.ty
    }

    /// Its value, where that is the same for every row and cannot fail.
    pub fn constant(&self) -> Option<&Datum> {
        match self.result {
            Operand::Constant(at) => self.constants.get(at),
            _ => None,
        }
    }

    /// Its values for the rows of `selection`; in other rows they are unspecified.
    ///
    /// # Errors
    /// What its functions answer for a row of the selection; `53200` where its values need more than
    /// the meter has. The meter holds the bytes of the column then.
    pub fn run(
        &mut self,
        columns: &[Column],
        selection: Selection<'_>,
        eval: &EvalContext,
    ) -> Result<Column> {
        let rows = selection.of();
        if selection.is_empty() {
            return Ok(Column::constant(self.ty, &Datum::Null, rows));
        }
        let held = eval.meter.held();
        let executed = self.execute(columns, selection, eval);
        let column = executed.and_then(|()| match self.result {
            Operand::Column(at) => {
                let column = column_at(columns, at);
                eval.meter.keep(held, column.heap_bytes())?;
                Ok(column.clone())
            }
            Operand::Constant(at) => self.constant_column(at, rows, held, eval),
            Operand::Register(at) => Ok(self.take_register(at, held, eval)),
        });
        // What only the program has seen is gone, and what a register had of the meter.
        self.registers.fill(None);
        self.grown.fill(0);
        let column = column?;
        assert_eq!(column.len(), rows, "a value for each row of the batch");
        Ok(if column.ty() == self.ty { column } else { column.relabel(self.ty) })
    }

    /// The rows of `selection` for which the condition is true.
    ///
    /// # Errors
    /// As `run`.
    pub fn true_rows(
        &mut self,
        columns: &[Column],
        selection: Selection<'_>,
        eval: &EvalContext,
    ) -> Result<Vec<u32>> {
        if selection.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(value) = self.constant() {
            let keeps = value.as_bool() == Some(true);
            return Ok(if keeps { rows_of(selection) } else { Vec::new() });
        }
        if let Operand::Column(at) = self.result {
            return Ok(column_at(columns, at).true_rows(selection));
        }
        let held = eval.meter.held();
        let kept = self.run(columns, selection, eval)?.true_rows(selection);
        eval.meter.settle(held);
        Ok(kept)
    }

    fn constant_column(
        &self,
        at: usize,
        rows: usize,
        held: usize,
        eval: &EvalContext,
    ) -> Result<Column> {
        let value = self.constants.get(at).expect("the compiler made its constants");
        eval.meter.keep(held, value.heap_bytes().saturating_mul(rows))?;
        Ok(Column::constant(self.ty, value, rows))
    }

    fn take_register(&mut self, at: usize, held: usize, eval: &EvalContext) -> Column {
        let register = self.registers.get_mut(at).and_then(Option::take);
        eval.meter.settle(held + self.grown.get(at).expect("as many as registers"));
        register.expect("the last instruction wrote the result")
    }
}

/// Keeps the rows for which all conditions are true, one after the other.
///
/// # Errors
/// As `Program::run`.
pub(super) fn narrow(
    conditions: &mut [Program],
    columns: &[Column],
    rows: usize,
    eval: &EvalContext,
) -> Result<Option<Vec<u32>>> {
    let mut kept: Option<Vec<u32>> = None;
    for condition in conditions {
        let selection = match &kept {
            None => Selection::All(rows),
            Some(kept) => Selection::Rows { rows: kept, of: rows },
        };
        let passed = condition.true_rows(columns, selection, eval)?;
        if passed.len() < selection.len() {
            kept = Some(passed);
        }
    }
    Ok(kept)
}

fn rows_of(selection: Selection<'_>) -> Vec<u32> {
    selection.iter().map(|row| row as u32).collect()
}

fn column_at(columns: &[Column], at: usize) -> &Column {
    columns.get(at).expect("the compiler checked the columns against the shape")
}
