//! From a bound expression to instructions, with all checks that a fragment needs.
//!
//! It recurses as deep as the expression is, which `bound::depth` bounds.

use phantom_base::{Error, Result};
use phantom_types::catalog::{self, Procedure, Volatility};
use phantom_types::{Datum, EvalContext, NO_TYPMOD, TypeId, codec, format};

use super::{InSet, Instruction, Keep, Op, Operand, Program, Shape, Source};
use crate::bound::{Expr, ExprKind};

/// What expressions are compiled with.
#[derive(Clone, Copy)]
pub(in crate::execute) struct Compiler<'a> {
    /// The statement's parameters, which are constants here.
    pub parameters: &'a [Datum],
    /// The statement's time and session.
    pub eval: &'a EvalContext,
}

impl Compiler<'_> {
    /// The program of an expression over batches of a shape.
    ///
    /// # Errors
    /// `XX000` for an expression that the binder would not make.
    pub fn compile(&self, expr: &Expr, shape: &Shape) -> Result<Program> {
        let mut builder = Builder {
            compiler: self,
            shape,
            instructions: Vec::new(),
            constants: Vec::new(),
            sets: Vec::new(),
            registers: Pool::default(),
            // Slot 0 is the caller's selection.
            selections: Pool { made: 1, free: Vec::new() },
            truths: Pool::default(),
            previous: None,
        };
        let result = builder.expr(expr, 0)?;
        Ok(Program {
            instructions: builder.instructions,
            constants: builder.constants,
            sets: builder.sets,
            result,
            ty: expr.ty,
            registers: std::iter::repeat_with(|| None).take(builder.registers.made).collect(),
            grown: vec![0; builder.registers.made],
            selections: vec![Vec::new(); builder.selections.made - 1],
            truths: vec![Vec::new(); builder.truths.made],
        })
    }

    /// The program of a condition.
    ///
    /// # Errors
    /// As `compile`; also for one that is not boolean.
    pub fn condition(&self, expr: &Expr, shape: &Shape) -> Result<Program> {
        expect_type(expr, TypeId::BOOL, "a condition")?;
        self.compile(expr, shape)
    }

    /// The programs of several expressions.
    ///
    /// # Errors
    /// As `compile`.
    pub fn compile_all<'e>(
        &self,
        exprs: impl IntoIterator<Item = &'e Expr>,
        shape: &Shape,
    ) -> Result<Vec<Program>> {
        exprs.into_iter().map(|expr| self.compile(expr, shape)).collect()
    }
}

/// Whether a function is the code of an operator `=`.
pub(in crate::execute) fn is_equality(procedure: u32) -> bool {
    catalog::operators_named("=").any(|operator| operator.procedure == procedure)
}

/// Whether values of both types lie in columns alike: equal, or both text.
pub(in crate::execute) fn same_form(a: TypeId, b: TypeId) -> bool {
    a == b || (a.is_text() && b.is_text())
}

/// Whether equal values of both types have equal keys.
pub(in crate::execute) fn same_keys(a: TypeId, b: TypeId) -> bool {
    same_form(a, b) || (a.is_integer() && b.is_integer())
}

fn expect_type(expr: &Expr, ty: TypeId, what: &str) -> Result<()> {
    if same_form(expr.ty, ty) {
        return Ok(());
    }
    Err(Error::internal(format!("{what} has type {}, not {ty}", expr.ty)))
}

/// Numbers that are given out and taken back.
#[derive(Default)]
struct Pool {
    made: usize,
    free: Vec<usize>,
}

impl Pool {
    fn take(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.made += 1;
            self.made - 1
        })
    }

    fn give(&mut self, at: usize) {
        self.free.push(at);
    }
}

struct Builder<'a> {
    compiler: &'a Compiler<'a>,
    shape: &'a Shape,
    instructions: Vec<Instruction>,
    constants: Vec<Datum>,
    sets: Vec<InSet>,
    registers: Pool,
    selections: Pool,
    truths: Pool,
    /// What the step before computed, and its type, until it is read.
    previous: Option<(Operand, TypeId)>,
}

