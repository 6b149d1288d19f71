//! How payloads are compressed: zstd, with dictionaries that live in the run.
//!
//! | coding | what |
//! | --- | --- |
//! | 0 | as it is |
//! | 1 | zstd |
//! | 2 + n | zstd with dictionary n of this run |
//!
//! Dictionary 0 is the vocabulary of the wire; dictionary 1 is trained on the run's own first bytes, which takes a
//! few milliseconds and therefore a thread of its own.

use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use zstd::zstd_safe::{CCtx, CParameter, DCtx, DDict, compress_bound, get_frame_content_size};

/// Coding of bytes that are stored as they are.
pub const PLAIN: u8 = 0;
/// Coding of bytes that need no dictionary to be read.
pub const ZSTD: u8 = 1;
const FIRST_DICTIONARY: u8 = 2;

/// Number of the starter dictionary.
pub const STARTER: u8 = 0;
/// Number of the dictionary trained on the run.
pub const LEARNED: u8 = 1;
/// What an exchange with a model looks like on the wire and in a record. Every pack carries a copy, so that it can
/// change from one version of retake to the next.
pub const STARTER_BYTES: &[u8] = include_bytes!("starter.txt");

const LEVEL: i32 = 3;
/// Shorter payloads are stored as they are: they only grow.
const WORTH_IT: usize = 24;
/// A dictionary costs more than it gives for payloads longer than this.
const DICTIONARY_REACH: usize = 256 * 1024;
/// The longest payload that a reader unpacks: what a damaged or forged length may make it allocate.
const LONGEST: u64 = 2 << 30;

/// Compresses payloads with the newest dictionary.
pub struct Squeezer {
    bare: CCtx<'static>,
    dictionary: Option<(u8, CCtx<'static>)>,
    out: Vec<u8>,
}

impl Squeezer {
    /// A squeezer without a dictionary.
    pub fn new() -> Squeezer {
        Squeezer { bare: context(), dictionary: None, out: Vec::new() }
    }

    /// Uses this dictionary from now on.
    pub fn learn(&mut self, number: u8, bytes: &[u8]) {
        let mut with = context();
        if with.load_dictionary(bytes).is_ok() {
            self.dictionary = Some((number, with));
        }
    }

    /// Appends `bytes` to `out`, compressed if that makes them shorter; returns the coding.
    pub fn squeeze(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> u8 {
        let coding = match &mut self.dictionary {
            Some((number, with)) if bytes.len() <= DICTIONARY_REACH => {
                compress(with, bytes, &mut self.out).then_some(FIRST_DICTIONARY.saturating_add(*number))
            }
            _ => compress(&mut self.bare, bytes, &mut self.out).then_some(ZSTD),
        };
        match coding {
            Some(_) => out.extend_from_slice(&self.out),
            None => out.extend_from_slice(bytes),
        }
        // One large body must not be paid for until the end of the run.
        self.out.clear();
        self.out.shrink_to(DICTIONARY_REACH);
        coding.unwrap_or(PLAIN)
    }
}

fn context() -> CCtx<'static> {
    let mut context = CCtx::create();
    // The number of the dictionary stands in the frame's coding already. Neither call can fail on a fresh context.
    let _ = context.set_parameter(CParameter::DictIdFlag(false));
    let _ = context.set_parameter(CParameter::CompressionLevel(LEVEL));
    context
}

/// True when `out` now holds something shorter than `bytes`.
fn compress(with: &mut CCtx<'static>, bytes: &[u8], out: &mut Vec<u8>) -> bool {
    if bytes.len() < WORTH_IT {
        return false;
    }
    out.clear();
    out.reserve(compress_bound(bytes.len()));
    with.compress2(out, bytes).is_ok() && out.len() < bytes.len()
}

/// Compresses without a dictionary, at a level for bytes that are written once.
pub fn squeeze_alone(bytes: &[u8], out: &mut Vec<u8>) -> u8 {
    match zstd::bulk::compress(bytes, 12) {
        Ok(squeezed) if squeezed.len() < bytes.len() => {
            out.extend_from_slice(&squeezed);
            ZSTD
        }
        _ => {
            out.extend_from_slice(bytes);
            PLAIN
        }
    }
}

/// Reads payloads back. Shared by threads.
#[derive(Default)]
pub struct Expander {
    dictionaries: Vec<(u8, Arc<DDict<'static>>)>,
    idle: Mutex<Vec<DCtx<'static>>>,
}

impl std::fmt::Debug for Expander {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let numbers: Vec<u8> = self.dictionaries.iter().map(|d| d.0).collect();
        f.debug_struct("Expander").field("dictionaries", &numbers).finish_non_exhaustive()
    }
}

impl Expander {
    /// Adds a dictionary, unless there is one of that number.
    pub fn learn(&mut self, number: u8, bytes: &[u8]) {
        if self.knows(number) {
            return;
        }
        if let Some(dictionary) = DDict::try_create(bytes) {
            self.dictionaries.push((number, Arc::new(dictionary)));
        }
    }

    /// True when it has a dictionary of that number.
    pub fn knows(&self, number: u8) -> bool {
        self.dictionaries.iter().any(|d| d.0 == number)
    }

