//! Our functions and aggregates by their names.

use phantom_types::TypeId;
use phantom_types::catalog::Procedure;

/// The types that a procedure takes for so many arguments; of a variadic one the last repeats.
pub(super) fn signature(procedure: &Procedure, arguments: usize) -> Vec<TypeId> {
    let mut types = procedure.args.to_vec();
    if let Some(repeated) = procedure.variadic
        && arguments >= types.len()
    {
        types.pop();
        while types.len() < arguments {
            types.push(repeated);
        }
    }
    types
}

/// The aggregates of a name.
pub(super) fn aggregates(name: &str) -> impl Iterator<Item = &'static phantom_agg::Aggregate> {
    phantom_agg::aggregates_named(name)
}
