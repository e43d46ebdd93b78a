//! The tokens of a text, told apart just as far as brackets and ends of statements need.

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Token {
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
    /// ATOMIC: semicolons that follow may be of a function's body.
    Atomic,
    /// Anything else.
    Other,
}

/// Splits a text just as far as depth needs: strings, quoted names and comments are one token.
pub(super) struct Tokens<'a> {
    text: &'a [u8],
    at: usize,
    /// The deepest nest of comments so far.
    pub comment_depth: usize,
}

impl<'a> Tokens<'a> {
    pub fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0, comment_depth: 0 }
    }

    /// How many bytes have been read.
    pub fn at(&self) -> usize {
        self.at
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
    } else if is("atomic") {
        Token::Atomic
    } else {
        Token::Other
    }
}
