//! Random queries over random rows return what the definition says, whatever the size of a step.

use phantom_base::{Random, SeededRandom};
use phantom_types::{Datum, Numeric, TypeId};

use super::{Database, PLENTY, reference, shown};

/// Each table's numbers, then its texts.
const TABLES: [(&str, &[&str], &[&str]); 3] =
    [("a", &["k", "x", "n"], &["t"]), ("b", &["k", "j", "x"], &["t"]), ("c", &["x"], &["t"])];

fn database(random: &mut SeededRandom) -> Database {
    let (int2, int4, int8, text) = (TypeId::INT2, TypeId::INT4, TypeId::INT8, TypeId::TEXT);
    let mut database = Database::default();
    let of_a = [("k", int4), ("x", int4), ("n", TypeId::NUMERIC), ("t", text)];
    database.create("a", &of_a, &[1]);
    let of_b = [("k", int8), ("j", int4), ("x", int2), ("t", TypeId::VARCHAR)];
    database.create("b", &of_b, &[1, 2]);
    database.create("c", &[("x", int8), ("t", text)], &[]);
    let or_null = |random: &mut SeededRandom, value: Datum| {
        if random.one_in(5) { Datum::Null } else { value }
    };
    let word =
        |random: &mut SeededRandom| Datum::text(["", "u", "uv", "w"][random.below(4) as usize]);
    for at in 0..random.below(12) as i32 {
        let x = Datum::Int4(random.below(5) as i32);
        let (x, n) =
            (or_null(random, x), Datum::Numeric(Numeric::from(random.below(4).cast_signed())));
        let (n, t) = (or_null(random, n), word(random));
        let t = or_null(random, t);
        database.put("a", &[Datum::Int4(at - 2), x, n, t], 1);
    }
    for at in 0..random.below(12).cast_signed() {
        let (x, t) = (Datum::Int2(random.below(5) as i16), word(random));
        let (x, t) = (or_null(random, x), or_null(random, t));
        database.put("b", &[Datum::Int8(at / 3), Datum::Int4((at % 3) as i32), x, t], 1);
    }
    for _ in 0..random.below(8) {
        let (x, t) = (Datum::Int8(random.below(5).cast_signed()), word(random));
        let (x, t) = (or_null(random, x), or_null(random, t));
        database.put("c", &[x, t], 1);
    }
    database
}

struct Maker<'a> {
    random: &'a mut SeededRandom,
    /// Which table each alias stands for: `t0`, `t1`, ..
    tables: Vec<usize>,
}

