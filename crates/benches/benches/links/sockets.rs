//! Compares `StreamLink` and `PacketLink` with the same sockets used directly through system calls.

use crate::KERNEL;
use anyhow::Result;
use interlatch_benches::WorkerKind::Processes;
use interlatch_benches::channel::{
    ByteStream, Channel, SeqpacketSocket, TakeOnce, stream, touch_cache_lines,
};
use interlatch_benches::{Comparison, at_most, leak};
use interlatch_ipc::{Link, PacketLink, StreamLink};
use nix::sys::socket::{MsgFlags, recvmsg, setsockopt, sockopt};
use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::os::fd::AsRawFd;

pub fn compare<const N: usize>(comparison: &mut Comparison) -> Result<()> {
    comparison.on_one_core_without_preemption();
    streams::<N>(comparison)?;
    packets::<N>(comparison)
}

fn streams<const N: usize>(comparison: &mut Comparison) -> Result<()> {
    let (ours, new_vec) = ("StreamLink, processes", "StreamLink, new Vec, processes");
    let framed = "Unix stream, processes";
    comparison.versus(ours, framed, at_most(KERNEL));
    comparison.versus(ours, "Unix stream, bare, processes", None);
    comparison.versus(new_vec, framed, at_most(KERNEL));
    let link = leak(LinkChannel::new(StreamLink::pair()?));
    comparison.ours(stream::<N, _>("StreamLink", Processes, link));
    let link = leak(NewVec(LinkChannel::new(StreamLink::pair()?)));
    comparison.ours(stream::<N, _>("StreamLink, new Vec", Processes, link));
    let framed = leak(FramedStream(ByteStream::socket()?));
    comparison.peer(stream::<N, _>("Unix stream", Processes, framed));
    let bare = ByteStream::socket()?;
    comparison.peer(stream::<N, _>("Unix stream, bare", Processes, bare));
    Ok(())
}

fn packets<const N: usize>(comparison: &mut Comparison) -> Result<()> {
    let (ours, new_vec) = ("PacketLink, processes", "PacketLink, new Vec, processes");
    let peer_with_vec = "Unix seqpacket, new Vec, processes";
    comparison.versus(ours, "Unix seqpacket, processes", at_most(KERNEL));
    comparison.versus(ours, "Unix seqpacket, bare, processes", None);
    comparison.versus(new_vec, peer_with_vec, at_most(KERNEL));
    let link = leak(LinkChannel::new(PacketLink::seqpacket_pair()?));
    comparison.ours(stream::<N, _>("PacketLink", Processes, link));
    let link = leak(NewVec(LinkChannel::new(PacketLink::seqpacket_pair()?)));
    comparison.ours(stream::<N, _>("PacketLink, new Vec", Processes, link));
    let with_credentials = WithCredentials::new()?;
    comparison.peer(stream::<N, _>(
        "Unix seqpacket",
        Processes,
        with_credentials,
    ));
    let with_credentials = leak(CredentialsNewVec(WithCredentials::new()?));
    comparison.peer(stream::<N, _>(
        "Unix seqpacket, new Vec",
        Processes,
        with_credentials,
    ));
    let bare = SeqpacketSocket::new()?;
    comparison.peer(stream::<N, _>("Unix seqpacket, bare", Processes, bare));
    Ok(())
}

/// A Unix stream socket that frames messages like `StreamLink`.
struct FramedStream(&'static ByteStream);

impl FramedStream {
    fn send(&self, item: &[u8]) -> std::io::Result<()> {
        let mut socket = &self.0.send;
        let length = (item.len() as u32).to_le_bytes();
        let frame = [IoSlice::new(&length), IoSlice::new(item)];
        let written = socket.write_vectored(&frame)?;
        assert!(written >= length.len(), "the length went in one piece");
        socket.write_all(&item[written - length.len()..])
    }

    fn receive(&self, item: &mut [u8]) -> std::io::Result<()> {
        let (mut socket, mut length) = (&self.0.receive, [0; 4]);
        socket.read_exact(&mut length)?;
        socket.read_exact(&mut item[..u32::from_le_bytes(length) as usize])
    }
}

impl<const N: usize> Channel<N> for FramedStream {
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        |item| self.send(item).expect("the receiver is alive")
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        |item| self.receive(item).expect("the sender is alive")
    }
}

/// A seqpacket socket that receives credentials with each message. The credentials distinguish an
/// empty message from the end of the stream.
struct WithCredentials(&'static SeqpacketSocket);

impl WithCredentials {
    fn new() -> Result<&'static Self> {
        let packets = SeqpacketSocket::new()?;
        setsockopt(&packets.receive, sockopt::PassCred, &true)?;
        Ok(leak(Self(packets)))
    }

    fn receive(&self, item: &mut [u8]) {
        let (from, length) = (self.0.receive.as_raw_fd(), item.len());
        let mut room = [IoSliceMut::new(item)];
        let received = recvmsg::<()>(from, &mut room, None, MsgFlags::MSG_TRUNC);
        let received = received.expect("the sender is alive");
        assert_eq!(received.bytes, length);
        // The call provides no buffer for the credentials. For each message, the kernel therefore
        // reports truncated control data.
        assert!(
            received.flags.contains(MsgFlags::MSG_CTRUNC),
            "the message carries credentials"
        );
    }
}

impl<const N: usize> Channel<N> for WithCredentials {
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        Channel::<N>::sender(self.0)
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        |item| self.receive(item)
    }
}

/// A [`WithCredentials`] socket that returns each message in a new `Vec`.
struct CredentialsNewVec(&'static WithCredentials);

impl<const N: usize> Channel<N> for CredentialsNewVec {
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        Channel::<N>::sender(self.0)
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        Channel::<N>::receiver(self.0)
    }

    fn in_place_receiver(&'static self) -> impl FnMut() + 'static {
        || {
            let mut item = vec![0; N];
            self.0.receive(&mut item);
            touch_cache_lines(&item);
        }
    }
}

/// An interlatch link that receives all messages into the same buffer.
struct LinkChannel<L>([TakeOnce<L>; 2]);

impl<L> LinkChannel<L> {
    fn new((here, there): (L, L)) -> Self {
        Self([TakeOnce::new(here), TakeOnce::new(there)])
    }
}

impl<L: Link + Send + 'static, const N: usize> Channel<N> for LinkChannel<L> {
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        let mut link = self.0[1].take();
        move |item| link.send(item).expect("the receiver is alive")
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        let (mut link, mut message) = (self.0[0].take(), Vec::new());
        move |item| {
            link.recv_into(&mut message).expect("the sender is alive");
            item.copy_from_slice(&message);
        }
    }

    fn in_place_receiver(&'static self) -> impl FnMut() + 'static {
        let (mut link, mut message) = (self.0[0].take(), Vec::new());
        move || {
            let length = link.recv_into(&mut message).expect("the sender is alive");
            assert_eq!(length, Some(N));
            touch_cache_lines(&message);
        }
    }
}

/// An interlatch link that returns each message in a new `Vec`.
struct NewVec<L>(LinkChannel<L>);

impl<L: Link + Send + 'static, const N: usize> Channel<N> for NewVec<L> {
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        Channel::<N>::sender(&self.0)
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        Channel::<N>::receiver(&self.0)
    }

    fn in_place_receiver(&'static self) -> impl FnMut() + 'static {
        let mut link = self.0.0[0].take();
        move || {
            let message = link.recv().expect("the sender is alive");
            touch_cache_lines(&message.expect("no end"));
        }
    }
}
