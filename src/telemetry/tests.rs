use std::sync::mpsc::{self, Receiver, Sender};

use super::*;

/// A sink that takes a piece when it is told how much of it, or refuses it.
struct Slow(Receiver<io::Result<usize>>, Sender<Vec<u8>>);

impl Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let many = self.0.recv().map_err(io::Error::other)??;
        let taken = &bytes[..many.min(bytes.len())];
        self.1.send(taken.to_owned()).map_err(io::Error::other)?;
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Stand {
    outbox: Arc<Outbox>,
    allow: Sender<io::Result<usize>>,
    taken: Receiver<Vec<u8>>,
}

impl Stand {
    fn new(capacity: usize) -> Self {
        let (allow, allowed) = mpsc::channel();
        let (take, taken) = mpsc::channel();
        let tell = |outbox: &Outbox, lost| outbox.put(format!("lost {lost}\n").as_bytes());
        let outbox = Outbox::open(capacity, Slow(allowed, take), tell).unwrap();
        Self {
            outbox,
            allow,
            taken,
        }
    }

    /// Puts a line and waits until the writer is at the sink with it.
    fn occupy(&self) {
        self.outbox.put(b"first\n");
        let mut waiting = self.outbox.lock();
        while !waiting.lines.ends.is_empty() {
            waiting = self.outbox.wait_a_little(waiting);
        }
    }

    fn takes(&self, many: usize) -> String {
        self.allow.send(Ok(many)).unwrap();
        String::from_utf8(self.taken.recv().unwrap()).unwrap()
    }

    fn refuses(&self) {
        let full = io::Error::from(ErrorKind::StorageFull);
        self.allow.send(Err(full)).unwrap();
    }
}

impl Outbox {
    fn wait_a_little<'a>(&self, waiting: MutexGuard<'a, Waiting>) -> MutexGuard<'a, Waiting> {
        let waited = self.changed.wait_timeout(waiting, Duration::from_millis(5));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

const ALL: usize = usize::MAX;

#[test]
fn what_does_not_fit_is_counted_and_the_count_comes_when_there_is_room() {
    let stand = Stand::new(10);
    stand.occupy();
    for number in 0..1_000 {
        stand.outbox.put(format!("{number:03}\n").as_bytes()); // none of these waits
    }
    assert_eq!(stand.takes(ALL), "first\n");
    assert_eq!(stand.takes(ALL), "000\n001\nlost 998\n");
    stand.outbox.put(b"last\n");
    assert_eq!(stand.takes(ALL), "last\n");
}

#[test]
fn what_the_sink_refuses_is_counted_and_a_torn_line_does_not_spoil_the_next() {
    let stand = Stand::new(1_000);
    stand.occupy();
    stand.outbox.put(b"second\n");
    stand.outbox.put(b"third\n");
    assert_eq!(stand.takes(ALL), "first\n");
    assert_eq!(stand.takes(9), "second\nth");
    stand.refuses();
    stand.outbox.put(b"fourth\n");
    assert_eq!(stand.takes(ALL), "\n");
    assert_eq!(stand.takes(ALL), "fourth\n");
    assert_eq!(stand.takes(ALL), "lost 1\n");
    stand.outbox.flush(Duration::from_secs(10));
    assert_eq!(stand.outbox.lock().lost, 0);
}

#[test]
fn the_end_does_not_wait_for_a_sink_that_takes_nothing() {
    let stand = Stand::new(1_000);
    stand.occupy();
    stand.outbox.flush(Duration::from_millis(1));
    assert!(stand.outbox.lock().writing);
    assert_eq!(stand.takes(ALL), "first\n");
    stand.outbox.flush(Duration::from_mins(1));
    assert!(!stand.outbox.lock().writing);
}