impl Maker<'_> {
    fn below(&mut self, bound: usize) -> usize {
        self.random.below(bound as u64) as usize
    }

    fn pick<'t>(&mut self, of: &[&'t str]) -> &'t str {
        of[self.below(of.len())]
    }

    /// A number over the aliases from `first` on.
    fn number(&mut self, first: usize) -> String {
        match self.below(8) {
            0 => format!("{}", self.below(5)),
            1 => format!("({} + {})", self.column(first, false), self.below(3)),
            2 => format!("coalesce({}, {})", self.column(first, false), self.number(first)),
            3 => {
                let condition = self.condition(first, 1);
                format!("CASE WHEN {condition} THEN {} END", self.column(first, false))
            }
            _ => self.column(first, false),
        }
    }

    fn column(&mut self, first: usize, is_text: bool) -> String {
        let alias = first + self.below(self.tables.len() - first);
        let (_, numbers, texts) = TABLES[self.tables[alias]];
        let column = self.pick(if is_text { texts } else { numbers });
        format!("t{alias}.{column}")
    }

    fn condition(&mut self, first: usize, depth: usize) -> String {
        if depth > 0 && self.below(3) == 0 {
            let (a, b) = (self.condition(first, depth - 1), self.condition(first, depth - 1));
            return match self.below(3) {
                0 => format!("({a} OR {b})"),
                1 => format!("({a} AND {b})"),
                _ => format!("NOT ({a})"),
            };
        }
        match self.below(9) {
            0 => format!("{} IS NULL", self.column(first, false)),
            1 => format!("{} IN (1, 3, NULL)", self.column(first, false)),
            2 => format!("{} IN (0, 1, 2)", self.column(first, false)),
            3 => format!("{} = {}", self.column(first, true), self.column(first, true)),
            4 => format!("{} = 'u'", self.column(first, true)),
            5 | 6 => format!("{} = {}", self.column(first, false), self.column(first, false)),
            _ => {
                let operator = self.pick(&["=", "<>", "<", "<=", ">", ">="]);
                format!("{} {operator} {}", self.column(first, false), self.number(first))
            }
        }
    }

    fn from(&mut self) -> String {
        let mut from = String::new();
        let (count, mut first) = (1 + self.below(3), 0);
        for alias in 0..count {
            self.tables.push(self.random.below(TABLES.len() as u64) as usize);
            let item = format!("{} t{alias}", TABLES[self.tables[alias]].0);
            match self.below(if alias == 0 { 1 } else { 5 }) {
                0 if alias == 0 => from = item,
                0 => {
                    from = format!("{from}, {item}");
                    first = alias;
                }
                1 => from = format!("{from} CROSS JOIN {item}"),
                2 => from = format!("{from} JOIN {item} ON {}", self.condition(first, 1)),
                _ => from = format!("{from} LEFT JOIN {item} ON {}", self.condition(first, 2)),
            }
        }
        from
    }

    fn aggregate(&mut self) -> String {
        let number = self.number(0);
        let text = self.column(0, true);
        let aggregate = match self.below(7) {
            0 => "count(*)".to_owned(),
            1 => format!("count({number})"),
            2 => format!("sum({number})"),
            3 => format!("count(DISTINCT {text})"),
            4 => format!("sum(DISTINCT {number})"),
            5 => format!("max({text})"),
            _ => format!("min({number})"),
        };
        if self.below(4) > 0 {
            return aggregate;
        }
        format!("{aggregate} FILTER (WHERE {})", self.condition(0, 1))
    }

    fn query(&mut self) -> String {
        let from = self.from();
        let mut targets = vec![self.number(0), self.column(0, true)];
        let mut tail = String::new();
        if self.below(3) > 0 {
            tail = format!(" WHERE {}", self.condition(0, 3));
        }
        match self.below(4) {
            0 => {
                targets = vec![self.aggregate(), self.aggregate()];
            }
            1 => {
                let (key, text) = (format!("({} + 0)", self.number(0)), self.column(0, true));
                targets = vec![key.clone(), text.clone(), self.aggregate(), self.aggregate()];
                tail = format!("{tail} GROUP BY {key}, {text}");
                if self.below(3) == 0 {
                    tail = format!("{tail} HAVING count(*) > 1 OR max({text}) = 'w'");
                }
            }
            _ => {}
        }
        let distinct = if self.below(4) == 0 { "DISTINCT " } else { "" };
        if self.below(2) == 0 {
            let keys: Vec<String> = (1..=targets.len())
                .map(|at| {
                    let nulls = self.pick(&["", " NULLS FIRST", " NULLS LAST"]);
                    format!("{at}{}{nulls}", self.pick(&["", " DESC"]))
                })
                .collect();
            tail = format!("{tail} ORDER BY {}", keys.join(", "));
            if self.below(2) == 0 {
                tail = format!("{tail} LIMIT {} OFFSET {}", self.below(6), self.below(3));
            }
        }
        format!("SELECT {distinct}{} FROM {from}{tail}", targets.join(", "))
    }
}

#[test]
fn random_queries_return_what_their_definition_says() {
    let mut found = 0;
    for seed in 0..1_500 {
        let mut random = SeededRandom::new(seed);
        let database = database(&mut random);
        let text = Maker { random: &mut random, tables: Vec::new() }.query();
        let planned =
            database.bind(&text).unwrap_or_else(|error| panic!("seed {seed}: {text}: {error}"));
        let mut wanted = reference::select(&database, &planned).unwrap();
        found += wanted.len();
        let is_ordered = !planned.query.sort.is_empty();
        let by_text = |row: &Vec<Datum>| shown(std::slice::from_ref(row));
        if !is_ordered {
            wanted.sort_by_key(by_text);
        }
        for rows in [1, 7, 8_192] {
            let ran = database.run_with(&text, &[], rows, PLENTY);
            let mut ran = ran.unwrap_or_else(|error| panic!("seed {seed}: {text}: {error}")).rows;
            if !is_ordered {
                ran.sort_by_key(by_text);
            }
            assert_eq!(shown(&ran), shown(&wanted), "seed {seed} in steps of {rows}: {text}");
        }
    }
    assert!(found > 10_000, "{found} rows");
}
