//! PostgreSQL's types: values, formats, operators, casts, row and key codecs.
