//! Runs the instructions of a program, one after the other, over one batch.

use std::cmp::Ordering;

use phantom_base::Result;
use phantom_types::catalog::Procedure;
use phantom_types::{Argument, Column, Datum, EvalContext, Selection, TypeId, ValueRef, Values};
use phantom_types::{Nulls, codec};

use super::compile::cast_by_text;
use super::{InSet, Instruction, Keep, Op, Operand, Program, Truth, column_at};
use crate::bound::Test;

/// What instructions read: everything of a program but the slots that one may write.
struct Frame<'a> {
    columns: &'a [Column],
    registers: &'a [Option<Column>],
    constants: &'a [Datum],
    eval: &'a EvalContext,
}

impl Program {
    /// Runs all instructions; the result is where `self.result` says.
    pub(super) fn execute(
        &mut self,
        columns: &[Column],
        selection: Selection<'_>,
        eval: &EvalContext,
    ) -> Result<()> {
        let Self { instructions, constants, sets, registers, grown, selections, truths, .. } = self;
        for Instruction { op, selection: slot, out } in instructions.iter() {
            let frame = Frame { columns, registers, constants, eval };
            if let Op::Narrow { into, .. } | Op::Decide { into, .. } = op {
                // The slot that is written is apart from the one that is read.
                let mut rows = take_slot(selections, *into);
                rows.clear();
                let from = slot_of(selections, *slot, selection);
                match op {
                    Op::Narrow { of, keep, .. } => frame.narrow(*of, *keep, from, &mut rows),
                    Op::Decide { truth, of, decides, .. } => {
                        let truth = truths.get_mut(*truth).expect("the compiler counted truths");
                        frame.decide(*of, *decides, from, truth, &mut rows);
                    }
                    _ => unreachable!("matched above"),
                }
                *selections.get_mut(*into - 1).expect("the compiler counted slots") = rows;
                continue;
            }
            let rows = slot_of(selections, *slot, selection);
            if let Op::Begin { truth, decides } = op {
                let truth = truths.get_mut(*truth).expect("the compiler counted truths");
                truth.clear();
                truth.resize(selection.of(), if *decides { Truth::False } else { Truth::True });
                continue;
            }
            if rows.is_empty() {
                continue;
            }
            let held = eval.meter.held();
            let column = match op {
                Op::Choose { pieces, ty } => {
                    frame.choose(pieces, *ty, |slot| slot_of(selections, slot, selection), rows)?
                }
                Op::Truth { truth } => {
                    truth_column(truths.get(*truth).expect("the compiler counted truths"))
                }
                Op::In { needle, set } => {
                    frame.is_in(*needle, sets.get(*set).expect("the compiler made it"), rows)
                }
                op => frame.compute(op, rows)?,
            };
            *registers.get_mut(*out).expect("the compiler counted registers") = Some(column);
            // What was there before is gone only now.
            let grown = grown.get_mut(*out).expect("as many as registers");
            let taken = eval.meter.held() - held;
            eval.meter.settle(held + taken - std::mem::replace(grown, taken));
        }
        Ok(())
    }
}

fn slot_of<'a>(selections: &'a [Vec<u32>], slot: usize, outer: Selection<'a>) -> Selection<'a> {
    match slot.checked_sub(1) {
        None => outer,
        Some(at) => {
            let rows = selections.get(at).expect("the compiler counted slots");
            Selection::Rows { rows, of: outer.of() }
        }
    }
}

fn take_slot(selections: &mut [Vec<u32>], slot: usize) -> Vec<u32> {
    let at = slot.checked_sub(1).expect("slot 0 is the caller's");
    std::mem::take(selections.get_mut(at).expect("the compiler counted slots"))
}

