//! `StreamLink` and `PacketLink`, and the sockets below them as one uses them by system calls.

use crate::KERNEL;
use anyhow::Result;
use interlatch_benches::Home::Processes;
use interlatch_benches::channel::{Bytes, Channel, Packets, Taken, look_at, stream};
use interlatch_benches::{Comparison, at_most, leak};
use interlatch_ipc::{Link, PacketLink, StreamLink};
use nix::sys::socket::{MsgFlags, recvmsg, setsockopt, sockopt};
use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::os::fd::AsRawFd;

pub fn compare<const N: usize>(comparison: &mut Comparison) -> Result<()> {
    comparison.undisturbed_on_one_core();
    streams::<N>(comparison)?;
    packets::<N>(comparison)
}

fn streams<const N: usize>(comparison: &mut Comparison) -> Result<()> {
    let (ours, new_vec) = ("StreamLink, processes", "StreamLink, new Vec, processes");
    let framed = "Unix stream, processes";
    comparison.versus(ours, framed, at_most(KERNEL));
    comparison.versus(ours, "Unix stream, bare, processes", None);
    comparison.versus(new_vec, framed, at_most(KERNEL));
    let link = leak(Linked::of(StreamLink::pair()?));
    comparison.ours(stream::<N, _>("StreamLink", Processes, link));
    let link = leak(NewVec(Linked::of(StreamLink::pair()?)));
    comparison.ours(stream::<N, _>("StreamLink, new Vec", Processes, link));
    let framed = leak(Framed(Bytes::socket()?));
    comparison.peer(stream::<N, _>("Unix stream", Processes, framed));
    let bare = Bytes::socket()?;
    comparison.peer(stream::<N, _>("Unix stream, bare", Processes, bare));
    Ok(())
}

fn packets<const N: usize>(comparison: &mut Comparison) -> Result<()> {
    let (ours, new_vec) = ("PacketLink, processes", "PacketLink, new Vec, processes");
    let peer_with_vec = "Unix seqpacket, new Vec, processes";
    comparison.versus(ours, "Unix seqpacket, processes", at_most(KERNEL));
    comparison.versus(ours, "Unix seqpacket, bare, processes", None);
    comparison.versus(new_vec, peer_with_vec, at_most(KERNEL));
    let link = leak(Linked::of(PacketLink::seqpacket_pair()?));
    comparison.ours(stream::<N, _>("PacketLink", Processes, link));
    let link = leak(NewVec(Linked::of(PacketLink::seqpacket_pair()?)));
    comparison.ours(stream::<N, _>("PacketLink, new Vec", Processes, link));
    let knowing = Knowing::new()?;
    comparison.peer(stream::<N, _>("Unix seqpacket", Processes, knowing));
    let knowing = leak(KnowingNewVec(Knowing::new()?));
    comparison.peer(stream::<N, _>(
        "Unix seqpacket, new Vec",
        Processes,
        knowing,
    ));
    let bare = Packets::new()?;
    comparison.peer(stream::<N, _>("Unix seqpacket, bare", Processes, bare));
    Ok(())
}

/// A Unix stream, of which messages are made as ours are.
struct Framed(&'static Bytes);

impl Framed {
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

impl<const N: usize> Channel<N> for Framed {
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        |item| self.send(item).expect("the receiver stays")
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        |item| self.receive(item).expect("the sender stays")
    }
}

/// A seqpacket socket that says whether a message has a sender.
struct Knowing(&'static Packets);

impl Knowing {
    fn new() -> Result<&'static Self> {
        let packets = Packets::new()?;
        setsockopt(&packets.receive, sockopt::PassCred, &true)?;
        Ok(leak(Self(packets)))
    }

    fn receive(&self, item: &mut [u8]) {
        let (from, length) = (self.0.receive.as_raw_fd(), item.len());
        let mut room = [IoSliceMut::new(item)];
        let received = recvmsg::<()>(from, &mut room, None, MsgFlags::MSG_TRUNC);
        let received = received.expect("the sender stays");
        assert_eq!(received.bytes, length);
        // There is no room for the credentials that came with it.
        assert!(
            received.flags.contains(MsgFlags::MSG_CTRUNC),
            "has a sender"
        );
    }
}

impl<const N: usize> Channel<N> for Knowing {
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        Channel::<N>::sender(self.0)
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        |item| self.receive(item)
    }
}

/// The same into a new `Vec`.
struct KnowingNewVec(&'static Knowing);

impl<const N: usize> Channel<N> for KnowingNewVec {
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        Channel::<N>::sender(self.0)
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        Channel::<N>::receiver(self.0)
    }

    fn looker(&'static self) -> impl FnMut() + 'static {
        || {
            let mut item = vec![0; N];
            self.0.receive(&mut item);
            look_at(&item);
        }
    }
}

/// A link of ours, received into memory that is used again.
struct Linked<L>([Taken<L>; 2]);

impl<L> Linked<L> {
    fn of((here, there): (L, L)) -> Self {
        Self([Taken::new(here), Taken::new(there)])
    }
}

impl<L: Link + Send + 'static, const N: usize> Channel<N> for Linked<L> {
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        let mut link = self.0[1].take();
        move |item| link.send(item).expect("the receiver stays")
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        let (mut link, mut message) = (self.0[0].take(), Vec::new());
        move |item| {
            link.recv_into(&mut message).expect("the sender stays");
            item.copy_from_slice(&message);
        }
    }

    fn looker(&'static self) -> impl FnMut() + 'static {
        let (mut link, mut message) = (self.0[0].take(), Vec::new());
        move || {
            let length = link.recv_into(&mut message).expect("the sender stays");
            assert_eq!(length, Some(N));
            look_at(&message);
        }
    }
}

/// A link of ours that gives a new `Vec` for each message.
struct NewVec<L>(Linked<L>);

impl<L: Link + Send + 'static, const N: usize> Channel<N> for NewVec<L> {
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        Channel::<N>::sender(&self.0)
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        Channel::<N>::receiver(&self.0)
    }

    fn looker(&'static self) -> impl FnMut() + 'static {
        let mut link = self.0.0[0].take();
        move || {
            let message = link.recv().expect("the sender stays");
            look_at(&message.expect("no end"));
        }
    }
}
