//! The thread on the machine's sockets, with the core's real workers: one node, its clients by TCP and
//! by a path, and a control plane on a thread of its own.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use phantom_base::{Clock, NodeId, SeededRandom, Spawner};
use phantom_node::control::NodeSettings;
use phantom_node::core::NodeCore;
use phantom_node::replication::{Formation, FormedMember, form};
use phantom_node::runtime::Runtime;
use phantom_node::runtime::real::{RealClock, RealSpawner};
use phantom_reactor::doors::{Kind, Limits, Security};
use phantom_reactor::thread::{Listening, Reactor, World};
use phantom_reactor::traffic::{Event, Verb};
use phantom_vfs::{SimFs, Vfs};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::client::{message, query, startup};
use crate::control::plan;

/// How long anything may take before the test is called failed.
const PATIENCE: Duration = Duration::from_secs(60);

struct Served {
    reactor: Arc<Reactor>,
    pg: SocketAddr,
    peer: SocketAddr,
    path: PathBuf,
}

/// Answers events until the reactor has ended.
fn control(reactor: &Reactor) {
    loop {
        let fd = reactor.wakefd();
        let timeout = Timespec { tv_sec: 1, tv_nsec: 0 };
        let _ = poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&timeout));
        let mut verbs = Vec::new();
        for event in reactor.take_events(256) {
            match event {
                Event::ElectionDue(groups) => verbs.push(Verb::Campaign(groups)),
                Event::Session(session, event, "plan", body) => {
                    verbs.push(Verb::Resume(session, event, plan(&body)));
                }
                Event::First { conn, message, .. } => verbs.push(Verb::Say(conn, message)),
                _ => {}
            }
        }
        if !verbs.is_empty() {
            reactor.post(verbs);
        }
        if reactor.end().is_some() {
            return;
        }
    }
}

fn serve(name: &str) -> Served {
    let fs: Arc<dyn Vfs> = Arc::new(SimFs::new(1));
    let dir = Path::new("data");
    let member = FormedMember { node: NodeId(1), name: "n1".into(), address: String::new() };
    let formation = Formation { cluster: 1, node: NodeId(1), members: vec![member] };
    form(&fs, dir, &formation, b"").unwrap();
    let path = std::env::temp_dir().join(format!("phantom-{name}-{}.sock", std::process::id()));
    let local = UnixListener::bind(&path).unwrap();
    let (pg, peer) = [(), ()].map(|()| TcpListener::bind("127.0.0.1:0").unwrap()).into();
    let addresses = (pg.local_addr().unwrap(), peer.local_addr().unwrap());
    let listening = |socket: OwnedFd, kind| Listening { socket, kind };
    let doors = vec![
        listening(pg.into(), Kind::Clients),
        listening(local.into(), Kind::Clients),
        listening(peer.into(), Kind::Peers),
    ];
    let clock: Arc<dyn Clock> = Arc::new(RealClock::new());
    let world = World {
        clock: Arc::clone(&clock),
        random: Box::new(SeededRandom::new(2)),
        end_process: |error| panic!("{error:?}"),
    };
    let reactor =
        Reactor::start(doors, Limits::default(), Security::default(), world, &RealSpawner).unwrap();
    let runtime = Arc::new(Runtime::threads(Arc::new(RealSpawner), 2).unwrap());
    let settings = NodeSettings {
        memory_bytes: 16 << 20,
        cores: 2,
        sessions_max: 100,
        sql_memory_bytes: 64 << 20,
    };
    let random = Box::new(SeededRandom::new(1));
    let core = NodeCore::open(fs, dir, &settings, Arc::clone(&runtime), clock, random).unwrap();
    reactor.attach(core, runtime);
    reactor.post(vec![Verb::OpenClients]);
    let reactor = Arc::new(reactor);
    let controlled = Arc::clone(&reactor);
    RealSpawner.spawn("control", 0, Box::new(move || control(&controlled)));
    Served { reactor, pg: addresses.0, peer: addresses.1, path }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.reactor.stop(PATIENCE).unwrap();
        let _ = rustix::fs::unlink(&self.path);
    }
}

impl Served {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.pg).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

