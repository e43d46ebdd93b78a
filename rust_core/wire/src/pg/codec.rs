//! Messages of PostgreSQL's protocol 3.0: the frontend's are read, the backend's are written.
//!
//! Lengths are checked before memory is taken. Nothing here panics on input. A length or a type that
//! cannot be is `Malformed` and ends the connection, for nobody knows where the next message begins;
//! a whole message with something wrong inside is `Frontend::Wrong`, an error like another.

use phantom_base::bytes::{Reader, Truncated};
use phantom_base::{Error, Severity, sqlstate};
use phantom_types::format::validate_utf8;

/// The longest message of a client that has logged in, in bytes, its length field included.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// The longest first message of a client, before it is known: memory before trust.
pub const STARTUP_BYTES_MAX: usize = 10 << 10;

/// Bytes that are no message: `08P01`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

impl From<Truncated> for Malformed {
    fn from(_: Truncated) -> Self {
        Self("insufficient data left in message".into())
    }
}

impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Self {
        Error::new(sqlstate::PROTOCOL_VIOLATION, malformed.0).with_severity(Severity::Fatal)
    }
}

/// The first message of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Startup {
    /// SSLRequest or GSSENCRequest: may we encrypt?
    Encrypt,
    /// A new session with its parameters, in the order they came.
    Begin {
        /// The protocol's minor version.
        minor: u16,
        /// Names and values.
        parameters: Vec<(String, String)>,
    },
    /// Ends the running statement of another session.
    Cancel {
        /// The session that BackendKeyData named.
        pid: u32,
        /// Its secret.
        secret: u32,
    },
}

/// A message of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frontend {
    /// Simple query: a text of any number of statements.
    Query(String),
    /// Names and parses one statement.
    Parse {
        /// The statement's name; empty is the unnamed one.
        name: String,
        /// The statement.
        text: String,
        /// Type OIDs of the first parameters; 0 is "infer".
        parameter_types: Vec<u32>,
    },
    /// Makes a portal of a statement and values.
    Bind(Bind),
    /// Asks for the shape of a statement or portal.
    Describe(Target, String),
    /// Runs a portal for at most so many rows; 0 is all.
    Execute {
        /// The portal's name.
        portal: String,
        /// The row limit.
        rows_max: u32,
    },
    /// Forgets a statement or portal.
    Close(Target, String),
    /// Asks for everything that is ready to be sent.
    Flush,
    /// Ends the implicit transaction and the skipping after an error.
    Sync,
    /// Ends the session.
    Terminate,
    /// Messages of COPY, which no statement of ours asks for.
    Copy,
    /// A whole message with something wrong inside.
    Wrong {
        /// What.
        error: Error,
        /// Whether it is of the extended protocol, where what follows is skipped to a Sync.
        is_extended: bool,
        /// Whether it is a Sync, which ends that skipping however wrong it is.
        is_sync: bool,
    },
}

/// A Bind message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// The portal's name; empty is the unnamed one.
    pub portal: String,
    /// The statement's name.
    pub statement: String,
    /// Format codes of the values: none, one for all, or one each.
    pub formats: Vec<i16>,
    /// The values; `None` is NULL.
    pub values: Vec<Option<Vec<u8>>>,
    /// Format codes of the results: none, one for all, or one each.
    pub result_formats: Vec<i16>,
}

/// What Describe and Close are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A prepared statement.
    Statement,
    /// A portal.
    Portal,
}

