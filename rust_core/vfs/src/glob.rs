//! Patterns over paths: `*` stands for any characters, also `/`; everything else for itself.

/// Whether `text` has the shape of `pattern`.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let head = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(head) else { return false };
    let pieces: Vec<&str> = pieces.collect();
    let Some((tail, middle)) = pieces.split_last() else { return rest.is_empty() };
    for piece in middle {
        let Some(at) = rest.find(piece) else { return false };
        rest = rest.get(at + piece.len()..).unwrap_or_default();
    }
    rest.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_match_anything() {
        for (pattern, text) in
            [("*.tbl", "d/1.tbl"), ("d/*/1", "d/x/y/1"), ("*", ""), ("a", "a"), ("a*b*c", "abbc")]
        {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("*.tbl", "1.log"), ("a", "ab"), ("a*b", "a"), ("a*a", "a")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }
}
