//! SQL text to PostgreSQL's own syntax tree, by PostgreSQL's own grammar.
//!
//! - `guard` bounds the depth of a statement before the grammar sees it, so that no text can end
//!   the process by exhausting a stack.
//! - `chunk` cuts long scripts, which are parsed piece by piece: others want the pool too.
//! - `values` reads long lists of constant rows without the grammar.
//! - `ffi` calls the grammar and keeps the position of an error.
//! - Parsing and everything that walks the tree (binding, dropping it) belong on a thread with
//!   `STACK_BYTES` of stack: the parse pool. The pool is fixed, for each thread that ever parses
//!   leaks one key of thread-local storage in the C library, and a process has about 1,000.
//!
//! Parsing is pure: the same text gives the same tree on every node.

mod chunk;
mod ffi;
mod guard;
mod tokens;
mod values;

pub use chunk::{CHUNK_BYTES, chunk_end};
pub use guard::DEPTH_MAX;
pub(crate) use guard::too_complex;
use pg_query::protobuf;
use phantom_base::{Error, Result, sqlstate};
pub(crate) use values::is_alone;

/// The stack that `parse` needs at `DEPTH_MAX`, in bytes.
pub const STACK_BYTES: usize = 64 << 20;

/// One statement of a text.
#[derive(Debug)]
pub struct Statement {
    /// The root of its syntax tree.
    pub node: protobuf::node::Node,
    /// Where it starts in the text, in bytes, leading blanks and comments included.
    pub start: usize,
    /// How long it is, in bytes, without its semicolon.
    pub length: usize,
}

/// Splits a text into its statements; an empty text has none.
///
/// # Errors
/// `42601` with a position for what the grammar refuses; `54001` past `DEPTH_MAX`; `22021` for a
/// zero byte.
pub fn parse(text: &str) -> Result<Vec<Statement>> {
    if text.contains('\0') {
        return Err(Error::new(
            sqlstate::CHARACTER_NOT_IN_REPERTOIRE,
            "invalid byte sequence for encoding \"UTF8\": 0x00",
        ));
    }
    guard::check_depth(text)?;
    let tree = parse_whole(text)?;
    let mut statements = Vec::with_capacity(tree.stmts.len());
    for raw in tree.stmts {
        let start = usize::try_from(raw.stmt_location).unwrap_or(0);
        // The grammar says 0 where a statement goes to the end of the text.
        let length = usize::try_from(raw.stmt_len).ok().filter(|length| *length > 0);
        let length = length.unwrap_or(text.len() - start.min(text.len()));
        let Some(node) = raw.stmt.and_then(|boxed| boxed.node) else { continue };
        statements.push(Statement { node, start, length });
    }
    Ok(statements)
}

fn parse_whole(text: &str) -> Result<protobuf::ParseResult> {
    if let Some(shortened) = values::shorten(text) {
        let mut tree = ffi::parse(&shortened.text)?;
        if values::restore(&mut tree, shortened) {
            return Ok(tree);
        }
    }
    ffi::parse(text)
}

/// The 1-based position, in characters, of a byte offset of `text`: field P of an error.
///
/// An offset below zero (the grammar's "unknown") has position 0, which is "absent".
pub fn position_of(text: &str, byte_offset: i32) -> u32 {
    let Ok(offset) = usize::try_from(byte_offset) else { return 0 };
    let before = text.char_indices().take_while(|(at, _)| *at < offset).count();
    u32::try_from(before + 1).unwrap_or(0)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn on_stack<T: Send + 'static>(
        bytes: usize,
        body: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let thread = std::thread::Builder::new().stack_size(bytes).spawn(body);
        thread.expect("a thread starts").join().expect("the body does not panic")
    }

    fn on_parse_stack<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
        on_stack(STACK_BYTES, body)
    }

    fn fails(text: String) -> Error {
        on_parse_stack(move || parse(&text).expect_err("must be refused"))
    }

    #[test]
    fn statements_are_split_and_an_empty_text_has_none() {
        assert_eq!(parse("select 1; ; select 2 -- end").expect("valid").len(), 2);
        assert!(parse(" ; -- nothing\n ").expect("valid").is_empty());
    }

    #[test]
    fn an_error_keeps_its_position_in_characters() {
        let error = parse("select 'é' frm t where 1").expect_err("not SQL");
        assert_eq!(error.sqlstate, sqlstate::SYNTAX_ERROR);
        assert_eq!(error.message, "syntax error at or near \"t\"");
        assert_eq!(error.position, 16);
        assert_eq!(parse("selec 1").expect_err("not SQL").position, 1);
    }

    #[test]
    fn a_zero_byte_is_no_character() {
        let error = parse("select '\0'").expect_err("not text");
        assert_eq!(error.sqlstate, sqlstate::CHARACTER_NOT_IN_REPERTOIRE);
    }

    #[test]
    fn depth_that_a_stack_cannot_hold_is_refused() {
        let brackets = format!("select {}1{}", "(".repeat(20_000), ")".repeat(20_000));
        assert_eq!(fails(brackets).sqlstate, sqlstate::STATEMENT_TOO_COMPLEX);
        let sum = format!("select {}", vec!["1"; 30_000].join("+"));
        assert_eq!(fails(sum).sqlstate, sqlstate::STATEMENT_TOO_COMPLEX);
        let nested = format!(
            "select * from {}(select 1) x{}",
            "(select * from ".repeat(3_000),
            ") x".repeat(3_000)
        );
        assert_eq!(fails(nested).sqlstate, sqlstate::STATEMENT_TOO_COMPLEX);
        let unions = vec!["select 1"; 11_000].join(" union all ");
        assert_eq!(fails(unions).sqlstate, sqlstate::STATEMENT_TOO_COMPLEX);
    }

    #[test]
    fn breadth_is_not_depth() {
        on_parse_stack(|| {
            let list = vec!["1"; 100_000].join(",");
            parse(&format!("select 1 where 1 in ({list})")).expect("a long list is flat");
            let chain = vec!["a = 1"; 20_000].join(" and ");
            parse(&format!("select 1 where {chain}")).expect("a chain of AND is flat");
            let sum = vec!["1"; 4_900].join("+");
            parse(&format!("select {sum}")).expect("what PostgreSQL takes, we take");
        });
    }
}
