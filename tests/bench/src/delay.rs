//! A network in one process: a TCP forwarder that delays what passes through it, without limiting the bandwidth
//! unless it is told to.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::server::serve;

const CHUNK: usize = 64 * 1024;
/// What is on its way in one direction of a connection, at most 64 MiB: 2.6 GB/s at 25 ms.
const CHUNKS: usize = 1024;
/// How far a limited connection may catch up after the system let it wait: sleeping is not exact.
const CATCH_UP: Duration = Duration::from_millis(20);

/// How far away a host is.
#[derive(Clone, Copy)]
pub struct Distance {
    /// Half of it each way, and one more before a new connection's first byte, as its handshake would take.
    pub round_trip: Duration,
    /// Bytes per second, for each connection's responses.
    pub rate: Option<f64>,
}

type Chunk = (Instant, Vec<u8>);

/// Forwards connections to `host` as if it were that far away; the address to use instead.
pub fn start(host: SocketAddr, distance: Distance) -> SocketAddr {
    serve(move |client| {
        let accepted = Instant::now();
        let Ok(server) = TcpStream::connect(host) else { return };
        server.set_nodelay(true).unwrap();
        let (up, down) = ((clone(&client), clone(&server)), (server, client));
        // Nothing leaves the client before the handshake would be over.
        let there = Distance { rate: None, ..distance };
        let up = thread::spawn(move || forward(up, there, accepted + distance.round_trip));
        forward(down, distance, accepted);
        up.join().unwrap();
    })
}

fn clone(stream: &TcpStream) -> TcpStream {
    stream.try_clone().unwrap()
}

/// Carries one direction until its end; `earliest` is when the first byte leaves.
fn forward((from, to): (TcpStream, TcpStream), distance: Distance, earliest: Instant) {
    let (queue, chunks) = sync_channel(CHUNKS);
    let reader = thread::spawn(move || receive(from, &queue, distance, earliest));
    deliver(to, &chunks);
    // The reader may be waiting for room.
    drop(chunks);
    reader.join().unwrap();
}

fn receive(mut from: TcpStream, queue: &SyncSender<Chunk>, distance: Distance, earliest: Instant) {
    let mut buffer = vec![0; CHUNK];
    let mut free = Instant::now();
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let mut left = Instant::now();
        if let Some(rate) = distance.rate {
            free = free.max(left - CATCH_UP) + Duration::from_secs_f64(count as f64 / rate);
            thread::sleep(free.saturating_duration_since(left));
            left = Instant::now();
        }
        let due = left.max(earliest) + distance.round_trip / 2;
        if queue.send((due, buffer[..count].to_vec())).is_err() {
            // The other side is gone: its peer need not send the rest.
            let _ = from.shutdown(Shutdown::Both);
            return;
        }
    }
}

fn deliver(mut to: TcpStream, chunks: &Receiver<Chunk>) {
    for (due, bytes) in chunks {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if to.write_all(&bytes).is_err() {
            let _ = to.shutdown(Shutdown::Both);
            return;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
