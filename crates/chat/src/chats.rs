//! Chats that last: a file of fixed size, overwritten in place, so that no cut of the power, at
//! whatever byte, leaves anything but the old or the new chat, and never touches the FAT.
//!
//! ```text
//! chats.dat, 8 MiB: two halves of 16 places, 256 KiB each; place 0 is the last chat
//!
//! half 0 | place 0 | place 1 | … | place 15 |
//! half 1 | place 0 | place 1 | … | place 15 |
//!
//! place: head, one sector                       then the content
//!   8 magic "LLBCHAT1"    4 content bytes       4 crc32 of the content
//!   8 sequence            4 turns               8 bytes of the model's file
//!   64 name, 64 model, 64 template (length, UTF-8)
//!   zeros                 4 crc32 of the head, in its last bytes
//! ```
//! A save writes the half that does not hold the latest chat: first the content, flushed, then the
//! head. Until its head is whole, a half does not count; the one of the higher sequence does. The
//! halves are 4 MiB apart, because a flash stick that loses power may damage the whole erase block
//! that it was writing.
//!
//! What is not ours to decide: firmware's FAT driver notes the time of each write in the root
//! folder, one sector written whole. A stick that tears that very sector loses more than chats.

use crate::conversation::Turn;
use crate::storage::{Storage, StorageError};
use alloc::{string::String, vec, vec::Vec};

/// The file's name, at the root of the stick.
pub const CHATS_FILE: &str = "chats.dat";

/// Its length in bytes.
pub const CHATS_BYTES: u64 = 2 * HALF_BYTES;

/// Places for chats with names.
pub(crate) const PLACES: usize = 15;

/// Longest name of a chat, in bytes.
pub(crate) const MAX_NAME: usize = 40;

const HALF_BYTES: u64 = 16 * PLACE_BYTES;
const PLACE_BYTES: u64 = 256 << 10;
const HEAD_BYTES: usize = 512;
/// Room for the content of a chat.
const CONTENT_BYTES: usize = PLACE_BYTES as usize - HEAD_BYTES;
const MAGIC: &[u8; 8] = b"LLBCHAT1";
const TEXT_BYTES: usize = 64;

/// A chat as it is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SavedChat {
    /// The model's file name.
    pub(crate) model: String,
    /// The length of its file: with the name it tells whether the tokens are still right.
    pub(crate) model_bytes: u64,
    /// The template's name that the tokens are in; empty without one.
    pub(crate) template: String,
    pub(crate) turns: Vec<Turn>,
}

/// What the list says about a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) model: String,
    pub(crate) turns: usize,
}

/// The head of a place.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Head {
    sequence: u64,
    content_bytes: usize,
    content_crc: u32,
    turns: u32,
    model_bytes: u64,
    name: String,
    model: String,
    template: String,
}

/// Saves under a name; the empty name is the last chat. Returns how many of the oldest turns were
/// left out because they do not fit a place.
///
/// # Errors
/// `Ok(None)` where every place is taken; what storage says; [`StorageError::TooLong`] where not
/// even the last turn fits: the place then holds what it held.
pub(crate) fn save(
    storage: &mut dyn Storage,
    name: &str,
    chat: &SavedChat,
) -> Result<Option<usize>, StorageError> {
    let (content, left_out) = encode(chat);
    if left_out > 0 && left_out == chat.turns.len() {
        return Err(StorageError::TooLong(CONTENT_BYTES as u64));
    }
    storage.reserve(CHATS_FILE, CHATS_BYTES)?;
    let Some(place) = place_of(storage, name, true)? else { return Ok(None) };
    let latest = latest(storage, place)?;
    let half = latest.as_ref().map_or(0, |latest| 1 - latest.half);
    let head = Head {
        sequence: latest.map_or(0, |latest| latest.head.sequence) + 1,
        content_bytes: content.len(),
        content_crc: crc32fast::hash(&content),
        turns: (chat.turns.len() - left_out) as u32,
        model_bytes: chat.model_bytes,
        name: name.into(),
        model: chat.model.clone(),
        template: chat.template.clone(),
    };
    let at = offset(half, place);
    storage.write_at(CHATS_FILE, at + HEAD_BYTES as u64, &content)?;
    storage.write_at(CHATS_FILE, at, &head.encode())?;
    Ok(Some(left_out))
}

