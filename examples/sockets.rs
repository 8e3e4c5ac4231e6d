//! One conversation over five kinds of sockets: `sockets` has a child process connect to it over each, and
//! says its words backwards. What the two say is written once, for any [`Link`].
//!
//! Exit status: 0 if all five went well, 1 if not, 2 for a wrong command line.

#[path = "support/output.rs"]
mod output;

use anyhow::{Context, Result, ensure};
use clap::builder::NonEmptyStringValueParser;
use clap::{Parser, ValueEnum};
use interlatch::sync::Timeout;
use interlatch_ipc::{Link, PacketLink, SeqpacketListener, StreamLink};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use output::{NOBODY_READS, NobodyReads, end, say};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, ExitCode};
use std::time::Duration;

/// Says words backwards, to a child process, over sockets of each kind.
#[derive(Debug, Parser)]
struct Options {
    /// This kind only.
    #[arg(long)]
    kind: Option<Kind>,
    /// Be the child, and connect to this path or address.
    #[arg(long, requires = "kind", hide = true)]
    connect: Option<String>,
    /// What is said. Nothing would be goodbye.
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

/// How long each waits for the other.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What a client says before its first word where nothing else makes a connection.
const HELLO: &[u8] = b"hello";

const LOOPBACK: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

fn main() -> ExitCode {
    end("sockets", run(&Options::parse()))
}

fn run(options: &Options) -> Result<()> {
    match (options.kind, &options.connect) {
        (Some(kind), Some(place)) => be_client(kind, place, &options.words),
        (Some(kind), None) => be_server(kind, &options.words),
        (None, _) => {
            let mut kinds = Kind::value_variants().iter();
            kinds.try_for_each(|kind| be_server(*kind, &options.words))
        }
    }
}

/// Listens, starts the client, and answers it.
fn be_server(kind: Kind, words: &[String]) -> Result<()> {
    let folder = tempfile::tempdir().context("a folder for the socket")?;
    let path = folder.path().join("socket");
    let start = |place: &Path| start_client(kind, &place.to_string_lossy(), words);
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
            (child, answer(link.context("nobody has connected")?)?)
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
    if status.code() == Some(i32::from(NOBODY_READS)) {
        // Nobody would read what is said here either.
        return Err(NobodyReads.into());
    }
    ensure!(status.success(), "the client ended with {status}");
    say(format_args!("{kind:?}: {answered} words answered"))
}

fn await_client(socket: &impl AsFd) -> Result<()> {
    let mut polled = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    let timeout = PollTimeout::try_from(TIMEOUT)?;
    ensure!(poll(&mut polled, timeout)? > 0, "nobody has connected");
    Ok(())
}

fn start_client(kind: Kind, place: &str, words: &[String]) -> Result<Child> {
    let value = kind.to_possible_value().context("each kind has a name")?;
    Command::new(std::env::current_exe()?)
        .args(["--kind", value.get_name(), "--connect", place, "--"])
        .args(words)
        .spawn()
        .context("starting the client")
}

fn be_client(kind: Kind, place: &str, words: &[String]) -> Result<()> {
    let timeout = Timeout::after(TIMEOUT);
    match kind {
        Kind::UnixStream => ask(StreamLink::unix(UnixStream::connect(place)?), words),
        Kind::UnixSeqpacket => ask(PacketLink::connect_seqpacket(place, timeout)?, words),
        Kind::UnixDatagram => {
            // The server needs an address to answer to.
            let socket = UnixDatagram::bind(format!("{place}-client"))?;
            socket.connect(place)?;
            socket.send(HELLO)?;
            ask(PacketLink::unix_datagram(socket)?, words)
        }
        Kind::Tcp => ask(StreamLink::tcp(TcpStream::connect(place)?)?, words),
        Kind::Udp => {
            let socket = UdpSocket::bind(LOOPBACK)?;
            socket.connect(place.parse::<SocketAddr>()?)?;
            socket.send(HELLO)?;
            ask(PacketLink::udp(socket)?, words)
        }
    }
}

/// Says each word backwards, until the client says goodbye: nothing, which a datagram can say too.
fn answer(mut link: impl Link) -> Result<usize> {
    let mut answered = 0;
    loop {
        let word = link.recv_timeout(TIMEOUT)?.context("no goodbye")?;
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
        let answer = answer.context("the server has gone")?;
        say(format_args!(
            "  {word} {}",
            String::from_utf8_lossy(&answer)
        ))
    });
    // Also if nobody reads the answers: the server waits for it.
    let goodbye = link.send_timeout(b"", TIMEOUT);
    asked?;
    Ok(goodbye?)
}