impl<'a> Frame<'a> {
    fn argument(&self, operand: Operand) -> Argument<'a> {
        match operand {
            Operand::Column(at) => Argument::Column(column_at(self.columns, at)),
            Operand::Register(at) => {
                let register = self.registers.get(at).and_then(Option::as_ref);
                Argument::Column(register.expect("an operand is written before it is read"))
            }
            Operand::Constant(at) => {
                Argument::Constant(self.constants.get(at).expect("the compiler made it"))
            }
        }
    }

    fn compute(&self, op: &Op, rows: Selection<'_>) -> Result<Column> {
        Ok(match op {
            Op::Call { procedure, arguments } => self.call(procedure, arguments, rows)?,
            Op::CastByText { of, ty } => {
                let of = self.argument(*of);
                per_row(*ty, rows, self.eval, |row| {
                    cast_by_text(Some(&of.datum(row)), *ty, self.eval)
                })?
            }
            Op::Not(of) => {
                let of = self.argument(*of);
                booleans(rows, |row| truth_of(of, row).map(|value| !value))
            }
            Op::Is(test, of) => {
                let of = self.argument(*of);
                booleans(rows, |row| {
                    Some(match test {
                        Test::Null | Test::Unknown => of.is_null(row),
                        Test::True => truth_of(of, row) == Some(true),
                        Test::False => truth_of(of, row) == Some(false),
                    })
                })
            }
            Op::Distinct { equal, sides } => {
                let same = self.call(equal, sides, rows)?;
                let [left, right] = sides.map(|side| self.argument(side));
                booleans(rows, |row| {
                    let (left, right) = (left.is_null(row), right.is_null(row));
                    let same = truth_of(Argument::Column(&same), row) == Some(true);
                    Some(if left || right { left != right } else { !same })
                })
            }
            Op::NullIf { equal, sides, ty } => {
                let same = self.call(equal, sides, rows)?;
                let left = self.argument(sides[0]);
                fill(*ty, rows, self.eval, |row| {
                    let same = truth_of(Argument::Column(&same), row) == Some(true);
                    if same { ValueRef::Null } else { value_of(left, row) }
                })?
            }
            Op::Extreme { greatest, of, ty } => {
                let wanted = if *greatest { Ordering::Greater } else { Ordering::Less };
                let of: Vec<Argument<'_>> = of.iter().map(|&of| self.argument(of)).collect();
                fill(*ty, rows, self.eval, |row| {
                    let mut best = ValueRef::Null;
                    for value in of.iter().map(|&of| value_of(of, row)) {
                        let is_better = best.is_null() || value.compare(best) == wanted;
                        if !value.is_null() && is_better {
                            best = value;
                        }
                    }
                    best
                })?
            }
            _ => unreachable!("{op:?} is the caller's"),
        })
    }

    fn call(
        &self,
        procedure: &Procedure,
        operands: &[Operand],
        rows: Selection<'_>,
    ) -> Result<Column> {
        // Calls of one and two arguments are nearly all; they need no list on the heap.
        match *operands {
            [one] => procedure.evaluate(&[self.argument(one)], rows, self.eval),
            [left, right] => {
                let arguments = [self.argument(left), self.argument(right)];
                procedure.evaluate(&arguments, rows, self.eval)
            }
            _ => {
                let arguments: Vec<_> = operands.iter().map(|&of| self.argument(of)).collect();
                procedure.evaluate(&arguments, rows, self.eval)
            }
        }
    }

    fn narrow(&self, of: Operand, keep: Keep, from: Selection<'_>, into: &mut Vec<u32>) {
        if from.is_empty() {
            return;
        }
        let of = self.argument(of);
        let keeps = |row: usize| match keep {
            Keep::True => truth_of(of, row) == Some(true),
            Keep::NotTrue => truth_of(of, row) != Some(true),
            Keep::Null => of.is_null(row),
            Keep::NotNull => !of.is_null(row),
        };
        into.extend(from.iter().filter(|&row| keeps(row)).map(|row| row as u32));
    }

    fn decide(
        &self,
        of: Operand,
        decides: bool,
        from: Selection<'_>,
        truth: &mut [Truth],
        into: &mut Vec<u32>,
    ) {
        if from.is_empty() {
            return;
        }
        let of = self.argument(of);
        for row in from.iter() {
            let state = truth.get_mut(row).expect("a truth for each row");
            match truth_of(of, row) {
                Some(value) if value == decides => {
                    *state = if decides { Truth::True } else { Truth::False };
                    continue;
                }
                Some(_) => {}
                None => *state = Truth::Unknown,
            }
            into.push(row as u32);
        }
    }

    fn is_in(&self, needle: Operand, set: &InSet, rows: Selection<'_>) -> Column {
        let needle = self.argument(needle);
        let mut key = Vec::with_capacity(16);
        booleans(rows, |row| {
            if set.is_empty {
                return Some(false);
            }
            let value = value_of(needle, row);
            if value.is_null() {
                return None;
            }
            key.clear();
            codec::key::encode_column(value, &mut key);
            let found = set.keys.find(&key).is_some();
            if found { Some(true) } else { (!set.has_null).then_some(false) }
        })
    }

    fn choose<'s>(
        &self,
        pieces: &[(usize, Operand)],
        ty: TypeId,
        slot: impl Fn(usize) -> Selection<'s>,
        rows: Selection<'_>,
    ) -> Result<Column> {
        /// In no piece: NULL.
        const NONE: u32 = u32::MAX;
        let mut piece_of = vec![NONE; rows.of()];
        let mut arguments = Vec::with_capacity(pieces.len());
        for (piece, (piece_slot, operand)) in (0..).zip(pieces) {
            let chosen = slot(*piece_slot);
            for row in chosen.iter() {
                *piece_of.get_mut(row).expect("a slot's rows are the batch's") = piece;
            }
            // What computes the value of an empty slot was passed over.
            arguments.push((!chosen.is_empty()).then(|| self.argument(*operand)));
        }
        fill(ty, rows, self.eval, |row| {
            let piece = piece_of.get(row).and_then(|piece| arguments.get(*piece as usize));
            piece.copied().flatten().map_or(ValueRef::Null, |value| value_of(value, row))
        })
    }
}