/// The chat of a name.
///
/// # Errors
/// `Ok(None)` where there is none; what storage says.
pub(crate) fn load(
    storage: &mut dyn Storage,
    name: &str,
) -> Result<Option<SavedChat>, StorageError> {
    let Some(place) = place_of(storage, name, false)? else { return Ok(None) };
    let Some(Latest { head, content, .. }) = latest(storage, place)? else { return Ok(None) };
    let Head { model, model_bytes, template, .. } = head;
    Ok(decode(&content).map(|turns| SavedChat { model, model_bytes, template, turns }))
}

/// Every chat that has a name.
///
/// # Errors
/// What storage says, where no place can be read.
pub(crate) fn list(storage: &mut dyn Storage) -> Result<Vec<Listed>, StorageError> {
    let places: Vec<_> = (1..=PLACES).map(|place| latest(storage, place)).collect();
    if let Some(Err(fault)) = places.iter().find(|place| place.is_err())
        && places.iter().all(Result::is_err)
    {
        return Err(fault.clone());
    }
    let heads = places.into_iter().flatten().flatten().map(|latest| latest.head);
    let listed = |head: Head| {
        let turns = head.turns as usize;
        Listed { name: head.name, model: head.model, turns }
    };
    let mut listed: Vec<Listed> = heads.map(listed).collect();
    listed.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(listed)
}

/// Deletes a chat, its text included. Whether there was one.
///
/// # Errors
/// What storage says.
pub(crate) fn delete(storage: &mut dyn Storage, name: &str) -> Result<bool, StorageError> {
    let Some(place) = place_of(storage, name, false)? else { return Ok(false) };
    let zeros = vec![0; PLACE_BYTES as usize];
    for half in 0..2 {
        storage.write_at(CHATS_FILE, offset(half, place), &zeros)?;
    }
    Ok(true)
}

fn offset(half: usize, place: usize) -> u64 {
    half as u64 * HALF_BYTES + place as u64 * PLACE_BYTES
}

/// Where the chat of a name is, or, for a new one, a place that is free. Places that cannot be read
/// are neither; their fault is told where nothing else is found.
fn place_of(
    storage: &mut dyn Storage,
    name: &str,
    new: bool,
) -> Result<Option<usize>, StorageError> {
    if name.is_empty() {
        return Ok(Some(0));
    }
    let (mut free, mut fault) = (None, None);
    for place in 1..=PLACES {
        match latest(storage, place) {
            Ok(Some(latest)) if latest.head.name == name => return Ok(Some(place)),
            Ok(Some(_)) => {}
            Ok(None) => free = free.or(Some(place)),
            Err(error) => fault = Some(error),
        }
    }
    match (free.filter(|_| new), fault) {
        (None, Some(fault)) => Err(fault),
        (free, _) => Ok(free),
    }
}

/// The latest whole chat of a place.
struct Latest {
    half: usize,
    head: Head,
    content: Vec<u8>,
}

/// Reads a place. A half that cannot be read counts as none: flash that was damaged in one must not
/// cost the other.
fn latest(storage: &mut dyn Storage, place: usize) -> Result<Option<Latest>, StorageError> {
    let (mut latest, mut faults): (Option<Latest>, _) = (None, Vec::new());
    for half in 0..2 {
        match whole(storage, half, place) {
            Ok(Some((head, content))) => {
                if latest.as_ref().is_none_or(|other| other.head.sequence < head.sequence) {
                    latest = Some(Latest { half, head, content });
                }
            }
            Ok(None) | Err(StorageError::Missing) => {}
            Err(error) => faults.push(error),
        }
    }
    match faults.pop() {
        Some(fault) if faults.len() == 1 => Err(fault),
        _ => Ok(latest),
    }
}

/// Head and content of a half, where both are whole.
fn whole(
    storage: &mut dyn Storage,
    half: usize,
    place: usize,
) -> Result<Option<(Head, Vec<u8>)>, StorageError> {
    let (mut bytes, at) = ([0; HEAD_BYTES], offset(half, place));
    storage.read_at(CHATS_FILE, at, &mut bytes)?;
    let Some(head) = Head::decode(&bytes) else { return Ok(None) };
    let mut content = vec![0; head.content_bytes];
    storage.read_at(CHATS_FILE, at + HEAD_BYTES as u64, &mut content)?;
    let right = crc32fast::hash(&content) == head.content_crc;
    Ok(right.then_some((head, content)))
}

