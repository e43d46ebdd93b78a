//! Long lists of rows of plain constants: INSERT as programs write it.
//!
//! The grammar takes most of the time that such a statement takes: its tree is written out and read
//! back node by node. So the rows behind the first are taken out of the text, read here, and put into
//! the tree that the grammar makes of the rest. If something comes behind them, blanks stand where
//! they were: it keeps its place, and so do errors.
//!
//! Only what is certain to mean the same is read here: numbers without exponents, strings without a
//! prefix, NULL, in the first statement of a text. With anything else the grammar reads all of it.

use pg_query::protobuf::{self, AConst, Node, a_const, node};

/// Shorter lists are not worth looking for, in bytes of the text.
const TEXT_BYTES_MIN: usize = 2 << 10;
/// A list of at least so many rows is.
const ROWS_MIN: usize = 16;

/// A text without its rows but the first, and those rows.
#[derive(Debug)]
pub struct Shortened {
    pub text: String,
    rows: Vec<Node>,
    /// Where the statement ends in the whole text, in bytes, if nothing comes behind the rows but a
    /// semicolon.
    end: Option<usize>,
    /// Bytes of the whole text.
    length: usize,
}

/// Whether a text is one such INSERT and nothing else; it may have a semicolon.
pub fn is_alone(text: &str) -> bool {
    shorten(text).is_some_and(|shortened| shortened.end.is_some())
}

/// Takes the rows out of a text, if it begins with a long INSERT of constants.
pub fn shorten(text: &str) -> Option<Shortened> {
    if text.len() < TEXT_BYTES_MIN {
        return None;
    }
    let mut scan = Scan { text: text.as_bytes(), at: 0 };
    scan.head()?;
    scan.row()?;
    let first_ends = scan.at;
    let mut rows = Vec::new();
    let mut ends = first_ends;
    loop {
        scan.blanks();
        if !scan.takes(b',') {
            break;
        }
        scan.blanks();
        rows.push(scan.row()?);
        ends = scan.at;
    }
    if rows.len() < ROWS_MIN {
        return None;
    }
    let (before, behind) = (text.get(..first_ends)?, text.get(ends..)?);
    let blank = |byte: char| byte.is_ascii_whitespace();
    let end = match behind.find(|byte| !blank(byte)) {
        None => Some(text.len()),
        Some(at) if behind.get(at..)?.trim_matches(blank) == ";" => Some(ends + at),
        Some(_) => None,
    };
    let length = text.len();
    let text = match end {
        Some(_) => before.to_owned(),
        None => [before, &" ".repeat(ends - first_ends), behind].concat(),
    };
    Some(Shortened { text, rows, end, length })
}

/// Puts the rows into the tree of the shortened text; false if that is not what they came out of.
pub fn restore(tree: &mut protobuf::ParseResult, rows: Shortened) -> bool {
    let Some(raw) = tree.stmts.first_mut() else { return false };
    let statement = raw.stmt.as_mut().and_then(|boxed| boxed.node.as_mut());
    let Some(node::Node::InsertStmt(insert)) = statement else { return false };
    let select = insert.select_stmt.as_mut().and_then(|boxed| boxed.node.as_mut());
    let Some(node::Node::SelectStmt(select)) = select else { return false };
    if select.values_lists.len() != 1 {
        return false;
    }
    select.values_lists.extend(rows.rows);
    if let Some(end) = rows.end {
        // The grammar says 0 where a statement goes to the end of the text.
        let is_cut = end < rows.length;
        let start = usize::try_from(raw.stmt_location).unwrap_or(0);
        raw.stmt_len = if is_cut { i32::try_from(end - start).unwrap_or(0) } else { 0 };
    }
    true
}