impl Builder<'_> {
    /// Emits what computes an expression for the rows of a slot.
    fn expr(&mut self, expr: &Expr, at: usize) -> Result<Operand> {
        if !TypeId::ALL.contains(&expr.ty) {
            return Err(Error::internal(format!("no value has {}", expr.ty)));
        }
        match &expr.kind {
            ExprKind::Const(value) => self.typed_constant(value.clone(), expr.ty),
            ExprKind::Param(index) => {
                let value = self.compiler.parameters.get(usize::from(*index));
                let value = value.cloned().ok_or_else(|| {
                    Error::internal(format!("parameter ${} has no value", index + 1))
                })?;
                self.typed_constant(value, expr.ty)
            }
            ExprKind::Column { .. } | ExprKind::GroupKey(_) | ExprKind::AggregateRef(_) => {
                self.source(expr)
            }
            ExprKind::Call(oid, arguments) => self.call(*oid, arguments, expr.ty, at),
            ExprKind::CastByText(of) => self.cast_by_text(of, expr.ty, at),
            ExprKind::Relabel(of) | ExprKind::Collate(_, of) => {
                // Only the result of a program shows its type, so a name costs nothing here.
                expect_type(of, expr.ty, "what is relabelled")?;
                self.expr(of, at)
            }
            ExprKind::And(of) => self.connective(expr, of, false, at),
            ExprKind::Or(of) => self.connective(expr, of, true, at),
            ExprKind::Not(of) => {
                expect_type(expr, TypeId::BOOL, "NOT")?;
                let of = self.condition(of, at)?;
                Ok(self.emit(Op::Not(of), at, &[of]))
            }
            ExprKind::Is(test, of) => {
                expect_type(expr, TypeId::BOOL, "IS")?;
                let of = self.expr(of, at)?;
                Ok(self.emit(Op::Is(*test, of), at, &[of]))
            }
            ExprKind::Distinct(equal, left, right) => {
                expect_type(expr, TypeId::BOOL, "IS DISTINCT FROM")?;
                let (equal, sides) = self.compared(*equal, left, right, at)?;
                Ok(self.emit(Op::Distinct { equal, sides }, at, &sides))
            }
            ExprKind::NullIf(equal, left, right) => {
                expect_type(left, expr.ty, "an operand of NULLIF")?;
                let (equal, sides) = self.compared(*equal, left, right, at)?;
                Ok(self.emit(Op::NullIf { equal, sides, ty: expr.ty }, at, &sides))
            }
            ExprKind::Case { whens, otherwise } => {
                self.case(whens, otherwise.as_deref(), expr.ty, at)
            }
            ExprKind::Coalesce(of) => self.coalesce(of, expr.ty, at),
            ExprKind::Extreme { greatest, of } => {
                let mut operands = Vec::with_capacity(of.len());
                for candidate in of {
                    expect_type(candidate, expr.ty, "a candidate of GREATEST or LEAST")?;
                    operands.push(self.expr(candidate, at)?);
                }
                let used = operands.clone();
                let op = Op::Extreme { greatest: *greatest, of: operands, ty: expr.ty };
                Ok(self.emit(op, at, &used))
            }
            ExprKind::In { equal, needle, list } => {
                expect_type(expr, TypeId::BOOL, "IN")?;
                self.is_in(*equal, needle, list, at)
            }
            ExprKind::Steps(steps) => self.steps(steps, expr.ty, at),
            ExprKind::Previous => {
                let (operand, ty) = self.previous.take().ok_or_else(|| {
                    Error::internal("the value of a step is read where it is not")
                })?;
                expect_type(expr, ty, "the value of a step")?;
                Ok(operand)
            }
        }
    }

    /// Emits what the tree would have that the steps were made of.
    fn steps(&mut self, steps: &[Expr], ty: TypeId, at: usize) -> Result<Operand> {
        let mut last = None;
        for step in steps {
            self.previous = last.take().or(self.previous);
            let operand = self.expr(step, at)?;
            last = Some((operand, step.ty));
        }
        let (operand, last) = last.ok_or_else(|| Error::internal("no steps"))?;
        if !same_form(last, ty) {
            return Err(Error::internal(format!("steps to {last}, not {ty}")));
        }
        Ok(operand)
    }

    fn typed_constant(&mut self, value: Datum, ty: TypeId) -> Result<Operand> {
        if !value.fits(ty) {
            return Err(Error::internal(format!("a value that is no {ty}")));
        }
        Ok(self.constant(value))
    }

    fn constant(&mut self, value: Datum) -> Operand {
        self.constants.push(value);
        Operand::Constant(self.constants.len() - 1)
    }

    fn source(&self, expr: &Expr) -> Result<Operand> {
        let source = Source::of(expr).expect("the caller matched it");
        let (at, ty) = self.shape.find(source)?;
        expect_type(expr, ty, "a column")?;
        Ok(Operand::Column(at))
    }

    fn condition(&mut self, of: &Expr, at: usize) -> Result<Operand> {
        expect_type(of, TypeId::BOOL, "a condition")?;
        self.expr(of, at)
    }

    fn call(&mut self, oid: u32, of: &[Expr], ty: TypeId, at: usize) -> Result<Operand> {
        let types: Vec<TypeId> = of.iter().map(|argument| argument.ty).collect();
        let procedure = procedure_of(oid, &types, ty)?;
        let mut arguments = Vec::with_capacity(of.len());
        for argument in of {
            arguments.push(self.expr(argument, at)?);
        }
        if procedure.volatility != Volatility::Volatile
            && let Some(values) = self.values_of(&arguments)
            && let Ok(value) = procedure.call(&values, self.compiler.eval)
            && self.compiler.eval.meter.grow(value.heap_bytes()).is_ok()
        {
            return Ok(self.constant(value));
        }
        let used = arguments.clone();
        Ok(self.emit(Op::Call { procedure, arguments }, at, &used))
    }

    fn cast_by_text(&mut self, of: &Expr, ty: TypeId, at: usize) -> Result<Operand> {
        let of = self.expr(of, at)?;
        if let Some(values) = self.values_of(&[of])
            && let Ok(value) = cast_by_text(values.first(), ty, self.compiler.eval)
            && self.compiler.eval.meter.grow(value.heap_bytes()).is_ok()
        {
            return Ok(self.constant(value));
        }
        Ok(self.emit(Op::CastByText { of, ty }, at, &[of]))
    }

    /// The values of operands that are constants, all of them.
    fn values_of(&self, operands: &[Operand]) -> Option<Vec<Datum>> {
        let value = |operand: &Operand| match operand {
            Operand::Constant(at) => self.constants.get(*at).cloned(),
            _ => None,
        };
        operands.iter().map(value).collect()
    }

    /// An equality function and its two sides.
    fn compared(
        &mut self,
        equal: u32,
        left: &Expr,
        right: &Expr,
        at: usize,
    ) -> Result<(&'static Procedure, [Operand; 2])> {
        let equal = procedure_of(equal, &[left.ty, right.ty], TypeId::BOOL)?;
        let left = self.expr(left, at)?;
        let right = self.expr(right, at)?;
        Ok((equal, [left, right]))
    }

    fn connective(
        &mut self,
        expr: &Expr,
        of: &[Expr],
        decides: bool,
        at: usize,
    ) -> Result<Operand> {
        expect_type(expr, TypeId::BOOL, "AND or OR")?;
        let truth = self.truths.take();
        self.effect(Op::Begin { truth, decides }, at);
        let mut open = at;
        for operand in of {
            let value = self.condition(operand, open)?;
            open = self.decide(truth, value, decides, (open, at));
        }
        Ok(self.truth(truth, (open, at)))
    }

    /// Takes a value into account; the slot of the rows that stay open.
    fn decide(
        &mut self,
        truth: usize,
        of: Operand,
        decides: bool,
        (open, outer): (usize, usize),
    ) -> usize {
        let into = self.selections.take();
        self.effect(Op::Decide { truth, of, decides, into }, open);
        self.release(&[of]);
        self.close(open, outer);
        into
    }

    fn truth(&mut self, truth: usize, (open, at): (usize, usize)) -> Operand {
        self.close(open, at);
        let value = self.emit(Op::Truth { truth }, at, &[]);
        self.truths.give(truth);
        value
    }

    /// Gives back a slot unless it is the outer one.
    fn close(&mut self, slot: usize, outer: usize) {
        if slot != outer {
            self.selections.give(slot);
        }
    }

    fn narrow(&mut self, of: Operand, keep: Keep, from: usize) -> usize {
        let into = self.selections.take();
        self.effect(Op::Narrow { of, keep, into }, from);
        into
    }

    fn case(
        &mut self,
        whens: &[(Expr, Expr)],
        otherwise: Option<&Expr>,
        ty: TypeId,
        at: usize,
    ) -> Result<Operand> {
        let mut open = at;
        let mut pieces = Vec::with_capacity(whens.len() + 1);
        for (condition, value) in whens {
            expect_type(value, ty, "a branch of CASE")?;
            let condition = self.condition(condition, open)?;
            let taken = self.narrow(condition, Keep::True, open);
            let rest = self.narrow(condition, Keep::NotTrue, open);
            self.release(&[condition]);
            self.close(open, at);
            pieces.push((taken, self.expr(value, taken)?));
            open = rest;
        }
        if let Some(value) = otherwise {
            expect_type(value, ty, "a branch of CASE")?;
            pieces.push((open, self.expr(value, open)?));
        } else {
            self.close(open, at);
        }
        Ok(self.choose(pieces, ty, at))
    }

    fn coalesce(&mut self, of: &[Expr], ty: TypeId, at: usize) -> Result<Operand> {
        let mut open = at;
        let mut pieces = Vec::with_capacity(of.len());
        for candidate in of {
            expect_type(candidate, ty, "a candidate of COALESCE")?;
            let value = self.expr(candidate, open)?;
            let found = self.narrow(value, Keep::NotNull, open);
            let rest = self.narrow(value, Keep::Null, open);
            self.close(open, at);
            pieces.push((found, value));
            open = rest;
        }
        self.close(open, at);
        Ok(self.choose(pieces, ty, at))
    }

    fn choose(&mut self, pieces: Vec<(usize, Operand)>, ty: TypeId, at: usize) -> Operand {
        let used: Vec<Operand> = pieces.iter().map(|(_, value)| *value).collect();
        let slots: Vec<usize> = pieces.iter().map(|(slot, _)| *slot).collect();
        let value = self.emit(Op::Choose { pieces, ty }, at, &used);
        for slot in slots {
            self.close(slot, at);
        }
        value
    }

    fn is_in(&mut self, equal: u32, needle: &Expr, list: &[Expr], at: usize) -> Result<Operand> {
        let mut procedure = None;
        for candidate in list {
            procedure = Some(procedure_of(equal, &[needle.ty, candidate.ty], TypeId::BOOL)?);
        }
        let is_hashed =
            is_equality(equal) && list.iter().all(|candidate| same_keys(needle.ty, candidate.ty));
        let needle = self.expr(needle, at)?;
        let mut set = InSet { is_empty: true, ..InSet::default() };
        let mut others = Vec::new();
        for candidate in list {
            match self.plain_constant(candidate)? {
                Some(value) if is_hashed => set.add(&value),
                _ => others.push(candidate),
            }
        }
        let truth = self.truths.take();
        self.effect(Op::Begin { truth, decides: true }, at);
        let mut open = at;
        if !set.is_empty || others.is_empty() {
            self.sets.push(set);
            let found = self.emit(Op::In { needle, set: self.sets.len() - 1 }, open, &[]);
            open = self.decide(truth, found, true, (open, at));
        }
        for candidate in others {
            let procedure = procedure.expect("the list is not empty");
            let candidate = self.expr(candidate, open)?;
            let call = Op::Call { procedure, arguments: vec![needle, candidate] };
            let same = self.emit(call, open, &[candidate]);
            open = self.decide(truth, same, true, (open, at));
        }
        self.release(&[needle]);
        Ok(self.truth(truth, (open, at)))
    }

    /// The value of a constant or parameter.
    fn plain_constant(&mut self, expr: &Expr) -> Result<Option<Datum>> {
        let value = match &expr.kind {
            ExprKind::Const(value) => Some(value),
            ExprKind::Param(index) => self.compiler.parameters.get(usize::from(*index)),
            _ => None,
        };
        match value {
            Some(value) if !value.fits(expr.ty) => {
                Err(Error::internal(format!("a value that is no {}", expr.ty)))
            }
            value => Ok(value.cloned()),
        }
    }

    /// Emits an instruction that writes a register; the registers of `used` are free after it.
    fn emit(&mut self, op: Op, selection: usize, used: &[Operand]) -> Operand {
        let out = self.registers.take();
        self.instructions.push(Instruction { op, selection, out });
        self.release(used);
        Operand::Register(out)
    }

    /// Emits an instruction that writes no register.
    fn effect(&mut self, op: Op, selection: usize) {
        self.instructions.push(Instruction { op, selection, out: usize::MAX });
    }

    fn release(&mut self, used: &[Operand]) {
        for operand in used {
            if let Operand::Register(at) = operand {
                self.registers.give(*at);
            }
        }
    }
}

