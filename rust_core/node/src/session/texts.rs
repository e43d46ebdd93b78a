//! What the parse pool does with a text: splits it, and binds what it says.

use phantom_base::Error;
use phantom_base::sync::Arc;
use phantom_sql::bind::{self, Splitter};
use phantom_sql::catalog::CatalogSnapshot;
use phantom_sql::settings::Settings;
use phantom_sql::statement;
use phantom_types::EvalContext;
use phantom_wire::pg::Piece;

/// What has become of a text.
pub enum Bound {
    Pieces(Vec<Piece>),
    Statement(Arc<statement::Prepared>),
}

/// What is still to be done with a text.
pub enum TextWork {
    Split(Splitter),
    Prepare(Arc<str>, Vec<u32>),
}

pub enum Stepped {
    Done(Bound),
    More(TextWork),
}

/// What the parse pool needs of a session.
pub struct Task {
    pub catalog: Arc<CatalogSnapshot>,
    pub settings: Settings,
    pub role: String,
    pub eval: EvalContext,
}

impl Task {
    fn prepare(&self, text: &str, types: &[u32]) -> Result<Arc<statement::Prepared>, Error> {
        let context = bind::Context {
            catalog: &self.catalog,
            settings: &self.settings,
            role: &self.role,
            eval: &self.eval,
        };
        bind::prepare(text, types, context).map(Arc::new)
    }

    pub fn step(&self, work: TextWork) -> Result<Stepped, Error> {
        Ok(match work {
            TextWork::Prepare(text, types) => {
                Stepped::Done(Bound::Statement(self.prepare(&text, &types)?))
            }
            TextWork::Split(mut splitter) => {
                if splitter.step()? {
                    Stepped::More(TextWork::Split(splitter))
                } else {
                    Stepped::Done(Bound::Pieces(self.pieces(splitter.finish())?))
                }
            }
        })
    }

    fn pieces(&self, pieces: Vec<bind::Piece>) -> Result<Vec<Piece>, Error> {
        let is_one = pieces.len() == 1;
        let mut split = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let prepared = if is_one {
                let bound = self.prepare(&piece.text, &[]);
                Some(bound.map_err(|error| moved(error, piece.offset))?)
            } else {
                None
            };
            split.push(Piece {
                text: Arc::from(piece.text),
                offset: piece.offset,
                is_write: piece.is_write,
                prepared,
            });
        }
        Ok(split)
    }
}

/// An error of a piece, placed in the whole text.
fn moved(error: Error, offset: u32) -> Error {
    let position = error.position;
    if position == 0 { error } else { error.with_position(position + offset) }
}

/// The work of binding a statement's text anew.
pub fn bound_anew(old: &statement::Prepared) -> (Arc<str>, TextWork) {
    (old.text.clone(), TextWork::Prepare(old.text.clone(), declared_types(old)))
}

/// The types of a statement's parameters as a client would declare them: they do not change.
pub fn declared_types(statement: &statement::Prepared) -> Vec<u32> {
    statement.parameters.iter().map(|ty| ty.0).collect()
}
