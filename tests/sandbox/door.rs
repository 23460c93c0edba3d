//! A port of the sandbox: it can be shut and opened again.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::server::guard;
use super::wire::Stop;

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
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        }));
        Ok(())
    }

    /// Refuses connections until it is opened again.
    pub fn close(&self) -> io::Result<()> {
        let mut state = guard(&self.state);
        if let State::Open(_) = *state {
            self.end(&mut state);
            *state = State::Shut(bind(self.address)?);
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