impl InSet {
    fn add(&mut self, value: &Datum) {
        self.is_empty = false;
        if value.is_null() {
            self.has_null = true;
            return;
        }
        let mut key = Vec::with_capacity(16);
        codec::key::encode_column(value, &mut key);
        self.keys.insert(&key);
    }
}

/// The function with this OID, if it takes and returns these types.
fn procedure_of(oid: u32, types: &[TypeId], ret: TypeId) -> Result<&'static Procedure> {
    let procedure = catalog::procedure(oid)
        .ok_or_else(|| Error::internal(format!("function {oid} is not one of ours")))?;
    let counted = match procedure.variadic {
        None => types.len() == procedure.args.len(),
        Some(_) => types.len() >= procedure.args.len(),
    };
    let takes = |(at, ty): (usize, &TypeId)| {
        let wanted = procedure.args.get(at).or_else(|| procedure.args.last());
        wanted.is_some_and(|wanted| *wanted == TypeId::ANY || same_form(*wanted, *ty))
    };
    if !counted || !types.iter().enumerate().all(takes) || !same_form(procedure.ret, ret) {
        let message = format!("function {oid} ({}) is called with {types:?}", procedure.name);
        return Err(Error::internal(message));
    }
    Ok(procedure)
}

/// A value of another type by its text; NULL stays.
pub(super) fn cast_by_text(value: Option<&Datum>, ty: TypeId, eval: &EvalContext) -> Result<Datum> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(Datum::Null) };
    let mut text = String::new();
    format::write_text(value, &eval.format, &mut text);
    eval.meter.spend(text.len())?;
    format::read_text(ty, NO_TYPMOD, &text, eval)
}
