//! An upper bound of a statement's depth, from one scan of its text.
//!
//! The grammar, the decoder of its tree and the binder recurse, so depth costs stack, and a process
//! that runs out of stack is gone. The bound: within one bracket or CASE a chain of operators can
//! nest as deep as it has tokens since the last comma, AND, OR, WHEN or ELSE (those are flat); the
//! depth at a point is the sum of these counts over all open brackets and CASEs, plus the set
//! operations and joins of each, which nest to the left. A token never adds more than one level, so
//! the bound is safe; real statements stay far below it.

use phantom_base::{Error, Result, sqlstate};

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
            Token::Other => {}
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

#[derive(Clone, Copy, PartialEq)]
enum Token {
    /// `(`, `[`, CASE.
    Open,
    /// `)`, `]`, END.
    Close,
    /// Comma, AND, OR, WHEN, ELSE: what follows is a sibling of what came before.
    Flat,
    /// UNION, INTERSECT, EXCEPT, JOIN.
    NestsLeft,
    /// Semicolon.
    End,
    /// Anything else.
    Other,
}

/// Splits a text just as far as depth needs: strings, quoted names and comments are one token.
struct Tokens<'a> {
    text: &'a [u8],
    at: usize,
    /// The deepest nest of comments so far.
    comment_depth: usize,
}

impl<'a> Tokens<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0, comment_depth: 0 }
    }

    fn peek(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn skip_while(&mut self, keep: impl Fn(u8) -> bool) {
        while self.at < self.text.len() && keep(self.peek(0)) {
            self.at += 1;
        }
    }

    fn skip_block_comment(&mut self) {
        let mut nesting = 0_usize;
        while self.at < self.text.len() {
            match (self.peek(0), self.peek(1)) {
                (b'/', b'*') => {
                    nesting += 1;
                    self.comment_depth = self.comment_depth.max(nesting);
                    self.at += 2;
                }
                (b'*', b'/') => {
                    nesting -= 1;
                    self.at += 2;
                    if nesting == 0 {
                        return;
                    }
                }
                _ => self.at += 1,
            }
        }
    }

    /// Skips a quoted token whose opening quote is at the cursor; a doubled quote stays inside.
    fn skip_quoted(&mut self, quote: u8, backslash_escapes: bool) {
        self.at += 1;
        while self.at < self.text.len() {
            let byte = self.peek(0);
            if backslash_escapes && byte == b'\\' {
                self.at += 2;
            } else if byte != quote {
                self.at += 1;
            } else if self.peek(1) == quote {
                self.at += 2;
            } else {
                self.at += 1;
                return;
            }
        }
    }

    /// Skips `$tag$ .. $tag$`; false if the cursor is not at one.
    fn skip_dollar_quoted(&mut self) -> bool {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let tag_bytes = rest.iter().skip(1).take_while(|b| is_word(**b)).count();
        if rest.get(1).is_some_and(u8::is_ascii_digit) || rest.get(1 + tag_bytes) != Some(&b'$') {
            return false;
        }
        let (tag, body) = rest.split_at(tag_bytes + 2);
        let end = body.windows(tag.len()).position(|window| window == tag);
        self.at = end.map_or(self.text.len(), |found| self.at + 2 * tag.len() + found);
        true
    }
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        loop {
            self.skip_while(|b| b.is_ascii_whitespace());
            match (self.peek(0), self.peek(1)) {
                (b'-', b'-') => self.skip_while(|b| b != b'\n' && b != b'\r'),
                (b'/', b'*') => self.skip_block_comment(),
                _ => break,
            }
        }
        let first = *self.text.get(self.at)?;
        let token = match first {
            b'(' | b'[' => Token::Open,
            b')' | b']' => Token::Close,
            b',' => Token::Flat,
            b';' => Token::End,
            _ => Token::Other,
        };
        if token != Token::Other {
            self.at += 1;
            return Some(token);
        }
        match first {
            b'\'' => self.skip_quoted(b'\'', false),
            b'"' => self.skip_quoted(b'"', false),
            b'e' | b'E' if self.peek(1) == b'\'' => {
                self.at += 1;
                self.skip_quoted(b'\'', true);
            }
            b'$' if self.skip_dollar_quoted() => {}
            _ if is_word(first) => {
                let start = self.at;
                self.skip_while(is_word);
                return Some(keyword(self.text.get(start..self.at).unwrap_or_default()));
            }
            _ => self.at += 1,
        }
        Some(Token::Other)
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn keyword(word: &[u8]) -> Token {
    let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    if is("and") || is("or") || is("when") || is("else") {
        Token::Flat
    } else if is("case") {
        Token::Open
    } else if is("end") {
        Token::Close
    } else if is("union") || is("intersect") || is("except") || is("join") {
        Token::NestsLeft
    } else {
        Token::Other
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
