//! A conversation over five kinds of sockets: `sockets` starts a client for each kind and reverses
//! its words.
//!
//! The code of both sides is written once, for any [`Link`].
//!
//! Exit status: 0 if all five succeeded, 1 if not, 2 for an invalid command line.

#[path = "support/output.rs"]
mod output;

use anyhow::{Context, Result, ensure};
use clap::builder::NonEmptyStringValueParser;
use clap::{Parser, ValueEnum};
use interlatch::sync::Timeout;
use interlatch_ipc::{Link, PacketLink, SeqpacketListener, StreamLink};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use output::{OUTPUT_CLOSED, OutputClosed, end, escaped, say};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, ExitCode};
use std::time::Duration;

/// Reverses the words of a child process, over sockets of each kind.
#[derive(Debug, Parser)]
struct Options {
    /// Use only one kind of socket.
    #[arg(long)]
    kind: Option<Kind>,
    /// Run as the client and connect to this path or address.
    #[arg(long, requires = "kind", hide = true)]
    connect: Option<String>,
    /// The words. An empty word would end the conversation.
    #[arg(default_values = ["stressed", "drawer", "lived"], value_parser = NonEmptyStringValueParser::new())]
    words: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    UnixStream,
    UnixSeqpacket,
    UnixDatagram,
    Tcp,
    Udp,
}

/// The timeout of each wait for the other side.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The message that a client sends before its first word over a socket without connections.
const HELLO: &[u8] = b"hello";

const LOOPBACK: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

fn main() -> ExitCode {
    end("sockets", run(&Options::parse()))
}

fn run(options: &Options) -> Result<()> {
    match (options.kind, &options.connect) {
        (Some(kind), Some(address)) => run_client(kind, address, &options.words),
        (Some(kind), None) => run_server(kind, &options.words),
        (None, _) => {
            let mut kinds = Kind::value_variants().iter();
            kinds.try_for_each(|kind| run_server(*kind, &options.words))
        }
    }
}

/// Listens, starts the client and answers it.
fn run_server(kind: Kind, words: &[String]) -> Result<()> {
    let folder = tempfile::tempdir().context("a folder for the socket")?;
    let path = folder.path().join("socket");
    let start = |address: &Path| start_client(kind, &address.to_string_lossy(), words);
    let (mut child, answered) = match kind {
        Kind::UnixStream => {
            let listener = UnixListener::bind(&path)?;
            let child = start(&path)?;
            await_client(&listener)?;
            (child, answer(StreamLink::unix(listener.accept()?.0))?)
        }
        Kind::UnixSeqpacket => {
            let listener = SeqpacketListener::bind(&path)?;
            let child = start(&path)?;
            let link = listener.accept_with(Timeout::after(TIMEOUT))?;
            (child, answer(link.context("no client has connected")?)?)
        }
        Kind::UnixDatagram => {
            let socket = UnixDatagram::bind(&path)?;
            let child = start(&path)?;
            await_client(&socket)?;
            let (_, client) = socket.recv_from(&mut [0; HELLO.len()])?;
            socket.connect_addr(&client)?;
            (child, answer(PacketLink::unix_datagram(socket)?)?)
        }
        Kind::Tcp => {
            let listener = TcpListener::bind(LOOPBACK)?;
            let child = start_client(kind, &listener.local_addr()?.to_string(), words)?;
            await_client(&listener)?;
            (child, answer(StreamLink::tcp(listener.accept()?.0)?)?)
        }
        Kind::Udp => {
            let socket = UdpSocket::bind(LOOPBACK)?;
            let child = start_client(kind, &socket.local_addr()?.to_string(), words)?;
            await_client(&socket)?;
            let (_, client) = socket.recv_from(&mut [0; HELLO.len()])?;
            socket.connect(client)?;
            (child, answer(PacketLink::udp(socket)?)?)
        }
    };
    let status = child.wait().context("waiting for the client")?;
    if status.code() == Some(i32::from(OUTPUT_CLOSED)) {
        // If the client's output is closed, the output of this process is closed too.
        return Err(OutputClosed.into());
    }
    ensure!(status.success(), "the client ended with {status}");
    say(format_args!("{kind:?}: {answered} words answered"))
}

fn await_client(socket: &impl AsFd) -> Result<()> {
    let mut polled = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    let timeout = PollTimeout::try_from(TIMEOUT)?;
    ensure!(poll(&mut polled, timeout)? > 0, "no client has connected");
    Ok(())
}

fn start_client(kind: Kind, address: &str, words: &[String]) -> Result<Child> {
    let value = kind.to_possible_value().context("each kind has a name")?;
    Command::new(std::env::current_exe()?)
        .args(["--kind", value.get_name(), "--connect", address, "--"])
        .args(words)
        .spawn()
        .context("starting the client")
}

fn run_client(kind: Kind, address: &str, words: &[String]) -> Result<()> {
    let timeout = Timeout::after(TIMEOUT);
    match kind {
        Kind::UnixStream => ask(StreamLink::unix(UnixStream::connect(address)?), words),
        Kind::UnixSeqpacket => ask(PacketLink::connect_seqpacket(address, timeout)?, words),
        Kind::UnixDatagram => {
            // The server needs an address for its answers.
            let socket = UnixDatagram::bind(format!("{address}-client"))?;
            socket.connect(address)?;
            socket.send(HELLO)?;
            ask(PacketLink::unix_datagram(socket)?, words)
        }
        Kind::Tcp => ask(StreamLink::tcp(TcpStream::connect(address)?)?, words),
        Kind::Udp => {
            let socket = UdpSocket::bind(LOOPBACK)?;
            socket.connect(address.parse::<SocketAddr>()?)?;
            socket.send(HELLO)?;
            ask(PacketLink::udp(socket)?, words)
        }
    }
}

/// Reverses each word until the client sends an empty message, which every kind of socket can
/// carry.
fn answer(mut link: impl Link) -> Result<usize> {
    let mut answered = 0;
    loop {
        let word = link
            .recv_timeout(TIMEOUT)?
            .context("the client left without goodbye")?;
        if word.is_empty() {
            return Ok(answered);
        }
        let word: String = String::from_utf8_lossy(&word).chars().rev().collect();
        link.send_timeout(word.as_bytes(), TIMEOUT)?;
        answered += 1;
    }
}

fn ask(mut link: impl Link, words: &[String]) -> Result<()> {
    let asked = words.iter().try_for_each(|word| {
        link.send_timeout(word.as_bytes(), TIMEOUT)?;
        let answer = link.recv_timeout(TIMEOUT)?;
        let answer = answer.context("the server has closed the connection")?;
        say(format_args!("  {word} {}", escaped(&answer)))
    });
    // The empty message is sent even if the output is closed, because the server waits for it.
    let goodbye = link.send_timeout(b"", TIMEOUT);
    asked?;
    Ok(goodbye?)
}
