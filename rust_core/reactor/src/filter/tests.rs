//! Two sides over pipes of memory, whose bytes are cut at every place.

use std::sync::Arc;

use phantom_base::{Clock, Nanos, sqlstate};
use rustls::{SupportedProtocolVersion, version};

use super::*;
use authority::{Authority, Wanted, client};

#[path = "../../tests/kit/authority.rs"]
mod authority;

/// The year 2030.
struct Then;

impl Clock for Then {
    fn wall_ns(&self) -> Nanos {
        1_893_456_000_000_000_000
    }

    fn monotonic_ns(&self) -> Nanos {
        0
    }
}

fn read(pem: &Pem) -> Result<Certificates, phantom_base::Error> {
    Certificates::read(pem, Arc::new(Then))
}

fn node(authority: &Authority, name: &str) -> Arc<Certificates> {
    Arc::new(read(&authority.sign(&Wanted::node(name))).unwrap())
}

/// One side: what it hears, what it has for the wire, and how it ended.
struct Side {
    filter: Filter,
    plain: Vec<u8>,
    wire_out: Vec<u8>,
    error: Option<io::Error>,
}

impl Side {
    fn new(mut filter: Filter) -> Self {
        let mut wire_out = Vec::new();
        filter.begin(&mut wire_out);
        Self { filter, plain: Vec::new(), wire_out, error: None }
    }

    fn hear(&mut self, wire: &[u8]) {
        if self.error.is_none() {
            self.error = self.filter.receive(wire, &mut self.plain, &mut self.wire_out).err();
        }
    }

    fn say(&mut self, plain: &[u8]) {
        self.filter.say(plain, &mut self.wire_out);
    }

    fn is_open(&self) -> bool {
        self.filter.encryption().is_some_and(Tls::is_open)
    }

    fn other(&self) -> Option<&str> {
        self.filter.encryption()?.other().map(|it| it.name.as_str())
    }
}

/// Carries what one side has for the wire to the other, in pieces of at most `piece`.
fn pass(from: &mut Side, to: &mut Side, piece: usize) {
    let out = std::mem::take(&mut from.wire_out);
    out.chunks(piece).for_each(|bytes| to.hear(bytes));
}

/// Carries bytes both ways until nothing moves.
fn carry(left: &mut Side, right: &mut Side, piece: usize) {
    while !left.wire_out.is_empty() || !right.wire_out.is_empty() {
        pass(left, right, piece);
        pass(right, left, piece);
    }
}

fn peers(dials: &Certificates, answers: &Certificates) -> (Side, Side) {
    (Side::new(Filter::tls(dials.dial_side())), Side::new(Filter::tls(answers.peer_side())))
}

const V13: &[&SupportedProtocolVersion] = &[&version::TLS13];
const V12: &[&SupportedProtocolVersion] = &[&version::TLS12];

#[test]
fn two_nodes_hear_what_the_other_says_however_the_wire_is_cut() {
    let authority = Authority::new();
    let (one, two) = (node(&authority, "n1"), node(&authority, "n2"));
    let long: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
    for piece in [1, 2, 3, 5, 7, 100, 4_096, 5_000, 16_384, 1 << 20] {
        let (mut left, mut right) = peers(&one, &two);
        left.say(b"before the handshake");
        assert!(left.filter.holds());
        carry(&mut left, &mut right, piece);
        assert!(left.is_open() && right.is_open() && !left.filter.holds());
        assert_eq!((left.other(), right.other()), (Some("n2"), Some("n1")));
        assert_eq!(right.plain, b"before the handshake");
        right.say(&long);
        carry(&mut left, &mut right, piece);
        assert!(left.plain == long, "pieces of {piece}");
    }
}

#[test]
fn an_end_is_known_from_a_cut() {
    let authority = Authority::new();
    let (one, two) = (node(&authority, "n1"), node(&authority, "n2"));
    let (mut left, mut right) = peers(&one, &two);
    carry(&mut left, &mut right, 1 << 20);
    left.say(b"last words");
    left.filter.finish(&mut left.wire_out);
    left.say(b"not these");
    let wire = std::mem::take(&mut left.wire_out);
    for byte in &wire {
        let cut = right.filter.end().unwrap_err();
        assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof);
        right.hear(&[*byte]);
    }
    assert_eq!(right.plain, b"last words");
    assert!(right.filter.has_ended() && right.filter.end().is_ok());
    // The other way is open still, and whatever follows the end was said by somebody else.
    right.hear(b"from the street");
    right.say(b"an answer");
    carry(&mut left, &mut right, 1 << 20);
    assert_eq!(
        (left.plain.as_slice(), right.plain.as_slice()),
        (&b"an answer"[..], &b"last words"[..])
    );
    assert!(left.error.is_none() && right.error.is_none());
}

