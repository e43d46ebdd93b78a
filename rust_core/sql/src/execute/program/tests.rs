//! Programs say what `scalar` says, row for row, also about errors.

use phantom_base::sqlstate;
use phantom_base::{Random, SeededRandom};
use phantom_types::catalog::{self, OPERATORS, PROCEDURES};
use phantom_types::{Batch, Datum, Numeric, Selection, TypeId};

use super::{Compiler, Shape, Source};
use crate::bound::{Expr, ExprKind, Test, depth};
use crate::execute::scalar::Scope;
use crate::execute::tests::eval;

const TYPES: [TypeId; 10] = [
    TypeId::BOOL,
    TypeId::INT2,
    TypeId::INT4,
    TypeId::INT8,
    TypeId::FLOAT8,
    TypeId::NUMERIC,
    TypeId::TEXT,
    TypeId::VARCHAR,
    TypeId::DATE,
    TypeId::TIMESTAMPTZ,
];

/// Makes expressions over relation 0, which has a column of each of `TYPES`, and parameters of the
/// same types.
struct Maker {
    random: SeededRandom,
}

impl Maker {
    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.random.below(of.len() as u64) as usize]
    }

    fn value(&mut self, ty: TypeId) -> Datum {
        if self.random.one_in(5) {
            return Datum::Null;
        }
        let small = self.random.below(9).cast_signed() - 4;
        match ty {
            TypeId::BOOL => Datum::Bool(small > 0),
            TypeId::INT2 => Datum::Int2(small as i16),
            TypeId::INT4 => Datum::Int4(if small == 4 { i32::MAX } else { small as i32 }),
            TypeId::INT8 => Datum::Int8(small),
            TypeId::FLOAT8 => {
                Datum::Float8(*self.pick(&[0.0, -0.0, 1.5, -2.0, f64::NAN, f64::INFINITY]))
            }
            TypeId::NUMERIC => {
                let text = *self.pick(&["0", "0.00", "-1.5", "2", "2.0", "1e20", "NaN"]);
                Datum::Numeric(Numeric::parse(text).unwrap())
            }
            TypeId::DATE => Datum::Date(small as i32 * 400),
            TypeId::TIMESTAMPTZ => Datum::TimestampTz(small * 86_400_000_000 * 200),
            _ => {
                let texts = ["", "a", "ab", "B", "3", "-1", "2000-01-01", "t"];
                Datum::text(self.pick::<&str>(&texts))
            }
        }
    }

    fn expr(&mut self, ty: TypeId, depth: u32) -> Expr {
        if depth == 0 || self.random.one_in(6) {
            return self.leaf(ty);
        }
        let kind = match self.random.below(if ty == TypeId::BOOL { 14 } else { 7 }) {
            0..=2 => return self.call(ty, depth),
            3 => {
                let whens = (0..self.random.below(3))
                    .map(|_| (self.expr(TypeId::BOOL, depth - 1), self.expr(ty, depth - 1)))
                    .collect();
                let has_else = self.random.one_in(2);
                let otherwise = has_else.then(|| Box::new(self.expr(ty, depth - 1)));
                ExprKind::Case { whens, otherwise }
            }
            4 => ExprKind::Coalesce(self.several(ty, depth)),
            5 => {
                let greatest = self.random.one_in(2);
                ExprKind::Extreme { greatest, of: self.several(ty, depth) }
            }
            6 => match self.random.below(3) {
                0 => {
                    let (equal, other) = self.equality(ty);
                    let left = Box::new(self.expr(ty, depth - 1));
                    let right = Box::new(self.expr(other, depth - 1));
                    ExprKind::NullIf(equal, left, right)
                }
                1 if ty == TypeId::TEXT || ty == TypeId::VARCHAR => {
                    let from = if ty == TypeId::TEXT { TypeId::VARCHAR } else { TypeId::TEXT };
                    ExprKind::Relabel(Box::new(self.expr(from, depth - 1)))
                }
                _ => {
                    let from = *self.pick(&TYPES);
                    ExprKind::CastByText(Box::new(self.expr(from, depth - 1)))
                }
            },
            7 => ExprKind::And(self.several(ty, depth)),
            8 => ExprKind::Or(self.several(ty, depth)),
            9 => ExprKind::Not(Box::new(self.expr(ty, depth - 1))),
            10 => {
                let of = *self.pick(&TYPES);
                ExprKind::Is(Test::Null, Box::new(self.expr(of, depth - 1)))
            }
            11 => {
                let test = *self.pick(&[Test::True, Test::False, Test::Unknown]);
                ExprKind::Is(test, Box::new(self.expr(ty, depth - 1)))
            }
            12 => {
                let of = *self.pick(&TYPES);
                let (equal, other) = self.equality(of);
                let left = Box::new(self.expr(of, depth - 1));
                ExprKind::Distinct(equal, left, Box::new(self.expr(other, depth - 1)))
            }
            _ => {
                let of = *self.pick(&TYPES);
                let (equal, other) = self.equality(of);
                let needle = Box::new(self.expr(of, depth - 1));
                let list = (0..self.random.below(5)).map(|_| self.leaf(other)).collect();
                ExprKind::In { equal, needle, list }
            }
        };
        Expr { kind, ty, typmod: -1 }
    }

    fn several(&mut self, ty: TypeId, depth: u32) -> Vec<Expr> {
        (0..=self.random.below(3)).map(|_| self.expr(ty, depth - 1)).collect()
    }

    fn leaf(&mut self, ty: TypeId) -> Expr {
        let at = TYPES.iter().position(|of| *of == ty).unwrap() as u16;
        let kind = match self.random.below(4) {
            0 => ExprKind::Const(self.value(ty)),
            1 => ExprKind::Param(at),
            _ => ExprKind::Column { relation: 0, attnum: at + 1 },
        };
        Expr { kind, ty, typmod: -1 }
    }

    /// A call of any function of the catalog that returns the type and whose results are small.
    fn call(&mut self, ty: TypeId, depth: u32) -> Expr {
        // A modifier is a constant of the binder's, not any number.
        let is_usable = |name: &str| !matches!(name, "repeat" | "lpad" | "rpad" | "varchar");
        let fits: Vec<_> = PROCEDURES
            .iter()
            .filter(|row| {
                let known = row.args.iter().all(|of| *of == TypeId::ANY || TYPES.contains(of));
                row.ret == ty && known && is_usable(row.name)
            })
            .collect();
        if fits.is_empty() {
            return self.leaf(ty);
        }
        let row = *self.pick(&fits);
        let mut arguments = Vec::new();
        for of in row.args {
            let of = if *of == TypeId::ANY { *self.pick(&TYPES) } else { *of };
            arguments.push(self.expr(of, depth - 1));
        }
        if row.variadic.is_some() && self.random.one_in(2) {
            arguments.push(self.expr(TypeId::INT4, depth - 1));
        }
        Expr { kind: ExprKind::Call(row.oid, arguments), ty, typmod: -1 }
    }

    /// An equality whose left side has the type, and the type of its right side.
    fn equality(&mut self, ty: TypeId) -> (u32, TypeId) {
        let ty = if ty == TypeId::VARCHAR { TypeId::TEXT } else { ty };
        let fits: Vec<_> = OPERATORS
            .iter()
            .filter(|row| row.name == "=" && row.left == Some(ty) && TYPES.contains(&row.right))
            .collect();
        let row = *self.pick(&fits);
        (row.procedure, row.right)
    }
}

