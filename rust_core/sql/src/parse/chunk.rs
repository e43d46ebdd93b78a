//! Where a long text can be cut, so that a script is parsed piece by piece.
//!
//! A chunk ends behind a semicolon outside of all brackets. From the word ATOMIC on nothing is cut:
//! the body of a function has semicolons of its own. What is no string, comment or bracket to `tokens`
//! is none to the grammar either, so that chunks have the statements of the whole.

use super::tokens::{Token, Tokens};

/// A chunk is at least as long, in bytes, unless the text ends. It takes some milliseconds to parse.
pub const CHUNK_BYTES: usize = 64 << 10;

/// Where the chunk that starts at `start` ends; the end of the text if it is the last.
pub fn chunk_end(text: &str, start: usize) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    if rest.len() <= CHUNK_BYTES {
        return text.len();
    }
    let mut open = 0_usize;
    let mut tokens = Tokens::new(rest.as_bytes());
    while let Some(token) = tokens.next() {
        match token {
            Token::Open => open += 1,
            // END is a statement of its own, too.
            Token::Close => open = open.saturating_sub(1),
            Token::End if open == 0 && tokens.at() >= CHUNK_BYTES => return start + tokens.at(),
            Token::Atomic => break,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(text: &str) -> Vec<&str> {
        let (mut chunks, mut start) = (Vec::new(), 0);
        while start < text.len() {
            let end = chunk_end(text, start);
            chunks.push(&text[start..end]);
            start = end;
        }
        chunks
    }

    #[test]
    fn a_chunk_ends_behind_a_semicolon_that_ends_a_statement() {
        let one = "select ';', \";\", $$;$$, e'\\';' -- ;\n /* ; */;";
        let text = one.repeat(10_000);
        let chunks = chunks(&text);
        assert!(chunks.len() > 3);
        assert_eq!(chunks.concat(), text);
        for chunk in chunks {
            assert_eq!(chunk.len() % one.len(), 0);
            assert!(chunk.len() < CHUNK_BYTES + one.len());
        }
    }

    #[test]
    fn nothing_is_cut_inside_of_brackets_bodies_and_quotes() {
        let long = "select 1;".repeat(10_000);
        for text in [
            format!("create rule r as on insert to t do also ({long})"),
            format!("create function f() returns int begin atomic {long} end"),
            format!("select '{long}'"),
            format!("select $x$ {long} $x$"),
            format!("select 1 /* {long}"),
        ] {
            assert_eq!(chunks(&text), [text.as_str()]);
        }
        assert!(chunks(&format!("end; {long}")).len() > 1);
    }
}
