//! A text of several statements, taken apart chunk by chunk.

use pg_query::protobuf::node::Node;
use phantom_base::Result;
use phantom_base::sync::Arc;

use crate::parse;

/// One of several statements of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its text.
    pub text: String,
    /// How many characters stand before it.
    pub offset: u32,
    /// Whether it changes rows or the catalog.
    pub is_write: bool,
}

/// A text on its way to be split. Between two steps it may wait, or be given up.
pub struct Splitter {
    text: Arc<str>,
    /// Where the next chunk starts, in bytes.
    start: usize,
    /// Up to where characters are counted, in bytes, and how many there are.
    counted: (usize, usize),
    pieces: Vec<Piece>,
}

impl Splitter {
    /// Begins with a text.
    pub fn new(text: Arc<str>) -> Self {
        Self { text, start: 0, counted: (0, 0), pieces: Vec::new() }
    }

    /// Takes the next chunk apart; false once there is none left.
    ///
    /// # Errors
    /// What the grammar refuses.
    pub fn step(&mut self) -> Result<bool> {
        let end = parse::chunk_end(&self.text, self.start);
        let start = std::mem::replace(&mut self.start, end);
        let text = self.text.clone();
        let chunk = text.get(start..end).unwrap_or_default();
        if start == 0 && end == text.len() && parse::is_alone(chunk) {
            // Parsed once, when it is bound: it is long.
            let piece = chunk.trim_end().trim_end_matches(';').to_owned();
            self.pieces.push(Piece { text: piece, offset: 0, is_write: true });
            return Ok(false);
        }
        let before = self.characters_before(start);
        let statements = parse::parse(chunk).map_err(|error| match error.position {
            0 => error,
            position => error.with_position(position.saturating_add(before)),
        })?;
        for statement in statements {
            let end = statement.start.saturating_add(statement.length).min(chunk.len());
            let piece = chunk.get(statement.start..end).unwrap_or_default();
            let offset = self.characters_before(start + statement.start);
            let is_write = matches!(
                statement.node,
                Node::InsertStmt(_)
                    | Node::UpdateStmt(_)
                    | Node::DeleteStmt(_)
                    | Node::CreateStmt(_)
                    | Node::DropStmt(_)
            );
            self.pieces.push(Piece { text: piece.to_owned(), offset, is_write });
        }
        Ok(self.start < self.text.len())
    }

    /// The statements of the chunks so far.
    pub fn finish(self) -> Vec<Piece> {
        self.pieces
    }

    /// How many characters stand before a byte; counted on from the place of the last time, or many
    /// statements would take for ever.
    fn characters_before(&mut self, at: usize) -> u32 {
        let (counted, characters) = self.counted;
        assert!(counted <= at, "statements come one after the other");
        let characters =
            characters + self.text.get(counted..at).unwrap_or_default().chars().count();
        self.counted = (at, characters);
        u32::try_from(characters).unwrap_or(u32::MAX)
    }
}

/// Splits a text into its statements.
///
/// # Errors
/// What the grammar refuses, wherever in the text.
pub fn split(text: &str) -> Result<Vec<Piece>> {
    let mut splitter = Splitter::new(Arc::from(text));
    while splitter.step()? {}
    Ok(splitter.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_insert_is_one_statement() {
        let text = format!("INSERT INTO t VALUES {}", vec!["(1, 'x')"; 1_000].join(","));
        for behind in ["", ";", " ; "] {
            let pieces = split(&format!("{text}{behind}")).expect("valid");
            let text = format!("{text}{}", behind.strip_suffix("; ").unwrap_or_default());
            assert_eq!(pieces, [Piece { text, offset: 0, is_write: true }]);
        }
        assert_eq!(split(&format!("{text}; SELECT 1")).expect("valid").len(), 2);
    }

    #[test]
    fn each_of_many_statements_knows_how_many_characters_stand_before_it() {
        const MANY: usize = 200_000;
        let pieces = split(&"select 'é';".repeat(MANY)).expect("valid");
        assert_eq!(pieces.len(), MANY);
        for (at, piece) in pieces.iter().enumerate() {
            assert_eq!((piece.text.as_str(), piece.offset as usize), ("select 'é'", 11 * at));
        }
    }

    #[test]
    fn an_error_in_a_late_chunk_keeps_its_place_in_the_text() {
        let error = split(&format!("{}selec 1;", "select 'é';".repeat(20_000))).expect_err("wrong");
        assert_eq!(error.position, 220_001);
    }
}