#[test]
fn a_handshake_that_is_cut_anywhere_is_broken_and_opens_nothing() {
    let authority = Authority::new();
    let (one, two) = (node(&authority, "n1"), node(&authority, "n2"));
    let (mut left, mut right) = peers(&one, &two);
    let pass = |from: &mut Side, to: &mut Side| {
        for byte in std::mem::take(&mut from.wire_out) {
            assert!(to.filter.end().is_err(), "an end in the middle");
            to.hear(&[byte]);
        }
    };
    while !(left.is_open() && right.is_open()) {
        pass(&mut left, &mut right);
        pass(&mut right, &mut left);
    }
    assert!(left.plain.is_empty() && right.plain.is_empty());
}

#[test]
fn a_byte_that_is_changed_is_never_read() {
    let authority = Authority::new();
    let (one, two) = (node(&authority, "n1"), node(&authority, "n2"));
    let (mut left, mut right) = peers(&one, &two);
    carry(&mut left, &mut right, 1 << 20);
    left.say(b"transfer 1 to bob");
    let mut wire = std::mem::take(&mut left.wire_out);
    *wire.last_mut().unwrap() ^= 1;
    right.hear(&wire);
    assert!(right.error.is_some() && right.plain.is_empty());
    assert!(!right.wire_out.is_empty(), "the other side is told");
}

/// Why a handshake of two nodes fails, as each side says it.
fn refusals(dials: &Certificates, answers: &Certificates) -> (String, String) {
    let (mut left, mut right) = peers(dials, answers);
    left.say(b"secret");
    right.say(b"secret");
    carry(&mut left, &mut right, 1 << 20);
    assert!(!(left.is_open() && right.is_open()) || left.error.is_some());
    assert!(right.plain.is_empty() && left.plain.is_empty(), "nothing was read");
    (left.error.unwrap().to_string(), right.error.unwrap().to_string())
}

#[test]
fn a_stranger_is_no_peer() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (one, other) = (node(&authority, "n1"), node(&stranger, "n2"));
    let (_, heard) = refusals(&one, &other);
    assert!(heard.contains("the other side refuses"), "{heard}");
    let (why, _) = refusals(&other, &one);
    assert_eq!(why, "the certificate is of another authority");
}

#[test]
fn a_node_of_another_cluster_under_the_same_authority_is_no_peer() {
    let authority = Authority::new();
    let one = node(&authority, "n1");
    let other = read(&authority.sign(&Wanted { cluster: "shop", ..Wanted::node("n2") })).unwrap();
    let (why, _) = refusals(&one, &other);
    assert_eq!(why, "n2 is of cluster \"shop\"");
    refusals(&other, &one);
}

#[test]
fn plain_bytes_at_an_encrypted_door_are_refused() {
    let two = node(&Authority::new(), "n2");
    let mut side = Side::new(Filter::tls(two.peer_side()));
    side.hear(b"\0\0\0\x08plain is what I speak");
    assert!(side.error.is_some() && side.plain.is_empty());
}

/// What is said of files.
fn complaint(pem: &Pem) -> String {
    let error = read(pem).unwrap_err();
    assert_eq!(error.sqlstate, sqlstate::CONFIG_FILE_ERROR);
    error.to_string()
}

#[test]
fn files_that_would_not_do_are_named() {
    let authority = Authority::new();
    let good = authority.sign(&Wanted::node("n1"));
    assert_eq!(read(&good).unwrap().own().name, "n1");
    let ends = authority.sign(&Wanted { years: (2000, 2031), ..Wanted::node("n1") });
    assert_eq!(read(&ends).unwrap().left().as_secs(), 365 * 86_400);

    let other = authority.sign(&Wanted::node("n1"));
    let mixed = Pem { key: other.key, ..good.clone() };
    assert!(complaint(&mixed).contains("it is not that of node.crt"), "{}", complaint(&mixed));
    let foreign =
        Pem { authority: Authority::new().sign(&Wanted::node("n")).authority, ..good.clone() };
    assert!(complaint(&foreign).contains("node.crt would be refused"));
    let client = authority.sign(&Wanted::client("alice"));
    assert!(complaint(&client).contains("node.crt would be refused"));
    let late = authority.sign(&Wanted { years: (2020, 2029), ..Wanted::node("n1") });
    assert!(complaint(&late).contains("has expired"), "{}", complaint(&late));
    let early = authority.sign(&Wanted { years: (2031, 2035), ..Wanted::node("n1") });
    assert!(complaint(&early).contains("not valid yet"));

    let empty = |field: &str| match field {
        "crt" => Pem { certificate: Vec::new(), ..good.clone() },
        "key" => Pem { key: Vec::new(), ..good.clone() },
        _ => Pem { authority: Vec::new(), ..good.clone() },
    };
    assert!(complaint(&empty("crt")).contains("node.crt holds no certificate"));
    assert!(complaint(&empty("key")).contains("node.key holds no key"));
    assert!(complaint(&empty("ca")).contains("ca.crt holds no certificate"));
    for at in 0..good.certificate.len() {
        let cut = Pem { certificate: good.certificate[..at].to_vec(), ..good.clone() };
        // The last line's end may be missing.
        assert!(read(&cut).is_err() || at + 2 >= good.certificate.len(), "{at}");
    }
}