/// Takes one startup message off the front of `input`: the message and its length in bytes, or
/// `None` if more bytes are needed.
///
/// # Errors
/// `08P01` for a length or content that no client sends; `0A000` for another major version.
pub fn read_startup(input: &[u8]) -> Result<Option<(Startup, usize)>, Error> {
    let Some(length) = input.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    if !(8..=STARTUP_BYTES_MAX).contains(&length) {
        return Err(Malformed("invalid length of startup packet".into()).into());
    }
    let Some(message) = input.get(..length) else { return Ok(None) };
    let mut reader = Reader::new(message.get(4..).unwrap_or_default());
    let startup = match reader.u32_be().map_err(Malformed::from)? {
        0x04D2_162F | 0x04D2_1630 => Startup::Encrypt,
        0x04D2_162E => {
            let pid = reader.u32_be().map_err(Malformed::from)?;
            Startup::Cancel { pid, secret: reader.u32_be().map_err(Malformed::from)? }
        }
        version if version >> 16 == 3 => {
            let minor = (version & 0xFFFF) as u16;
            Startup::Begin { minor, parameters: read_parameters(&mut reader)? }
        }
        version => {
            let message = format!(
                "unsupported frontend protocol {}.{}: server supports 3.0 to 3.0",
                version >> 16,
                version & 0xFFFF
            );
            let error = Error::new(sqlstate::FEATURE_NOT_SUPPORTED, message);
            return Err(error.with_severity(Severity::Fatal));
        }
    };
    Ok(Some((startup, length)))
}

fn read_parameters(reader: &mut Reader<'_>) -> Result<Vec<(String, String)>, Error> {
    let mut parameters = Vec::new();
    loop {
        let name = read_text(reader)?;
        if name.is_empty() {
            break;
        }
        parameters.push((name, read_text(reader)?));
    }
    if reader.is_empty() {
        return Ok(parameters);
    }
    Err(Malformed("invalid startup packet layout: expected terminator as last byte".into()).into())
}

/// Takes one message off the front of `input`: the message and its length in bytes, or `None` if
/// more bytes are needed.
///
/// # Errors
/// `08P01` for what is no message; `54000` for one over `MESSAGE_BYTES_MAX`. Both are FATAL.
pub fn read_message(input: &[u8]) -> Result<Option<(Frontend, usize)>, Error> {
    let Some([kind, length @ ..]) = input.first_chunk::<5>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    if !is_known(*kind) {
        return Err(Malformed(format!("invalid frontend message type {kind}")).into());
    }
    if length < 4 {
        return Err(Malformed("invalid message length".into()).into());
    }
    if length > MESSAGE_BYTES_MAX {
        let message = format!("message of {length} bytes is longer than {MESSAGE_BYTES_MAX}");
        let error = Error::new(sqlstate::PROGRAM_LIMIT_EXCEEDED, message);
        return Err(error.with_severity(Severity::Fatal));
    }
    let Some(body) = input.get(5..=length) else { return Ok(None) };
    let message = read_body(*kind, body).unwrap_or_else(|error| Frontend::Wrong {
        error: error.with_severity(Severity::Error),
        is_extended: matches!(kind, b'P' | b'B' | b'D' | b'E' | b'C' | b'H'),
        is_sync: *kind == b'S',
    });
    Ok(Some((message, length + 1)))
}

fn is_known(kind: u8) -> bool {
    matches!(
        kind,
        b'Q' | b'P' | b'B' | b'D' | b'E' | b'C' | b'H' | b'S' | b'X' | b'd' | b'c' | b'f' | b'F'
    )
}

fn read_body(kind: u8, body: &[u8]) -> Result<Frontend, Error> {
    let reader = &mut Reader::new(body);
    let message = match kind {
        b'Q' => Frontend::Query(read_text(reader)?),
        b'P' => Frontend::Parse {
            name: read_text(reader)?,
            text: read_text(reader)?,
            parameter_types: read_counted(reader, |r| Ok(r.u32_be().map_err(Malformed::from)?))?,
        },
        b'B' => Frontend::Bind(Bind {
            portal: read_text(reader)?,
            statement: read_text(reader)?,
            formats: read_counted(reader, read_format)?,
            values: read_counted(reader, read_value)?,
            result_formats: read_counted(reader, read_format)?,
        }),
        b'D' => Frontend::Describe(read_target(reader)?, read_text(reader)?),
        b'C' => Frontend::Close(read_target(reader)?, read_text(reader)?),
        b'E' => {
            let portal = read_text(reader)?;
            // A negative limit means all rows, as zero does.
            let rows_max = u32::try_from(reader.i32_be().map_err(Malformed::from)?).unwrap_or(0);
            Frontend::Execute { portal, rows_max }
        }
        b'H' => Frontend::Flush,
        b'S' => Frontend::Sync,
        b'X' => return Ok(Frontend::Terminate),
        b'F' => return Err(Error::unsupported("calling a function by its OID")),
        _ => return Ok(Frontend::Copy),
    };
    if !reader.is_empty() {
        return Err(Malformed("invalid message format".into()).into());
    }
    Ok(message)
}