impl Head {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD_BYTES);
        out.extend(MAGIC);
        out.extend((self.content_bytes as u32).to_le_bytes());
        out.extend(self.content_crc.to_le_bytes());
        out.extend(self.sequence.to_le_bytes());
        out.extend(self.turns.to_le_bytes());
        out.extend(self.model_bytes.to_le_bytes());
        for text in [&self.name, &self.model, &self.template] {
            let text = &text[..text.floor_char_boundary(TEXT_BYTES - 1)];
            out.push(text.len() as u8);
            out.extend(text.as_bytes());
            out.resize(out.len() + TEXT_BYTES - 1 - text.len(), 0);
        }
        out.resize(HEAD_BYTES - 4, 0);
        out.extend(crc32fast::hash(&out).to_le_bytes());
        out
    }

    /// `None` where a byte is wrong.
    fn decode(bytes: &[u8; HEAD_BYTES]) -> Option<Self> {
        let (head, crc) = bytes.split_last_chunk()?;
        if u32::from_le_bytes(*crc) != crc32fast::hash(head) {
            return None;
        }
        let mut reader = Reader(head);
        if reader.take(MAGIC.len())? != MAGIC {
            return None;
        }
        let (content_bytes, content_crc) = (reader.u32()? as usize, reader.u32()?);
        let sequence = reader.u64()?;
        let (turns, model_bytes) = (reader.u32()?, reader.u64()?);
        let mut text = || {
            let len = usize::from(reader.take(1)?[0]);
            let text = core::str::from_utf8(reader.take(TEXT_BYTES - 1)?.get(..len)?).ok()?;
            Some(String::from(text))
        };
        let (name, model, template) = (text()?, text()?, text()?);
        let sane = content_bytes <= CONTENT_BYTES && sequence < u64::MAX;
        sane.then_some(Self {
            sequence,
            content_bytes,
            content_crc,
            turns,
            model_bytes,
            name,
            model,
            template,
        })
    }
}

/// A chat as bytes, and how many of its oldest turns did not fit.
fn encode(chat: &SavedChat) -> (Vec<u8>, usize) {
    let encoded = chat.turns.iter().map(|turn| {
        let mut out = Vec::new();
        for text in [&turn.user, &turn.answer] {
            out.extend((text.len() as u32).to_le_bytes());
            out.extend(text.as_bytes());
        }
        for tokens in [&turn.prompt, &turn.reply] {
            out.extend((tokens.len() as u32).to_le_bytes());
            out.extend(tokens.iter().flat_map(|token| token.to_le_bytes()));
        }
        out
    });
    let turns: Vec<Vec<u8>> = encoded.collect();
    let mut bytes = 4;
    let kept = turns.iter().rev().take_while(|turn| {
        bytes += turn.len();
        bytes <= CONTENT_BYTES
    });
    let left_out = turns.len() - kept.count();
    let mut out = ((turns.len() - left_out) as u32).to_le_bytes().to_vec();
    out.extend(turns[left_out..].iter().flatten());
    (out, left_out)
}

fn decode(bytes: &[u8]) -> Option<Vec<Turn>> {
    let mut reader = Reader(bytes);
    let count = reader.u32()? as usize;
    let mut turns = Vec::new();
    for _ in 0..count {
        turns.push(Turn {
            user: reader.text()?,
            answer: reader.text()?,
            prompt: reader.tokens()?,
            reply: reader.tokens()?,
        });
    }
    // A turn begins with at least one token.
    turns.iter().all(|turn| !turn.prompt.is_empty()).then_some(turns)
}

/// Bytes not yet read.
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take(&mut self, len: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        let (value, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*value))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from(self.u32()?) | u64::from(self.u32()?) << 32)
    }

    fn text(&mut self) -> Option<String> {
        let len = self.u32()? as usize;
        core::str::from_utf8(self.take(len)?).ok().map(String::from)
    }

    fn tokens(&mut self) -> Option<Vec<u32>> {
        let len = (self.u32()? as usize).checked_mul(4)?;
        let bytes = self.take(len)?.as_chunks().0;
        Some(bytes.iter().map(|&token| u32::from_le_bytes(token)).collect())
    }
}

#[cfg(test)]
mod tests;
