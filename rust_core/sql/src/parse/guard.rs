//! An upper bound of a statement's depth, from one scan of its text.
//!
//! The grammar, the decoder of its tree and the binder recurse, so depth costs stack, and a process
//! that runs out of stack is gone. The bound: within one bracket or CASE a chain of operators can
//! nest as deep as it has tokens since the last comma, AND, OR, WHEN or ELSE (those are flat); the
//! depth at a point is the sum of these counts over all open brackets and CASEs, plus the set
//! operations and joins of each, which nest to the left. A token never adds more than one level, so
//! the bound is safe; real statements stay far below it.

use phantom_base::{Error, Result, sqlstate};

use super::tokens::{Token, Tokens};

/// The deepest statement that is parsed. PostgreSQL 15 itself stops near 5,000 with its default
/// stack.
pub const DEPTH_MAX: usize = 10_000;

/// The deepest nest of comments: the grammar's scanner takes time with the square of it.
const COMMENT_DEPTH_MAX: usize = 1_000;

/// Refuses with `54001` what may nest deeper than `DEPTH_MAX`, comments deeper than theirs.
pub(super) fn check_depth(text: &str) -> Result<()> {
    let mut open = vec![Bracket::default()];
    let mut depth = 0;
    let mut tokens = Tokens::new(text.as_bytes());
    for token in &mut tokens {
        match token {
            Token::Open => open.push(Bracket::default()),
            Token::Close => {
                if open.len() > 1 {
                    let closed = open.pop().expect("one more than one");
                    depth -= closed.depth();
                }
                // The bracket as a whole was one operand of the chain around it.
            }
            Token::Flat => {
                let top = open.last_mut().expect("the statement itself never closes");
                depth -= top.chain;
                top.chain = 0;
            }
            Token::NestsLeft => {
                open.last_mut().expect("the statement itself never closes").kept += 1;
                depth += 1;
            }
            Token::End => {
                open.clear();
                open.push(Bracket::default());
                depth = 0;
            }
            Token::Atomic | Token::Other => {}
        }
        if !matches!(token, Token::Flat | Token::End | Token::Close) {
            open.last_mut().expect("the statement itself never closes").chain += 1;
            depth += 1;
        }
        if depth > DEPTH_MAX {
            return Err(too_complex("The statement may nest", DEPTH_MAX));
        }
    }
    if tokens.comment_depth > COMMENT_DEPTH_MAX {
        return Err(too_complex("Comments nest", COMMENT_DEPTH_MAX));
    }
    Ok(())
}

/// The error of what nests deeper than so many levels.
pub fn too_complex(what: &str, levels: usize) -> Error {
    Error::new(sqlstate::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")
        .with_detail(format!("{what} deeper than {levels} levels."))
        .with_hint("Split the statement, or write what nests as a list (AND, OR, IN, VALUES).")
}

#[derive(Default)]
struct Bracket {
    /// Tokens since the last one that is flat.
    chain: usize,
    /// Set operations and joins: they nest however many commas follow.
    kept: usize,
}

impl Bracket {
    fn depth(&self) -> usize {
        self.chain + self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> usize {
        Tokens::new(text.as_bytes()).count()
    }

    #[test]
    fn quoted_text_and_comments_hide_brackets() {
        for text in
            ["'((('", "\"(((\"", "$$((($$", "$a$ ($$( $a$", "e'\\'((('", "'it''s (('", "name"]
        {
            assert_eq!(tokens(text), 1, "{text}");
        }
        assert_eq!(tokens("-- (((\n 1 /* ( /* ( */ */ + 2"), 3);
        assert_eq!(tokens("$1 + $2"), 5);
    }

    #[test]
    fn unfinished_text_ends() {
        for text in ["'abc", "/* (", "$x$ abc", "e'\\", "\"", "$"] {
            check_depth(text).expect("shallow");
        }
    }

    #[test]
    fn comments_may_nest_but_not_without_end() {
        let nest = |depth: usize| format!("{}{}SELECT 1", "/*".repeat(depth), "*/".repeat(depth));
        check_depth(&nest(COMMENT_DEPTH_MAX)).expect("as deep as that");
        let error = check_depth(&nest(COMMENT_DEPTH_MAX + 1)).expect_err("deeper");
        assert_eq!(error.sqlstate, sqlstate::STATEMENT_TOO_COMPLEX);
        check_depth(&"/*".repeat(40_000)).expect_err("although it never ends");
        check_depth(&"/* */".repeat(40_000)).expect("one after the other");
    }

    #[test]
    fn closed_brackets_do_not_add_up() {
        let flat = vec!["(1)"; 9_000].join(",");
        check_depth(&flat).expect("siblings");
        let chain = vec!["(1)"; 11_000].join("+");
        check_depth(&chain).expect_err("an operand of each addition");
    }
}