struct Scan<'a> {
    text: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    fn takes(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == byte;
        self.at += usize::from(is_there);
        is_there
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\n' | b'\r' | b'\x0c') {
            self.at += 1;
        }
    }

    /// The letters, digits and underscores at the cursor.
    fn word(&mut self) -> &[u8] {
        let start = self.at;
        while matches!(self.peek(), b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_') {
            self.at += 1;
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// `INSERT INTO name (columns) VALUES`, in plain or quoted names; the cursor is at the first row.
    fn head(&mut self) -> Option<()> {
        for word in ["insert", "into"] {
            self.blanks();
            self.word().eq_ignore_ascii_case(word.as_bytes()).then_some(())?;
        }
        loop {
            self.blanks();
            match self.peek() {
                b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                    if self.word().eq_ignore_ascii_case(b"values") {
                        self.blanks();
                        return Some(());
                    }
                }
                b'"' => {
                    self.at += 1;
                    while self.peek() != b'"' {
                        (self.at < self.text.len()).then_some(())?;
                        self.at += 1;
                    }
                    self.at += 1;
                }
                b'.' | b',' | b'(' | b')' => self.at += 1,
                _ => return None,
            }
        }
    }

    /// A row of constants in its brackets.
    fn row(&mut self) -> Option<Node> {
        self.takes(b'(').then_some(())?;
        let mut items = Vec::new();
        loop {
            self.blanks();
            let constant = self.constant()?;
            items.push(Node { node: Some(node::Node::AConst(constant)) });
            self.blanks();
            if self.takes(b')') {
                break;
            }
            self.takes(b',').then_some(())?;
        }
        Some(Node { node: Some(node::Node::List(protobuf::List { items })) })
    }

    /// A constant as the grammar has it.
    fn constant(&mut self) -> Option<AConst> {
        let location = i32::try_from(self.at).ok()?;
        let val = match self.peek() {
            b'\'' => Some(a_const::Val::Sval(protobuf::String { sval: self.string()? })),
            b'-' | b'0'..=b'9' => Some(self.number()?),
            b'n' | b'N' => {
                self.word().eq_ignore_ascii_case(b"null").then_some(())?;
                None
            }
            _ => return None,
        };
        Some(AConst { isnull: val.is_none(), location, val })
    }

    /// A string; a doubled quote stands for one.
    fn string(&mut self) -> Option<String> {
        self.at += 1;
        let mut found = Vec::new();
        loop {
            let rest = self.text.get(self.at..)?;
            let quote = rest.iter().position(|byte| *byte == b'\'')?;
            found.extend_from_slice(rest.get(..quote)?);
            self.at += quote + 1;
            if !self.takes(b'\'') {
                break;
            }
            found.push(b'\'');
        }
        // It was cut at quotes, so what was UTF-8 is.
        String::from_utf8(found).ok()
    }

    /// Digits, with a sign or a point among them: an integer where 32 bits hold its digits.
    fn number(&mut self) -> Option<a_const::Val> {
        let is_negative = self.takes(b'-');
        let start = self.at;
        let mut points = 0;
        while matches!(self.peek(), b'0'..=b'9' | b'.') {
            points += usize::from(self.peek() == b'.');
            self.at += 1;
        }
        let digits = std::str::from_utf8(self.text.get(start..self.at)?).ok()?;
        let is_plain = digits.starts_with(|first: char| first.is_ascii_digit()) && points <= 1;
        let ends = matches!(self.peek(), b' ' | b'\t' | b'\n' | b'\r' | b'\x0c' | b',' | b')');
        (is_plain && ends && !digits.ends_with('.')).then_some(())?;
        let sign = if is_negative { "-" } else { "" };
        if let Some(number) = digits.parse::<i32>().ok().filter(|_| points == 0) {
            let ival = if is_negative { -number } else { number };
            return Some(a_const::Val::Ival(protobuf::Integer { ival }));
        }
        Some(a_const::Val::Fval(protobuf::Float { fval: format!("{sign}{digits}") }))
    }
}

#[cfg(test)]
mod tests {
    use phantom_base::{Random, SeededRandom};

    use super::super::ffi;
    use super::*;

    /// The tree by both ways; whether the short one was taken.
    fn compare(text: &str) -> bool {
        let whole = ffi::parse(text).expect("the grammar takes it");
        let Some(shortened) = shorten(text) else { return false };
        let mut tree = ffi::parse(&shortened.text).expect("and without its rows");
        assert!(restore(&mut tree, shortened), "{text}");
        assert_eq!(tree, whole, "{text}");
        true
    }

    fn insert(rows: usize, row: &str) -> String {
        format!("INSERT INTO t VALUES {}", vec![row; rows].join(", "))
    }