/// Reads whole messages until the client may go on: their kinds.
fn until_ready(stream: &mut impl Read) -> String {
    let mut kinds = String::new();
    while !kinds.ends_with('Z') {
        let mut head = [0; 5];
        stream.read_exact(&mut head).unwrap();
        let length = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize;
        let mut body = vec![0; length - 4];
        stream.read_exact(&mut body).unwrap();
        kinds.push(char::from(head[0]));
    }
    kinds
}

#[test]
fn clients_are_answered_by_tcp_and_by_a_path() {
    let served = serve("answers");
    let mut stream = served.connect();
    stream.write_all(&startup()).unwrap();
    assert!(until_ready(&mut stream).starts_with('R'));
    stream
        .write_all(&[query("SELECT 1"), query("SELECT 1/0"), query("SELECT 2")].concat())
        .unwrap();
    assert_eq!([(); 3].map(|()| until_ready(&mut stream)), ["TDCZ", "EZ", "TDCZ"]);
    let mut local = UnixStream::connect(&served.path).unwrap();
    local.set_read_timeout(Some(PATIENCE)).unwrap();
    local.write_all(&[startup(), query("SELECT 1")].concat()).unwrap();
    until_ready(&mut local);
    assert_eq!(until_ready(&mut local), "TDCZ");
}

#[test]
fn a_large_answer_comes_whole_to_a_client_that_reads_late() {
    let served = serve("large");
    let mut stream = served.connect();
    let wide = query(&format!("SELECT repeat('x', {})", 8 << 20));
    stream.write_all(&[startup(), wide, query("SELECT 1")].concat()).unwrap();
    // Another is served while that one waits to be read.
    let mut other = served.connect();
    other.write_all(&[startup(), query("SELECT 1")].concat()).unwrap();
    until_ready(&mut other);
    until_ready(&mut other);
    until_ready(&mut stream);
    assert_eq!([(); 2].map(|()| until_ready(&mut stream)), ["TDCZ", "TDCZ"]);
}

#[test]
fn a_client_that_closes_its_half_and_one_that_misspeaks_hear_the_end() {
    let served = serve("ends");
    let mut half = served.connect();
    half.write_all(&[startup(), query("SELECT 1")].concat()).unwrap();
    half.shutdown(std::net::Shutdown::Write).unwrap();
    until_ready(&mut half);
    assert_eq!(until_ready(&mut half), "TDCZ");
    assert_eq!(half.read(&mut [0; 8]).unwrap(), 0);
    let mut rude = served.connect();
    rude.write_all(&startup()).unwrap();
    until_ready(&mut rude);
    rude.write_all(&[message(b'!', b"what"), vec![0; 1 << 20]].concat()).unwrap();
    let mut last = Vec::new();
    rude.read_to_end(&mut last).unwrap();
    assert_eq!(last[0], b'E', "no reset takes the last words along");
}

#[test]
fn many_clients_at_once_are_all_answered() {
    let served = serve("many");
    let mut streams: Vec<_> = (0..90).map(|_| served.connect()).collect();
    for stream in &mut streams {
        stream.write_all(&startup()).unwrap();
    }
    for _ in 0..20 {
        for stream in &mut streams {
            stream.write_all(&query("SELECT 1")).unwrap();
        }
    }
    for stream in &mut streams {
        (0..21).for_each(|_| drop(until_ready(stream)));
    }
}

#[test]
fn a_message_at_the_peer_door_reaches_the_control_plane_and_its_answer_comes_back() {
    let served = serve("peers");
    let mut stream = TcpStream::connect(served.peer).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let said = [&9_u32.to_be_bytes()[..], b"who's it?"].concat();
    for byte in &said {
        stream.write_all(&[*byte]).unwrap();
    }
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).unwrap();
    assert_eq!(heard, said);
}

#[test]
fn an_idle_client_hears_of_a_drain() {
    let served = serve("drained");
    let mut stream = served.connect();
    stream.write_all(&startup()).unwrap();
    until_ready(&mut stream);
    served.reactor.post(vec![Verb::Drain(60_000_000_000)]);
    let mut last = Vec::new();
    stream.read_to_end(&mut last).unwrap();
    assert!(String::from_utf8_lossy(&last).contains("C57P01\0"));
}
