//! The call into the grammar that is linked in with `pg_query`.
//!
//! The crate's own `parse` drops the position of an error, which clients show, so its C entry point
//! is called here: the only `unsafe` of this crate.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int};

use pg_query::protobuf;
use phantom_base::{Error, Result, sqlstate};
use prost::Message;

#[repr(C)]
struct CError {
    message: *const c_char,
    function: *const c_char,
    file: *const c_char,
    line: c_int,
    cursor: c_int,
    context: *const c_char,
}

#[repr(C)]
struct CBytes {
    len: usize,
    data: *const u8,
}

#[repr(C)]
struct CParseResult {
    tree: CBytes,
    stderr: *const c_char,
    error: *const CError,
}

unsafe extern "C" {
    fn pg_query_parse_protobuf_opts(input: *const c_char, options: c_int) -> CParseResult;
    fn pg_query_free_protobuf_parse_result(result: CParseResult);
}

/// Parses a text without zero bytes whose depth the guard has bounded.
pub(super) fn parse(text: &str) -> Result<protobuf::ParseResult> {
    let input = CString::new(text).expect("the caller refuses zero bytes");
    // SAFETY: `input` is a C string that outlives the call; the library copies what it keeps.
    let result = unsafe { pg_query_parse_protobuf_opts(input.as_ptr(), 0) };
    let parsed = if result.error.is_null() {
        // SAFETY: without an error the library returns `len` readable bytes at `data`, which live
        // until the result is freed below.
        let bytes = unsafe { std::slice::from_raw_parts(result.tree.data, result.tree.len) };
        protobuf::ParseResult::decode(bytes)
            .map_err(|error| Error::internal(format!("syntax tree does not decode: {error}")))
    } else {
        // SAFETY: a non-null error points at a struct whose message is a C string; both live until
        // the result is freed below.
        let (message, cursor) = unsafe {
            let error = &*result.error;
            (CStr::from_ptr(error.message).to_string_lossy().into_owned(), error.cursor)
        };
        let position = u32::try_from(cursor).unwrap_or(0);
        // PostgreSQL 15 does not say where a mark stands; newer ones do.
        let position = if is_of_marks(&message) { 0 } else { position };
        let error = Error::new(sqlstate_of(&message), message).with_position(position);
        Err(error.with_routine("scanner_yyerror"))
    };
    // SAFETY: `result` came from the library, and nothing borrowed from it is used after this.
    unsafe { pg_query_free_protobuf_parse_result(result) };
    parsed
}

/// The library hands over the message of an error but not its code. One that quotes the text is
/// `42601`, and so is any other but these, by how they begin or end.
fn sqlstate_of(message: &str) -> phantom_base::SqlState {
    let begins = |with: &[&str]| with.iter().any(|start| message.starts_with(start));
    if begins(&["memory exhausted", "stack depth", "parse tree is nested too deeply"]) {
        sqlstate::STATEMENT_TOO_COMPLEX
    } else if message.contains(" at or near ") || begins(&["LIMIT #,#"]) {
        sqlstate::SYNTAX_ERROR
    } else if begins(&["invalid Unicode escape"]) {
        sqlstate::INVALID_ESCAPE_SEQUENCE
    } else if begins(&["invalid byte sequence"]) {
        sqlstate::CHARACTER_NOT_IN_REPERTOIRE
    } else if begins(&["precision for type float", "unrecognized partitioning strategy"]) {
        sqlstate::INVALID_PARAMETER_VALUE
    } else if begins(&["frame "]) {
        sqlstate::WINDOWING_ERROR
    } else if message.contains("role name") {
        sqlstate::RESERVED_NAME
    } else if message.ends_with("hash partition provided more than once") {
        sqlstate::DUPLICATE_OBJECT
    } else if begins(&["current database cannot be changed"])
        || ["not supported", "not yet implemented"].iter().any(|part| message.contains(part))
        || is_of_marks(message)
    {
        sqlstate::FEATURE_NOT_SUPPORTED
    } else {
        sqlstate::SYNTAX_ERROR
    }
}

/// Whether an error is of DEFERRABLE, NOT VALID or NO INHERIT on what takes none.
fn is_of_marks(message: &str) -> bool {
    message.contains("constraints cannot be marked ")
}
