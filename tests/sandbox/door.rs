//! A port of the sandbox: it can be shut and opened again.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use super::server::guard;
use super::wire::Stop;

const BLINK: Duration = Duration::from_millis(5);

pub struct Door {
    pub address: SocketAddr,
    shut: Arc<AtomicBool>,
    state: Mutex<State>,
}

enum State {
    Open(JoinHandle<()>),
    /// Bound and not listening: connections are refused, and nobody else gets the port meanwhile.
    Shut(Socket),
    Gone,
}

fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    // Elsewhere than on Windows a port stays reserved for a while after its last connection.
    if cfg!(not(windows)) {
        socket.set_reuse_address(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

impl Door {
    /// A shut port on loopback; 0 is any.
    pub fn new(number: u16) -> io::Result<Self> {
        let socket = bind((Ipv4Addr::LOCALHOST, number).into())?;
        let address = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { address, shut: Arc::new(AtomicBool::new(true)), state: Mutex::new(State::Shut(socket)) })
    }

    pub fn is_shut(&self) -> bool {
        self.shut.load(Ordering::SeqCst)
    }

    /// Listens, unless it does or the sandbox has stopped.
    pub fn open(&self, stop: &Stop, mut enter: impl FnMut(TcpStream) + Send + 'static) -> io::Result<()> {
        let mut state = guard(&self.state);
        let State::Shut(socket) = &*state else { return Ok(()) };
        if stop.is_set() {
            return Ok(());
        }
        socket.listen(1024)?;
        let State::Shut(socket) = std::mem::replace(&mut *state, State::Gone) else { return Ok(()) };
        let (listener, shut) = (TcpListener::from(socket), self.shut.clone());
        shut.store(false, Ordering::SeqCst);
        *state = State::Open(std::thread::spawn(move || {
            while !shut.load(Ordering::SeqCst) {
                match listener.accept() {
                    Ok(_) if shut.load(Ordering::SeqCst) => {}
                    Ok((socket, _)) => enter(socket),
                    // Such as too many open files: some will be closed.
                    Err(_) => std::thread::sleep(BLINK),
                }
            }
            // A process that is being started holds a copy of the socket for a moment: closing ours is not enough.
            let _ = SockRef::from(&listener).shutdown(Shutdown::Both);
        }));
        Ok(())
    }

    /// Refuses connections until it is opened again; `cut` ends those there are.
    pub fn close(&self, cut: impl FnOnce()) -> io::Result<()> {
        let mut state = guard(&self.state);
        if let State::Open(_) = *state {
            self.end(&mut state);
            cut();
            // Where that copy still listens, it is waited for.
            let bound = (0..200).find_map(|_| bind(self.address).map_err(|_| std::thread::sleep(BLINK)).ok());
            *state = State::Shut(bound.map_or_else(|| bind(self.address), Ok)?);
        }
        Ok(())
    }

    /// Closes it for good.
    pub fn remove(&self) {
        self.end(&mut guard(&self.state));
    }

    fn end(&self, state: &mut State) {
        self.shut.store(true, Ordering::SeqCst);
        if let State::Open(thread) = std::mem::replace(state, State::Gone) {
            // Wakes the thread: it waits for a connection.
            let _ = TcpStream::connect(self.address);
            let _ = thread.join();
        }
    }
}
