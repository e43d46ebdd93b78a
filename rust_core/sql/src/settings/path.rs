//! `search_path`: where names without a schema are looked for, and where tables are made.
//!
//! The system catalog stands before it, named or not. A schema that does not exist is passed over;
//! those that exist are `public` and the system's.

use super::SearchPath;

/// The schemas that there are.
const SCHEMAS: [&str; 3] = ["public", "pg_catalog", "information_schema"];

impl SearchPath {
    /// The path that a value of the setting is.
    pub(super) fn of(value: &str) -> Self {
        let names = path_names(value).unwrap_or_default();
        let mut existing =
            names.iter().filter_map(|name| SCHEMAS.into_iter().find(|schema| schema == name));
        let first = existing.clone().next();
        Self { sees_public: existing.any(|schema| schema == "public"), first }
    }
}

/// The names of a list, as PostgreSQL's `SplitIdentifierString` reads it; `None` if it is none.
pub(super) fn path_names(value: &str) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut rest = value.trim_start();
    if rest.is_empty() {
        return Some(names);
    }
    loop {
        let name;
        (name, rest) = if let Some(quoted) = rest.strip_prefix('"') {
            quoted_name(quoted)?
        } else {
            let end = rest.find(|c: char| c == ',' || c.is_ascii_whitespace());
            let (name, rest) = rest.split_at(end.unwrap_or(rest.len()));
            if name.is_empty() {
                return None;
            }
            (name.to_ascii_lowercase(), rest)
        };
        names.push(name);
        rest = rest.trim_start();
        match rest.strip_prefix(',') {
            Some(next) => rest = next.trim_start(),
            None if rest.is_empty() => return Some(names),
            None => return None,
        }
    }
}

/// A name up to its closing quote, two of which stand for one, and the rest.
fn quoted_name(text: &str) -> Option<(String, &str)> {
    let (mut name, mut rest) = (String::new(), text);
    loop {
        let (head, tail) = rest.split_once('"')?;
        name.push_str(head);
        match tail.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return Some((name, tail)),
        }
    }
}

/// A name as SET writes it into the list: quoted unless it is a plain one.
pub(crate) fn quoted(name: &str) -> String {
    let is_plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if is_plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_as_postgresql_reads_it() {
        let names = |value| path_names(value).map(|names| names.join("|"));
        assert_eq!(names("\"$user\", public"), Some("$user|public".into()));
        assert_eq!(names(" A , \"B c\"\"d\" "), Some("a|B c\"d".into()));
        assert_eq!(names("\"\""), Some(String::new()));
        assert_eq!(names(""), Some(String::new()));
        for bad in ["a b", "a,", ",a", "\"a", "a,,b"] {
            assert_eq!(names(bad), None, "{bad}");
        }
    }

    #[test]
    fn schemas_that_do_not_exist_are_passed_over() {
        let path = |value| SearchPath::of(value);
        assert_eq!(
            path("\"$user\", public"),
            SearchPath { sees_public: true, first: Some("public") }
        );
        assert_eq!(path("nope"), SearchPath { sees_public: false, first: None });
        let catalog_first = SearchPath { sees_public: true, first: Some("pg_catalog") };
        assert_eq!(path("nope, pg_catalog, public"), catalog_first);
    }
}