fn value_of(argument: Argument<'_>, row: usize) -> ValueRef<'_> {
    match argument {
        Argument::Column(column) => column.value(row),
        Argument::Constant(datum) => ValueRef::from(datum),
    }
}

#[inline]
fn truth_of(argument: Argument<'_>, row: usize) -> Option<bool> {
    match argument {
        Argument::Column(column) => match column.values() {
            Values::Bool(values) if !column.is_null(row) => values.get(row).copied(),
            _ => None,
        },
        Argument::Constant(datum) => datum.as_bool(),
    }
}

/// A boolean column with `f` of the rows that count; `None` is NULL.
fn booleans(rows: Selection<'_>, mut f: impl FnMut(usize) -> Option<bool>) -> Column {
    let mut values = vec![false; rows.of()];
    let mut nulls = Nulls::none(rows.of());
    for row in rows.iter() {
        match f(row) {
            Some(value) => *values.get_mut(row).expect("a row of the batch") = value,
            None => nulls.set(row),
        }
    }
    Column::from_parts(TypeId::BOOL, Values::Bool(values), nulls)
}

fn truth_column(truths: &[Truth]) -> Column {
    booleans(Selection::All(truths.len()), |row| match truths.get(row) {
        Some(Truth::True) => Some(true),
        Some(Truth::False) => Some(false),
        _ => None,
    })
}

/// A column with `f` of the rows that count and NULL in the others.
fn fill<'a>(
    ty: TypeId,
    rows: Selection<'_>,
    eval: &EvalContext,
    f: impl Fn(usize) -> ValueRef<'a>,
) -> Result<Column> {
    let mut out = Column::with_capacity(ty, rows.of());
    for row in rows.iter() {
        while out.len() < row {
            out.push_null();
        }
        match f(row) {
            ValueRef::Text(text) => {
                eval.meter.grow(text.len())?;
                out.push_str(text);
            }
            ValueRef::Numeric(value) => {
                eval.meter.grow(value.size_bytes())?;
                out.push(&Datum::Numeric(value.clone()));
            }
            value => out.push(&value.to_datum()),
        }
    }
    while out.len() < rows.of() {
        out.push_null();
    }
    Ok(out)
}

fn per_row(
    ty: TypeId,
    rows: Selection<'_>,
    eval: &EvalContext,
    f: impl Fn(usize) -> Result<Datum>,
) -> Result<Column> {
    let mut out = Column::with_capacity(ty, rows.of());
    for row in rows.iter() {
        while out.len() < row {
            out.push_null();
        }
        let value = f(row)?;
        eval.meter.grow(value.heap_bytes())?;
        out.push(&value);
    }
    while out.len() < rows.of() {
        out.push_null();
    }
    Ok(out)
}
