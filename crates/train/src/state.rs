//! A run's state as bytes, with which it goes on as if it had never stopped.
//!
//! ```text
//! "LBTRAIN1"   u64 weights, u64 steps done, f64 usual loss, u8 whether a mean of weights follows
//! f32 weights, means of gradients, means of their squares, and the mean of weights
//! u32 CRC-32 of all that                                                        (little-endian)
//! ```

use crate::{Error, Trainer};
use alloc::{format, string::ToString, vec::Vec};

const MAGIC: &[u8; 8] = b"LBTRAIN1";
const HEAD: usize = 33;

impl Trainer<'_> {
    /// Hands the state over, piece by piece.
    ///
    /// # Errors
    /// The first that `write` gives.
    pub fn save<E>(&self, write: &mut dyn FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut sum = crc32fast::Hasher::new();
        let mut put = |bytes: &[u8]| {
            sum.update(bytes);
            write(bytes)
        };
        put(MAGIC)?;
        put(&(self.weights.len() as u64).to_le_bytes())?;
        put(&self.step.to_le_bytes())?;
        put(&self.usual.to_le_bytes())?;
        put(&[u8::from(!self.average.is_empty())])?;
        for buffer in [&self.weights, &self.means, &self.squares, &self.average] {
            for chunk in buffer.chunks(1 << 14) {
                let bytes: Vec<u8> = chunk.iter().flat_map(|x| x.to_le_bytes()).collect();
                put(&bytes)?;
            }
        }
        write(&sum.finalize().to_le_bytes())
    }

    /// Goes on from a state.
    ///
    /// # Errors
    /// [`Error::State`] where it is damaged or not of a model of this shape; nothing changes then.
    pub fn resume(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let wrong = |what, expected: &dyn ToString, found: &dyn ToString| Error::State {
            what,
            expected: expected.to_string(),
            found: found.to_string(),
        };
        let Some((head, _)) = bytes.split_at_checked(HEAD).filter(|_| bytes.starts_with(MAGIC))
        else {
            return Err(wrong("state", &"LBTRAIN1 at its beginning", &"something else"));
        };
        let u64_at = |at: usize| {
            head[at..].first_chunk().map_or(0, |bytes: &[u8; 8]| u64::from_le_bytes(*bytes))
        };
        let (weights, step, usual) = (u64_at(8), u64_at(16), f64::from_bits(u64_at(24)));
        let averaged = head[32] != 0;
        let own = self.weights.len();
        if weights != own as u64 {
            return Err(wrong("weights of the state", &own, &weights));
        }
        if averaged == self.average.is_empty() {
            return Err(wrong("mean of weights in the state", &!averaged, &averaged));
        }
        let len = HEAD + 4 * own * if averaged { 4 } else { 3 };
        if bytes.len() != len + 4 {
            return Err(wrong("bytes of the state", &(len + 4), &bytes.len()));
        }
        let (content, sum) = bytes.split_at(len);
        let (expected, found) = (crc32fast::hash(content).to_le_bytes(), sum);
        if expected != found {
            let text = |sum: &[u8]| format!("{sum:02x?}");
            return Err(wrong("checksum of the state", &text(&expected), &text(found)));
        }
        let mut numbers = content[HEAD..].as_chunks().0.iter().map(|&raw| f32::from_le_bytes(raw));
        for buffer in [&mut self.weights, &mut self.means, &mut self.squares, &mut self.average] {
            buffer.iter_mut().zip(&mut numbers).for_each(|(place, number)| *place = number);
        }
        (self.step, self.usual) = (step, usual);
        Ok(())
    }
}