fn read_text(reader: &mut Reader<'_>) -> Result<String, Error> {
    let rest = reader.rest();
    let end = rest
        .iter()
        .position(|byte| *byte == 0)
        .ok_or_else(|| Malformed("invalid string in message".into()))?;
    let bytes = reader.take(end).map_err(Malformed::from)?;
    reader.take(1).map_err(Malformed::from)?;
    Ok(validate_utf8(bytes)?.to_owned())
}

fn read_counted<T>(
    reader: &mut Reader<'_>,
    mut read: impl FnMut(&mut Reader<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let count = reader.u16_be().map_err(Malformed::from)?;
    (0..count).map(|_| read(reader)).collect()
}

fn read_format(reader: &mut Reader<'_>) -> Result<i16, Error> {
    match reader.i16_be().map_err(Malformed::from)? {
        code @ (0 | 1) => Ok(code),
        code => {
            let message = format!("unsupported format code: {code}");
            Err(Error::new(sqlstate::INVALID_PARAMETER_VALUE, message))
        }
    }
}

fn read_value(reader: &mut Reader<'_>) -> Result<Option<Vec<u8>>, Error> {
    match reader.i32_be().map_err(Malformed::from)? {
        -1 => Ok(None),
        length => {
            let length = usize::try_from(length)
                .map_err(|_| Malformed(format!("invalid length {length} of a value")))?;
            Ok(Some(reader.take(length).map_err(Malformed::from)?.to_vec()))
        }
    }
}

fn read_target(reader: &mut Reader<'_>) -> Result<Target, Error> {
    match reader.u8().map_err(Malformed::from)? {
        b'S' => Ok(Target::Statement),
        b'P' => Ok(Target::Portal),
        other => Err(Malformed(format!("invalid DESCRIBE or CLOSE subtype {other}")).into()),
    }
}

/// Appends a backend message: its type, its length, and what `body` writes.
pub fn write_message(out: &mut Vec<u8>, kind: u8, body: impl FnOnce(&mut Vec<u8>)) {
    out.push(kind);
    let length_at = out.len();
    out.extend_from_slice(&[0; 4]);
    body(out);
    let length = u32::try_from(out.len() - length_at).expect("a backend message is under 4 GiB");
    out.get_mut(length_at..length_at + 4)
        .expect("the length was pushed above")
        .copy_from_slice(&length.to_be_bytes());
}

/// Appends text and its closing zero byte.
pub fn write_text(out: &mut Vec<u8>, text: &str) {
    // A zero byte would end the field early; no text of ours holds one, for input is refused.
    out.extend(text.bytes().filter(|byte| *byte != 0));
    out.push(0);
}

/// Appends an ErrorResponse, or a NoticeResponse for what is not an error.
pub fn write_error(out: &mut Vec<u8>, error: &Error) {
    let kind = if error.severity >= Severity::Error { b'E' } else { b'N' };
    write_message(out, kind, |out| {
        let position = if error.position == 0 { String::new() } else { error.position.to_string() };
        let place = &error.place;
        let (line, routine) = if place.file.is_empty() {
            (String::new(), String::new())
        } else {
            (place.line.to_string(), place.shown_routine())
        };
        let fields: [(u8, &str); 15] = [
            (b'S', error.severity.as_str()),
            (b'V', error.severity.as_str()),
            (b'C', error.sqlstate.as_str()),
            (b'M', &error.message),
            (b'D', &error.detail),
            (b'H', &error.hint),
            (b'P', &position),
            (b's', &error.schema),
            (b't', &error.table),
            (b'c', &error.column),
            (b'd', &error.data_type),
            (b'n', &error.constraint),
            (b'F', &place.file),
            (b'L', &line),
            (b'R', &routine),
        ];
        for (field, text) in fields {
            if !text.is_empty() || field == b'M' {
                out.push(field);
                write_text(out, text);
            }
        }
        out.push(0);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write_message(&mut out, kind, |out| out.extend_from_slice(body));
        out
    }

    #[test]
    fn a_message_needs_all_its_bytes() {
        let whole = message(b'Q', b"select 1\0");
        for end in 0..whole.len() {
            assert_eq!(read_message(&whole[..end]), Ok(None), "{end}");
        }
        let read = read_message(&whole).expect("valid");
        assert_eq!(read, Some((Frontend::Query("select 1".into()), whole.len())));
    }

    #[test]
    fn lengths_are_checked_before_memory_is_taken() {
        let oversized = [b'Q', 0x7F, 0xFF, 0xFF, 0xFF];
        let error = read_message(&oversized).expect_err("too long");
        assert_eq!(error.sqlstate, sqlstate::PROGRAM_LIMIT_EXCEEDED);
        assert_eq!(error.severity, Severity::Fatal);
        for bad in [[b'Q', 0, 0, 0, 3], [b'?', 0, 0, 0, 4]] {
            let error = read_message(&bad).expect_err("no message");
            assert_eq!(error.sqlstate, sqlstate::PROTOCOL_VIOLATION);
        }
        assert!(read_startup(&[0, 1, 0, 0]).is_err(), "a first message is short");
        assert!(read_startup(&[0, 0, 0, 7]).is_err());
    }

    #[test]
    fn a_value_longer_than_its_message_is_malformed() {
        // A Bind with one value that claims 100 bytes.
        let body = b"\0\0\0\0\0\x01\0\0\0\x64ab\0\0";
        let (read, _) = read_message(&message(b'B', body)).expect("a message").expect("whole");
        let Frontend::Wrong { error, is_extended: true, .. } = read else { panic!("{read:?}") };
        assert_eq!(error.sqlstate, sqlstate::PROTOCOL_VIOLATION);
        assert_eq!(error.severity, Severity::Error, "the next message is where it should be");
    }

    #[test]
    fn any_bytes_are_read_or_refused() {
        use phantom_base::{Random, SeededRandom};
        let mut random = SeededRandom::new(3);
        for _ in 0..20_000 {
            let length = random.below(40) as usize;
            let body: Vec<u8> = (0..length).map(|_| random.below(7) as u8 * 37).collect();
            let kinds = b"QPBDECHSXdcfF";
            let kind = kinds[random.below(kinds.len() as u64) as usize];
            let _ = read_message(&message(kind, &body));
            let mut startup = ((length + 4) as u32).to_be_bytes().to_vec();
            startup.extend_from_slice(&body);
            let _ = read_startup(&startup);
        }
    }

    #[test]
    fn an_error_writes_only_the_fields_it_has() {
        let mut out = Vec::new();
        let error = Error::new(sqlstate::UNDEFINED_TABLE, "relation \"t\" does not exist");
        let error = error.with_position(15).with_routine("parserOpenTable");
        write_error(&mut out, &error);
        assert_eq!(out[0], b'E');
        let told = String::from_utf8_lossy(&out[5..]);
        let place = format!("F{}\0L{}\0RparserOpenTable\0\0", error.place.file, error.place.line);
        let what = "SERROR\0VERROR\0C42P01\0Mrelation \"t\" does not exist\0P15\0";
        assert_eq!(told, format!("{what}{place}"));
        assert!(told.contains("wire/src/pg/codec.rs"), "{told}");
    }
}