    #[test]
    fn constants_are_what_the_grammar_makes_of_them() {
        for row in [
            "(1)",
            "(0, -1, 2147483647, -2147483647, 2147483648, -2147483648, 9223372036854775808)",
            "(00012, 1.5, -1.50, 0.0, 123456789012345678901234567890)",
            "('', 'a', 'it''s', '''', '\\n', 'é€', '-- no comment', '/* nor */ this')",
            "(NULL, null, Null)",
            "( 1 ,\n\t'two' , NULL\r\n)",
        ] {
            assert!(compare(&insert(2_000, row)), "{row}");
        }
    }

    #[test]
    fn what_stands_around_the_rows_keeps_its_place() {
        let rows = vec!["(1, 'x')"; 500].join(",");
        for text in [
            format!("insert into \"A b\".\"c\" (k, \"V\") values {rows} on conflict do nothing"),
            format!("  INSERT\nINTO s.t(k,v)VALUES{rows}RETURNING k, v AS w"),
            format!("INSERT INTO t VALUES {rows};"),
            format!("INSERT INTO t VALUES {rows} \n"),
            format!("\n INSERT INTO t VALUES {rows} ; \n"),
            format!("INSERT INTO t VALUES {rows};;"),
            format!("INSERT INTO t VALUES {rows}; SELECT 1; INSERT INTO t VALUES (2)"),
        ] {
            assert!(compare(&text), "{text}");
        }
        let broken = format!("INSERT INTO t VALUES {rows} RETURNIN k");
        let shortened = shorten(&broken).expect("its rows are plain");
        assert_eq!(
            ffi::parse(&shortened.text).expect_err("it is no statement"),
            ffi::parse(&broken).expect_err("nor is this")
        );
    }

    #[test]
    fn one_that_is_alone_is_told_from_one_that_is_not() {
        let one = insert(2_000, "(1)");
        for behind in ["", ";", " ;\n", "\n"] {
            assert!(is_alone(&format!("{one}{behind}")), "{behind:?}");
        }
        for behind in [";;", "; SELECT 1", " RETURNING 1", " -- ;", "x"] {
            assert!(!is_alone(&format!("{one}{behind}")), "{behind:?}");
        }
    }

    #[test]
    fn whatever_else_there_is_the_grammar_reads() {
        for row in [
            "(1e5)",
            "(1.)",
            "(.5)",
            "(+1)",
            "(- 1)",
            "(--1\n1)",
            "(0x1f)",
            "(1_000)",
            "(1.5.2)",
            "(E'a')",
            "(U&'a')",
            "('a' 'b')",
            "('a'\n'b')",
            "('a'::text)",
            "(true)",
            "(nullif(1, 2))",
            "(DEFAULT)",
            "($1)",
            "(1 + 1)",
            "()",
            "(1,)",
            "((1))",
            "(date '2020-01-01')",
            "('open",
        ] {
            assert!(shorten(&insert(2_000, row)).is_none(), "{row}");
        }
        for head in
            ["SELECT 1 VALUES", "INSERT INTO t SELECT * FROM (VALUES", "INSERT INTO t /**/ VALUES"]
        {
            assert!(shorten(&format!("{head} {}", vec!["(1)"; 2_000].join(","))).is_none());
        }
        assert!(shorten(&insert(ROWS_MIN, &format!("('{}')", "x".repeat(1_000)))).is_none());
        assert!(shorten(&insert(30, "(1)")).is_none(), "it is short");
    }

    #[test]
    fn drawn_lists_are_what_the_grammar_makes_of_them() {
        let mut random = SeededRandom::new(7);
        let pieces = ["1", "-20", "3.25", "-0.5", "'a'", "'b''c'", "NULL", "99999999999", "''"];
        let blanks = ["", " ", "\n", "  \t"];
        let mut short = 0;
        for _ in 0..200 {
            let mut draw = |of: &[&'static str]| of[random.below(of.len() as u64) as usize];
            let mut rows = Vec::new();
            for _ in 0..300 {
                let items: Vec<String> = (0..3)
                    .map(|_| format!("{}{}{}", draw(&blanks), draw(&pieces), draw(&blanks)))
                    .collect();
                rows.push(format!("{}({})", draw(&blanks), items.join(",")));
            }
            short += usize::from(compare(&format!("INSERT INTO t VALUES {}", rows.join(","))));
        }
        assert_eq!(short, 200);
    }
}