#[test]
fn a_client_asks_first_and_encrypts_then() {
    let authority = Authority::new();
    let own = node(&authority, "n1");
    let alice = authority.sign(&Wanted::client("alice"));
    for versions in [V13, V12] {
        for (shown, name) in [(None, None), (Some(&alice), Some("alice"))] {
            for piece in [1, 3, 8, 1 << 20] {
                let mut door = Side::new(Filter::knock(&own));
                knock::SSL.chunks(piece).for_each(|bytes| door.hear(bytes));
                assert_eq!(std::mem::take(&mut door.wire_out), b"S");
                let mut side = Side::new(Filter::tls(client(&alice, shown, versions, &[])));
                side.say(b"startup");
                carry(&mut side, &mut door, piece);
                assert_eq!((door.plain.as_slice(), door.other()), (&b"startup"[..], name));
            }
        }
    }
}

#[test]
fn a_client_may_encrypt_at_once_if_it_names_the_protocol() {
    let authority = Authority::new();
    let own = node(&authority, "n1");
    let pem = authority.sign(&Wanted::client("alice"));
    let protocols: [(&[&[u8]], bool); 4] = [
        (&[b"postgresql"], true),
        (&[b"h2", b"postgresql"], true),
        (&[], false),
        (&[b"h2"], false),
    ];
    for (named, opens) in protocols {
        let mut door = Side::new(Filter::knock(&own));
        let mut side = Side::new(Filter::tls(client(&pem, None, V13, named)));
        side.say(b"startup");
        carry(&mut side, &mut door, 1);
        assert_eq!((door.is_open(), door.error.is_none()), (opens, opens), "{named:?}");
        assert_eq!(door.plain, if opens { &b"startup"[..] } else { b"" });
    }
}

#[test]
fn a_client_with_a_bad_certificate_is_refused() {
    let authority = Authority::new();
    let own = node(&authority, "n1");
    let good = authority.sign(&Wanted::client("alice"));
    let foreign = Authority::new().sign(&Wanted::client("alice"));
    let late = authority.sign(&Wanted { years: (2020, 2029), ..Wanted::client("alice") });
    let nameless = authority.sign(&Wanted { name: "", ..Wanted::client("") });
    for bad in [foreign, late, nameless] {
        for versions in [V13, V12] {
            let mut door = Side::new(Filter::knock(&own));
            door.hear(&knock::SSL);
            door.wire_out.clear();
            let mut side = Side::new(Filter::tls(client(&good, Some(&bad), versions, &[])));
            side.say(b"startup");
            carry(&mut side, &mut door, 1 << 20);
            assert!(door.error.is_some() && door.plain.is_empty());
        }
    }
}

#[test]
fn what_is_plain_goes_on_as_it_came() {
    let own = node(&Authority::new(), "n1");
    let startup = b"\0\0\0\x13\0\x03\0\0user\0alice\0\0";
    let cancel = b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x01\0\0\0\x02";
    // Who says more than the question does not wait for the answer, and is the session's to refuse.
    let hasty = [&knock::SSL[..], startup].concat();
    for said in [&startup[..], cancel, &hasty] {
        for piece in [9, 100] {
            let mut door = Side::new(Filter::knock(&own));
            said.chunks(piece).for_each(|bytes| door.hear(bytes));
            assert_eq!(door.plain, said);
            assert!(door.wire_out.is_empty() && door.filter.is_plain());
        }
    }
}

#[test]
fn a_client_that_was_declined_another_encryption_may_have_this_one() {
    let own = node(&Authority::new(), "n1");
    let mut door = Side::new(Filter::knock(&own));
    door.hear(&knock::GSS[..5]);
    assert!(door.plain.is_empty());
    door.hear(&knock::GSS[5..]);
    assert_eq!(std::mem::take(&mut door.plain), knock::GSS);
    door.say(b"N");
    assert_eq!(std::mem::take(&mut door.wire_out), b"N");
    door.hear(&knock::SSL);
    assert_eq!(door.wire_out, b"S");
}

#[test]
fn plain_bytes_behind_the_question_are_never_read_as_encrypted() {
    let own = node(&Authority::new(), "n1");
    let mut door = Side::new(Filter::knock(&own));
    door.hear(&knock::SSL);
    door.wire_out.clear();
    door.hear(b"\0\0\0\x13\0\x03\0\0user\0alice\0\0");
    assert!(door.error.is_some() && door.plain.is_empty());
}
