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
    let is_plain = is_plain && !KEYWORDS.split_whitespace().any(|word| word == name);
    if is_plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// The key words of PostgreSQL 15 that are not a name everywhere.
const KEYWORDS: &str = "
    all analyse analyze and any array as asc asymmetric authorization between bigint binary bit
    boolean both case cast char character check coalesce collate collation column concurrently
    constraint create cross current_catalog current_date current_role current_schema current_time
    current_timestamp current_user dec decimal default deferrable desc distinct do else end except
    exists extract false fetch float for foreign freeze from full grant greatest group grouping
    having ilike in initially inner inout int integer intersect interval into is isnull join
    lateral leading least left like limit localtime localtimestamp national natural nchar none
    normalize not notnull null nullif numeric offset on only or order out outer overlaps overlay
    placing position precision primary real references returning right row select session_user
    setof similar smallint some substring symmetric table tablesample then time timestamp to
    trailing treat trim true union unique user using values varchar variadic verbose when where
    window with xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse
    xmlpi xmlroot xmlserialize xmltable
";

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
    fn a_name_is_quoted_where_it_would_be_read_as_another_or_as_none() {
        for plain in ["a", "_a1", "date", "varying", "over"] {
            assert_eq!(quoted(plain), plain);
        }
        for other in ["A", "a$", "1a", "select", "user", "between", "left"] {
            assert_eq!(quoted(other), format!("\"{other}\""));
        }
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
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
