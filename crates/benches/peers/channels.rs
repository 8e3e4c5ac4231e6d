//! The channels of other crates, with which the interlatch buffers are compared.

use anyhow::Result;
use iceoryx2::port::backpressure_strategy::BackpressureStrategy;
use iceoryx2::prelude::*;
use iceoryx2::service::port_factory::publish_subscribe::PortFactory;
use interlatch::platform::AtomicU32;
use interlatch::platform::Ordering::Relaxed;
use interlatch_benches::channel::{Channel, TakeOnce};
use interlatch_benches::{CleanupProcess, leak};
use ipc_channel::ipc::{IpcBytesReceiver, IpcBytesSender, bytes_channel};
use std::fs;

pub struct Crossbeam<const N: usize>(
    crossbeam_channel::Sender<[u8; N]>,
    crossbeam_channel::Receiver<[u8; N]>,
);

impl<const N: usize> Crossbeam<N> {
    pub fn new(capacity: usize) -> &'static Self {
        let (sender, receiver) = crossbeam_channel::bounded(capacity);
        leak(Self(sender, receiver))
    }
}

impl<const N: usize> Channel<N> for Crossbeam<N> {
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        |item| self.0.send(*item).expect("the receiver is alive")
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        |item| *item = self.1.recv().expect("the sender is alive")
    }
}

pub struct Rtrb<const N: usize>(
    TakeOnce<rtrb::Producer<[u8; N]>>,
    TakeOnce<rtrb::Consumer<[u8; N]>>,
);

impl<const N: usize> Rtrb<N> {
    pub fn new(capacity: usize) -> &'static Self {
        let (producer, consumer) = rtrb::RingBuffer::new(capacity);
        leak(Self(TakeOnce::new(producer), TakeOnce::new(consumer)))
    }
}

impl<const N: usize> Channel<N> for Rtrb<N> {
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        let mut producer = self.0.take();
        move |item| while producer.push(*item).is_err() {}
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        let mut consumer = self.1.take();
        move |item| {
            *item = loop {
                if let Ok(got) = consumer.pop() {
                    break got;
                }
            }
        }
    }
}

/// A channel of the crate ipc-channel. It sends raw bytes, because ipc-channel would pass values
/// through a serializer.
pub struct IpcChannel(TakeOnce<IpcBytesSender>, TakeOnce<IpcBytesReceiver>);

impl IpcChannel {
    pub fn new() -> Result<&'static Self> {
        let (sender, receiver) = bytes_channel()?;
        Ok(leak(Self(TakeOnce::new(sender), TakeOnce::new(receiver))))
    }
}

impl<const N: usize> Channel<N> for IpcChannel {
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        let sender = self.0.take();
        move |item| sender.send(item).expect("the receiver is alive")
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        let receiver = self.1.take();
        move |item| {
            let got = receiver.recv().expect("the sender is alive");
            item.copy_from_slice(&got);
        }
    }
}

type Items<const N: usize> = PortFactory<ipc::Service, [u8; N], ()>;

/// An iceoryx2 service with one publisher and one subscriber. The service does not overflow: while
/// the subscriber's buffer is full, the publisher retries.
///
/// The workers create the service. The names of the service's files begin with `prefix`.
pub struct Iceoryx {
    prefix: String,
    capacity: usize,
}

static SERVICES: AtomicU32 = AtomicU32::new(0);

impl Iceoryx {
    pub fn new(capacity: usize) -> Result<(&'static Self, CleanupProcess)> {
        let number = SERVICES.fetch_add(1, Relaxed);
        let prefix = format!("interlatch_bench_{}_{number}_", std::process::id());
        let of_this = prefix.clone();
        let removed = CleanupProcess::start(move || remove(&of_this))?;
        Ok((leak(Self { prefix, capacity }), removed))
    }

    fn config(&self) -> Config {
        let mut config = Config::default();
        config.global.prefix = self.prefix.as_str().try_into().expect("a short name");
        let folder = folder(&self.prefix);
        let path = folder.as_str().try_into().expect("a short path");
        config.global.set_root_path(&path);
        config
    }

    fn node(&self) -> Node<ipc::Service> {
        let builder = NodeBuilder::new().config(&self.config());
        builder.create().expect("a node")
    }

    /// Opens the service. The first worker that calls this function creates the service.
    fn service<const N: usize>(&self, node: &Node<ipc::Service>) -> Items<N> {
        node.service_builder(&"items".try_into().expect("a name"))
            .publish_subscribe::<[u8; N]>()
            .enable_safe_overflow(false)
            .subscriber_max_buffer_size(self.capacity)
            .max_publishers(1)
            .max_subscribers(1)
            .open_or_create()
            .expect("a service")
    }
}

fn folder(prefix: &str) -> String {
    format!("/tmp/{prefix}")
}

/// Removes the files that killed workers have left behind.
fn remove(prefix: &str) {
    // The files' folder still exists only if a worker was killed.
    let _ = fs::remove_dir_all(folder(prefix));
    for entry in fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().contains(prefix) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

impl<const N: usize> Channel<N> for Iceoryx {
    fn sender(&'static self) -> impl FnMut(&[u8; N]) + 'static {
        let node = self.node();
        let service: Items<N> = self.service(&node);
        let builder = service.publisher_builder();
        let builder = builder.backpressure_strategy(BackpressureStrategy::RetryUntilDelivered);
        let publisher = builder.create().expect("a publisher");
        move |item| {
            let _ = (&node, &service);
            let loan = publisher.loan_uninit().expect("a free sample");
            loan.write_payload(*item)
                .send()
                .expect("the subscriber is alive");
        }
    }

    fn receiver(&'static self) -> impl FnMut(&mut [u8; N]) + 'static {
        let node = self.node();
        let service: Items<N> = self.service(&node);
        let builder = service.subscriber_builder().buffer_size(self.capacity);
        let subscriber = builder.create().expect("a subscriber");
        move |item| {
            let _ = (&node, &service);
            *item = loop {
                if let Some(sample) = subscriber.receive().expect("the publisher is alive") {
                    break *sample;
                }
            }
        }
    }
}
