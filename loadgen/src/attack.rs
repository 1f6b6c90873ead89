//! Clients that misbehave, in bounds: what a server meets on a bad day.
//!
//! Only against this machine itself, only for a stated time, and only with a
//! stated part of one core, so that a run says something about the server and
//! not about a generator that takes all there is. Each kind of attacker has an
//! address of its own in 127.0.0.0/8, as different people have.
//!
//! ```text
//!  slow     127.0.1.1   a byte of the request each second
//!  deaf     127.0.1.2   in a room that others fill, and never reads
//!  flood    127.0.1.3   events as fast as its part of the core lets it
//!  garbage  127.0.1.4   bytes that are nothing, before and after the handshake
//!  reset    127.0.1.5   connects to a namespace and resets the connection
//!  storm    127.0.1.6   hundreds at once, who all go and all come back
//! ```

use std::cell::RefCell;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::rc::Rc;
use std::time::Duration;

use parlor::client::Random;
use parlor::websocket::{Opcode, encode};
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::Instant;

use crate::args::Attack;
use crate::resources;

/// How many of each kind there are at a time.
const COUNTS: [(Kind, u32); 6] = [
    (Kind::Slow, 200),
    (Kind::Deaf, 50),
    (Kind::Flood, 20),
    (Kind::Garbage, 20),
    (Kind::Reset, 20),
    (Kind::Storm, 300),
];

/// So long an attacker waits for an answer, and before it comes again.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);
const STORM_EVERY: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Slow,
    Deaf,
    Flood,
    Garbage,
    Reset,
    Storm,
}

/// What the attackers of one kind did, and what they met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Deeds {
    /// Connections that stood.
    connections: u64,
    /// Connections that did not come about.
    refused: u64,
    /// Bytes that the server took.
    bytes: u64,
    /// Connections that the server ended.
    ended_by_server: u64,
}

/// What a run of attackers did.
#[derive(Debug, Serialize)]
struct Account {
    seconds: f64,
    /// Of one core, user and system.
    cpu_share: f64,
    slow: Deeds,
    deaf: Deeds,
    flood: Deeds,
    garbage: Deeds,
    reset: Deeds,
    storm: Deeds,
}

/// What all attackers share.
struct Siege {
    server: SocketAddr,
    begin: Instant,
    end: Instant,
    cpu_share_max: f64,
    deeds: RefCell<[Deeds; COUNTS.len()]>,
    random: RefCell<Random>,
}

