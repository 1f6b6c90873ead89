//! A server within this process, and sockets spread over its shards.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};

use parlor::Config;
use parlor::app::Handle;
use parlor::room::Sid;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::app;
use crate::client::Wire;
use crate::peer::Peer;

/// How many shards a server has in each run of a test.
pub(crate) const SHARDS: [u8; 3] = [1, 2, 8];

/// Connections that are tried until enough of them are where they are wanted:
/// the kernel deals them to the shards as it likes.
const TRIES: usize = 2000;

/// Runs a test against a server of one shard, of two, and of eight.
pub(crate) fn on_shards(test: impl Fn(&Server)) {
    on_shards_with(&Config::default(), test);
}

/// The same, with a configuration of the test's own.
pub(crate) fn on_shards_with(config: &Config, test: impl Fn(&Server)) {
    for shards in SHARDS {
        test(&Server::start(shards, config.clone()));
    }
}

/// The application with all features, served.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) shards: u8,
    /// One of each shard.
    pub(crate) handles: Vec<Handle>,
    farewells: Receiver<String>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts it on a free port.
    pub(crate) fn start(shards: u8, config: Config) -> Self {
        let address = ([127, 0, 0, 1], 0).into();
        let listeners = parlor::net::listen_shards(address, shards, false).expect("a free port");
        let address = listeners[0].local_addr().expect("it is bound");
        let (farewell, farewells) = sync_channel(1024);
        let (handle, handles) = sync_channel(shards.into());
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            let shutdown = async { drop(stopped.await) };
            let served = parlor::serve(listeners, config, app::app(farewell, handle), shutdown);
            runtime.expect("a runtime").block_on(served).expect("it serves until it is stopped");
        });
        let handles = (0..shards).map(|_| handles.recv().expect("a shard")).collect();
        Self { address, shards, handles, farewells, stop: Some(stop), thread: Some(thread) }
    }

    /// A socket of that namespace, wherever it lands.
    pub(crate) fn peer(&self, namespace: &'static str) -> Peer {
        Peer::connect(Wire::open(self.address).1, namespace, &Value::Null).expect("it is let in")
    }

    /// What comes of a CONNECT with this auth payload: a socket, or the error.
    pub(crate) fn ask_in(&self, namespace: &'static str, auth: &Value) -> Result<Peer, Value> {
        Peer::connect(Wire::open(self.address).1, namespace, auth)
    }

    /// Sockets of that namespace, spread evenly: as many shards as can have one do.
    pub(crate) fn peers<const COUNT: usize>(&self, namespace: &'static str) -> [Peer; COUNT] {
        let wires = self.spread(COUNT);
        let connect = |wire| Peer::connect(wire, namespace, &Value::Null).expect("it is let in");
        let peers: Vec<Peer> = wires.into_iter().map(connect).collect();
        let mut shards: Vec<_> = peers.iter().map(|peer| peer.shard).collect();
        shards.sort_unstable();
        shards.dedup();
        assert_eq!(shards.len(), COUNT.min(self.shards.into()), "several shards take part");
        peers.try_into().unwrap_or_else(|_| unreachable!("as many as there are wires"))
    }

    /// Engine.IO connections, no shard with more than one above another.
    fn spread(&self, count: usize) -> Vec<Wire> {
        let shards = count.min(self.shards.into());
        let (each, mut extra) = (count / shards, count % shards);
        let mut taken: BTreeMap<_, usize> = BTreeMap::new();
        let mut wires = Vec::new();
        for _ in 0..TRIES {
            if wires.len() == count {
                return wires;
            }
            let (open, wire) = Wire::open(self.address);
            let sid = open["sid"].as_str().and_then(Sid::parse).expect("an id");
            let here = taken.entry(sid.shard()).or_default();
            let is_extra = *here == each && extra > 0;
            if *here < each || is_extra {
                *here += 1;
                extra -= usize::from(is_extra);
                wires.push(wire);
            }
        }
        panic!("the kernel deals to {taken:?} only");
    }

    /// Ends the server; returns what the application's sockets have said of their ends.
    pub(crate) fn stop(mut self) -> Vec<String> {
        self.end();
        self.farewells.try_iter().collect()
    }

    fn end(&mut self) {
        // It may have ended by itself; then joining says why.
        self.stop.take().map(|stop| stop.send(()));
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(thread::panicking() || ended.is_ok(), "the server ends well");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if thread::panicking() {
            // Nobody reads it if it cannot be written.
            let _ = writeln!(std::io::stderr(), "this was with {} shards", self.shards);
        }
        self.end();
    }
}