#[test]
fn programs_say_what_scalar_says_row_for_row() {
    let eval = eval();
    let mut shape = Shape::default();
    for (at, ty) in (1..).zip(TYPES) {
        shape.push(Source::Column(0, at), ty);
    }
    let (mut failed, mut whole, mut chains) = (0, 0, 0);
    for seed in 0..6_000 {
        let mut maker = Maker { random: SeededRandom::new(seed) };
        let ty = *maker.pick(&TYPES);
        let expr = maker.expr(ty, 4);
        let parameters: Vec<Datum> = TYPES.iter().map(|ty| maker.value(*ty)).collect();
        let mut batch = Batch::with_types(&TYPES);
        for _ in 0..40 {
            let row: Vec<Datum> = TYPES.iter().map(|ty| maker.value(*ty)).collect();
            batch.push_row(&row);
        }
        let scope = Scope::new(&parameters, &eval);
        let wanted: Vec<_> =
            (0..40).map(|row| scope.value(&expr, batch.row(row).as_slice())).collect();
        let compiler = Compiler { parameters: &parameters, eval: &eval };
        let mut program = compiler.compile(&expr, &shape).unwrap_or_else(|error| {
            panic!("seed {seed}: {expr:?}: {error}");
        });
        let ran = program.run(batch.columns(), batch.selection(), &eval);
        // As steps it says the same, whatever of it is one.
        let mut steps = expr.clone();
        depth::flatten(&mut steps, 1, 0).expect("it is shallow");
        let stepped: Vec<_> =
            (0..40).map(|row| scope.value(&steps, batch.row(row).as_slice())).collect();
        assert_eq!(stepped, wanted, "seed {seed}: {expr:?}");
        let mut program = compiler.compile(&steps, &shape).unwrap_or_else(|error| {
            panic!("seed {seed}: {steps:?}: {error}");
        });
        chains += usize::from(steps != expr);
        let ran_stepped = program.run(batch.columns(), batch.selection(), &eval);
        assert_eq!(ran_stepped.is_ok(), ran.is_ok(), "seed {seed}: {expr:?}");
        if wanted.iter().any(Result::is_err) {
            failed += 1;
            let error = ran.expect_err("a row fails");
            let same = |row: &Result<Datum, _>| row.as_ref().err() == Some(&error);
            assert!(wanted.iter().any(same), "seed {seed}: {error}");
        } else {
            whole += 1;
            assert_eq!(ran.unwrap().ty(), ty);
        }
        // Rows outside the selection neither fail nor matter.
        let rows: Vec<u32> =
            (0..40).filter(|row| wanted[*row as usize].is_ok() && row % 7 != 3).collect();
        let selection = Selection::Rows { rows: &rows, of: 40 };
        let column = program.run(batch.columns(), selection, &eval).unwrap();
        for row in rows {
            let wanted = wanted[row as usize].as_ref().unwrap();
            assert_eq!(column.datum(row as usize), *wanted, "seed {seed}, row {row}: {expr:?}");
        }
    }
    assert!(failed > 200 && whole > 1_000, "{failed} failed, {whole} did not");
    assert!(chains > 1_000, "{chains} had chains");
}