/// Attacks, and says what became of it as one line of JSON.
///
/// # Errors
///
/// A sentence that says what to do.
pub(crate) fn run(attack: &Attack) -> Result<String, String> {
    let address = crate::target::Target::parse(&attack.url)
        .map_err(|error| error.to_string())?
        .resolve()
        .map_err(|error| format!("cannot look up {}: {error}", attack.url))?;
    let SocketAddr::V4(server) = address else {
        return Err("attacks are for 127.0.0.0/8; name a server there".to_owned());
    };
    if !server.ip().is_loopback() {
        return Err("attacks are for servers on this machine; name one in 127.0.0.0/8".to_owned());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the operating system refuses what a run needs: {error}"))?;
    let cpu_before = resources::process_cpu();
    let siege = LocalSet::new().block_on(&runtime, lay(attack, server));
    let time = siege.begin.elapsed();
    let cpu = resources::process_cpu() - cpu_before;
    let [slow, deaf, flood, garbage, reset, storm] = *siege.deeds.borrow();
    let account = Account {
        seconds: time.as_secs_f64(),
        cpu_share: cpu.as_secs_f64() / time.as_secs_f64(),
        slow,
        deaf,
        flood,
        garbage,
        reset,
        storm,
    };
    let mut json = serde_json::to_string(&account).expect("an account has string keys");
    json.push('\n');
    Ok(json)
}

async fn lay(attack: &Attack, server: SocketAddrV4) -> Rc<Siege> {
    let begin = Instant::now();
    let siege = Rc::new(Siege {
        server: server.into(),
        begin,
        end: begin + attack.duration,
        cpu_share_max: attack.cpu,
        deeds: RefCell::default(),
        random: RefCell::new(Random::new(attack.seed)),
    });
    let mut attackers = JoinSet::new();
    for (kind, count) in COUNTS {
        for number in 0..count {
            let siege = Rc::clone(&siege);
            attackers.spawn_local(async move {
                let end = siege.end;
                let _ = tokio::time::timeout_at(end, siege.harass(kind, number)).await;
            });
        }
    }
    while attackers.join_next().await.is_some() {}
    siege
}

impl Siege {
    /// One attacker's life.
    async fn harass(&self, kind: Kind, number: u32) {
        loop {
            if kind == Kind::Storm {
                self.wait_for_the_next_wave().await;
            }
            self.be_frugal().await;
            let Ok(mut stream) = self.dial(kind).await else {
                self.note(kind, |deeds| deeds.refused += 1);
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            self.note(kind, |deeds| deeds.connections += 1);
            let ended = match kind {
                Kind::Slow => self.creep(&mut stream).await,
                Kind::Deaf => self.sit(&mut stream, number).await,
                Kind::Flood => self.pour(&mut stream).await,
                Kind::Garbage => self.babble(&mut stream, number).await,
                Kind::Reset | Kind::Storm => self.enter(kind, &mut stream).await,
            };
            if ended.is_err() {
                self.note(kind, |deeds| deeds.ended_by_server += 1);
            }
            if kind == Kind::Reset {
                // Closing so resets: the peer gets no FIN.
                let _ = stream.set_zero_linger();
            }
            drop(stream);
            if kind != Kind::Storm {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    fn note(&self, kind: Kind, change: impl FnOnce(&mut Deeds)) {
        change(&mut self.deeds.borrow_mut()[kind as usize]);
    }

    /// Waits for as long as the attackers have used more than their part of a core.
    async fn be_frugal(&self) {
        loop {
            let allowed = self.begin.elapsed().mul_f64(self.cpu_share_max);
            let used = resources::thread_cpu();
            if used <= allowed {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn wait_for_the_next_wave(&self) {
        let waves = self.begin.elapsed().as_nanos() / STORM_EVERY.as_nanos() + 1;
        let next = STORM_EVERY * u32::try_from(waves).unwrap_or(u32::MAX);
        tokio::time::sleep_until(self.begin + next).await;
    }

    async fn dial(&self, kind: Kind) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::new(127, 0, 1, kind as u8 + 1), 0).into())?;
        tokio::time::timeout(PATIENCE, socket.connect(self.server)).await?
    }

    async fn send(&self, kind: Kind, stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
        stream.write_all(bytes).await?;
        self.note(kind, |deeds| deeds.bytes += bytes.len() as u64);
        Ok(())
    }

    /// Asks for a WebSocket, a byte a second.
    async fn creep(&self, stream: &mut TcpStream) -> io::Result<()> {
        for byte in REQUEST.bytes() {
            self.send(Kind::Slow, stream, &[byte]).await?;
            let mut nothing = [0];
            let heard = tokio::time::timeout(Duration::from_secs(1), stream.read(&mut nothing));
            if let Ok(read) = heard.await
                && read? == 0
            {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    /// Joins a room in which every fifth speaks a lot, and never reads again.
    async fn sit(&self, stream: &mut TcpStream, number: u32) -> io::Result<()> {
        let kind = Kind::Deaf;
        self.enter(kind, stream).await?;
        let body = "x".repeat(16_000);
        self.send(kind, stream, &self.text("420[\"join\",\"deaf\"]")).await?;
        loop {
            if number.is_multiple_of(5) {
                let message = format!("421[\"message\",{{\"room\":\"deaf\",\"body\":\"{body}\"}}]");
                self.send(kind, stream, &self.text(&message)).await?;
            }
            // A write into what the server has closed says so.
            tokio::time::sleep(PAUSE).await;
            self.send(kind, stream, &self.text("3")).await?;
            self.be_frugal().await;
        }
    }

    /// Sends as much as it may, and reads what comes back.
    async fn pour(&self, stream: &mut TcpStream) -> io::Result<()> {
        let kind = Kind::Flood;
        self.enter(kind, stream).await?;
        let burst: Vec<u8> = (0..100).flat_map(|_| self.text("421[\"echo\",\"x\"]")).collect();
        let mut answers = vec![0; 64 * 1024];
        loop {
            self.be_frugal().await;
            tokio::select! {
                biased;
                read = stream.read(&mut answers) => if read? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                },
                () = tokio::time::sleep(Duration::from_millis(1)) => {
                    let (_, mut writer) = stream.split();
                    let written = tokio::time::timeout(PAUSE, writer.write_all(&burst)).await;
                    if let Ok(written) = written {
                        written?;
                        self.note(kind, |deeds| deeds.bytes += burst.len() as u64);
                    }
                }
            }
        }
    }

    /// Says what is nothing: at once, after the handshake, or within a namespace.
    async fn babble(&self, stream: &mut TcpStream, number: u32) -> io::Result<()> {
        let kind = Kind::Garbage;
        match number % 3 {
            0 => {}
            1 => self.handshake(kind, stream).await?,
            _ => self.enter(kind, stream).await?,
        }
        let mut noise = Vec::new();
        for _ in 0..512 {
            noise.extend(self.random.borrow_mut().next_u64().to_le_bytes());
        }
        self.send(kind, stream, &noise).await?;
        let mut answer = [0; 4096];
        let closed = async {
            while stream.read(&mut answer).await? > 0 {}
            io::Result::Ok(())
        };
        match tokio::time::timeout(PATIENCE, closed).await {
            Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(_) => Ok(()),
        }
    }

    async fn handshake(&self, kind: Kind, stream: &mut TcpStream) -> io::Result<()> {
        self.send(kind, stream, REQUEST.as_bytes()).await?;
        let mut answer = [0; 1024];
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut answer)).await??;
        if answer[..read].starts_with(b"HTTP/1.1 101") {
            Ok(())
        } else {
            Err(io::ErrorKind::ConnectionRefused.into())
        }
    }

    /// Into the namespace `/`.
    async fn enter(&self, kind: Kind, stream: &mut TcpStream) -> io::Result<()> {
        self.handshake(kind, stream).await?;
        self.send(kind, stream, &self.text("40")).await?;
        let mut answer = [0; 1024];
        tokio::time::timeout(PATIENCE, stream.read(&mut answer)).await??;
        Ok(())
    }

    /// A text frame of a client.
    fn text(&self, text: &str) -> Vec<u8> {
        let mut frame = Vec::new();
        let [a, b, c, d, ..] = self.random.borrow_mut().next_u64().to_le_bytes();
        encode(Opcode::Text, &[text.as_bytes()], Some([a, b, c, d]), &mut frame);
        frame
    }
}

const REQUEST: &str = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\n\
     Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