    /// The bytes that were squeezed.
    ///
    /// # Errors
    /// In words: a coding that this version does not know, a missing dictionary, bytes that are no zstd.
    pub fn expand(&self, coding: u8, bytes: &[u8]) -> Result<Vec<u8>, String> {
        if coding == PLAIN {
            return Ok(bytes.to_vec());
        }
        let dictionary = match coding.checked_sub(FIRST_DICTIONARY) {
            None => None,
            Some(number) => Some(
                self.dictionaries
                    .iter()
                    .find(|d| d.0 == number)
                    .map(|d| d.1.clone())
                    .ok_or_else(|| format!("dictionary {number} of this run cannot be read"))?,
            ),
        };
        let size = match get_frame_content_size(bytes) {
            Ok(Some(size)) if size <= LONGEST => size as usize,
            _ => return Err("the compressed bytes do not say how long they are".into()),
        };
        let mut context = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        let mut out = Vec::with_capacity(size);
        let done = match &dictionary {
            Some(dictionary) => context.decompress_using_ddict(&mut out, bytes, dictionary),
            None => context.decompress(&mut out, bytes),
        };
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(context);
        match done {
            Ok(_) if out.len() == size => Ok(out),
            Ok(_) => Err("the compressed bytes end early".into()),
            Err(code) => Err(format!("zstd: {}", zstd::zstd_safe::get_error_name(code))),
        }
    }
}

/// Bytes that are collected before a dictionary is trained.
const ENOUGH: usize = 40 * 1024;
/// No sample is longer, so that one large body does not make the dictionary.
const SAMPLE: usize = 4 * 1024;
const DICTIONARY_SIZE: usize = 16 * 1024;

/// Collects what the run's bytes look like and trains a dictionary on them.
pub enum Trainer {
    /// Not enough yet.
    Collecting {
        /// Samples, one after the other.
        bytes: Vec<u8>,
        /// Their lengths.
        sizes: Vec<usize>,
    },
    /// A thread is at work.
    Training(Receiver<Option<Vec<u8>>>),
    /// It is trained, or cannot be.
    Done,
}

impl Trainer {
    /// A trainer with no samples.
    pub fn new() -> Trainer {
        Trainer::Collecting { bytes: Vec::new(), sizes: Vec::new() }
    }

    /// Shows it some bytes.
    pub fn show(&mut self, sample: &[u8]) {
        let Trainer::Collecting { bytes, sizes } = self else { return };
        let sample = sample.get(..SAMPLE).unwrap_or(sample);
        if sample.is_empty() {
            return;
        }
        bytes.extend_from_slice(sample);
        sizes.push(sample.len());
        if bytes.len() < ENOUGH || sizes.len() < 12 {
            return;
        }
        let (bytes, sizes) = (std::mem::take(bytes), std::mem::take(sizes));
        let (send, receive) = channel();
        let work = move || {
            let trained = zstd::dict::from_continuous(&bytes, &sizes, DICTIONARY_SIZE).ok();
            // Nobody listens any more when the run was sealed first.
            let _ = send.send(trained);
        };
        *self = match std::thread::Builder::new().name("retake-dictionary".into()).spawn(work) {
            Ok(_) => Trainer::Training(receive),
            Err(_) => Trainer::Done,
        };
    }

    /// The dictionary, once, when it has just become ready.
    pub fn ready(&mut self) -> Option<Vec<u8>> {
        let Trainer::Training(receive) = self else { return None };
        let trained = match receive.try_recv() {
            Err(TryRecvError::Empty) => return None,
            Ok(trained) => trained,
            Err(TryRecvError::Disconnected) => None,
        };
        *self = Trainer::Done;
        trained
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn learned() -> Vec<u8> {
        let mut trainer = Trainer::new();
        let mut n = 0u32;
        loop {
            n += 1;
            trainer.show(
                format!("{{\"turn\":{n},\"text\":\"{}\"}}", format!("word{} ", n % 7).repeat(60)).as_bytes(),
            );
            if matches!(trainer, Trainer::Training(_)) {
                break;
            }
        }
        loop {
            if let Some(dictionary) = trainer.ready() {
                assert!(trainer.ready().is_none(), "it is handed out once");
                return dictionary;
            }
            assert!(matches!(trainer, Trainer::Training(_)), "training failed");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_dictionary_makes_short_payloads_shorter() {
        let dictionary = learned();
        assert!(dictionary.len() <= DICTIONARY_SIZE);
        let payload = format!("{{\"turn\":777,\"text\":\"{}\"}}", "word3 word4 ".repeat(4));
        let (mut bare, mut with) = (Vec::new(), Vec::new());
        let mut squeezer = Squeezer::new();
        assert_eq!(squeezer.squeeze(payload.as_bytes(), &mut bare), ZSTD);
        squeezer.learn(LEARNED, &dictionary);
        let coding = squeezer.squeeze(payload.as_bytes(), &mut with);
        assert!(with.len() < bare.len(), "{} {}", with.len(), bare.len());
        let mut expander = Expander::default();
        assert!(expander.expand(coding, &with).unwrap_err().contains("dictionary 1"));
        expander.learn(LEARNED, &dictionary);
        assert_eq!(expander.expand(coding, &with).unwrap(), payload.as_bytes());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn bytes_come_back(bytes in prop::collection::vec(0..20u8, 0..2000), starter in any::<bool>()) {
            let (mut squeezer, mut expander) = (Squeezer::new(), Expander::default());
            if starter {
                squeezer.learn(STARTER, STARTER_BYTES);
                expander.learn(STARTER, STARTER_BYTES);
            }
            let mut out = Vec::new();
            let coding = squeezer.squeeze(&bytes, &mut out);
            prop_assert!(out.len() <= bytes.len());
            prop_assert_eq!(expander.expand(coding, &out).unwrap(), bytes);
        }

        #[test]
        fn garbage_is_an_error(coding in 1..4u8, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut expander = Expander::default();
            expander.learn(STARTER, STARTER_BYTES);
            let _ = expander.expand(coding, &bytes);
        }
    }
}