#[test]
fn what_the_binder_would_not_make_is_refused() {
    let eval = eval();
    let mut shape = Shape::default();
    shape.push(Source::Column(0, 1), TypeId::INT4);
    let column =
        |attnum, ty| Expr { kind: ExprKind::Column { relation: 0, attnum }, ty, typmod: -1 };
    let int4 = || column(1, TypeId::INT4);
    let call = |oid, of, ty| Expr { kind: ExprKind::Call(oid, of), ty, typmod: -1 };
    let condition = Expr::condition;
    let previous = |ty| Expr { kind: ExprKind::Previous, ty, typmod: -1 };
    let steps = |of, ty| Expr { kind: ExprKind::Steps(of), ty, typmod: -1 };
    let plus = catalog::procedures_named("int4pl").next().unwrap().oid;
    let equal = catalog::procedures_named("int4eq").next().unwrap().oid;
    for expr in [
        column(2, TypeId::INT4),
        column(0, TypeId::INT4),
        column(1, TypeId::TEXT),
        call(1, vec![], TypeId::INT4),
        call(plus, vec![int4()], TypeId::INT4),
        call(plus, vec![int4(), Expr::constant("x".into(), TypeId::TEXT)], TypeId::INT4),
        call(plus, vec![int4(), int4()], TypeId::INT8),
        Expr::constant(Datum::Int4(1), TypeId::TEXT),
        Expr::constant(Datum::Null, TypeId(99_999)),
        Expr::constant(Datum::Null, TypeId::ANY),
        Expr { kind: ExprKind::Param(0), ty: TypeId::INT4, typmod: -1 },
        Expr { kind: ExprKind::Param(1), ty: TypeId::INT4, typmod: -1 },
        Expr { kind: ExprKind::GroupKey(0), ty: TypeId::INT4, typmod: -1 },
        condition(ExprKind::And(vec![int4()])),
        condition(ExprKind::Not(Box::new(int4()))),
        condition(ExprKind::Distinct(plus, Box::new(int4()), Box::new(int4()))),
        Expr { kind: ExprKind::Coalesce(vec![int4()]), ty: TypeId::TEXT, typmod: -1 },
        Expr { kind: ExprKind::Relabel(Box::new(int4())), ty: TypeId::TEXT, typmod: -1 },
        condition(ExprKind::In {
            equal,
            needle: Box::new(int4()),
            list: vec![Expr::constant("x".into(), TypeId::TEXT)],
        }),
        previous(TypeId::INT4),
        steps(vec![], TypeId::INT4),
        steps(vec![previous(TypeId::INT4)], TypeId::INT4),
        steps(vec![int4(), previous(TypeId::TEXT)], TypeId::TEXT),
        steps(vec![int4(), previous(TypeId::INT4)], TypeId::INT8),
        call(plus, vec![steps(vec![int4()], TypeId::INT4), previous(TypeId::INT4)], TypeId::INT4),
    ] {
        let compiler = Compiler { parameters: &[Datum::Bool(true)], eval: &eval };
        let error = compiler.compile(&expr, &shape).expect_err(&format!("{expr:?}"));
        assert_eq!(error.sqlstate, sqlstate::INTERNAL_ERROR, "{expr:?}");
    }
}

#[test]
fn many_constants_are_looked_up_not_compared() {
    let eval = eval();
    let mut shape = Shape::default();
    shape.push(Source::Column(0, 1), TypeId::INT8);
    let equal = catalog::procedures_named("int84eq").next().unwrap().oid;
    let needle =
        Expr { kind: ExprKind::Column { relation: 0, attnum: 1 }, ty: TypeId::INT8, typmod: -1 };
    let list = (0..100_000).map(|at| Expr::constant(Datum::Int4(at * 2), TypeId::INT4)).collect();
    let expr = Expr::condition(ExprKind::In { equal, needle: Box::new(needle), list });
    let compiler = Compiler { parameters: &[], eval: &eval };
    let mut program = compiler.compile(&expr, &shape).unwrap();
    assert!(program.instructions.len() < 10, "{} instructions", program.instructions.len());
    let mut batch = Batch::with_types(&[TypeId::INT8]);
    for value in [Datum::Int8(-2), Datum::Int8(4_000), Datum::Int8(199_998), Datum::Null] {
        batch.push_row(&[value]);
    }
    let rows = program.true_rows(batch.columns(), batch.selection(), &eval).unwrap();
    assert_eq!(rows, [1, 2]);
}
