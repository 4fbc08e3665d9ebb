//! The keys of a GGUF with their values, packed as they stand behind its magic.

use llamaboot_checkpoint::gguf::kind;

/// Keys with their values, packed.
#[derive(Default)]
pub(crate) struct Keys {
    bytes: Vec<u8>,
    n: u64,
}

impl Keys {
    /// The beginning of a file with these keys, up to its directory of `tensors`. With no tensor it
    /// is a whole file.
    pub(crate) fn head(&self, tensors: usize) -> Vec<u8> {
        let mut head = Vec::from(*b"GGUF");
        head.extend(3_u32.to_le_bytes());
        head.extend((tensors as u64).to_le_bytes());
        head.extend(self.n.to_le_bytes());
        head.extend(&self.bytes);
        head
    }

    pub(crate) fn raw(&mut self, key: &str, kind: u32, value: &[u8]) {
        push_text(&mut self.bytes, key.as_bytes());
        self.bytes.extend(kind.to_le_bytes());
        self.bytes.extend(value);
        self.n += 1;
    }

    pub(crate) fn text(&mut self, key: &str, value: &str) {
        let mut bytes = Vec::new();
        push_text(&mut bytes, value.as_bytes());
        self.raw(key, kind::STRING, &bytes);
    }

    pub(crate) fn u32(&mut self, key: &str, value: usize) {
        self.raw(key, kind::U32, &(value as u32).to_le_bytes());
    }

    pub(crate) fn f32(&mut self, key: &str, value: f32) {
        self.raw(key, kind::F32, &value.to_le_bytes());
    }

    pub(crate) fn bool(&mut self, key: &str, value: bool) {
        self.raw(key, kind::BOOL, &[u8::from(value)]);
    }

    pub(crate) fn texts<T: AsRef<[u8]>>(&mut self, key: &str, values: &[T]) {
        let mut bytes = Vec::new();
        values.iter().for_each(|value| push_text(&mut bytes, value.as_ref()));
        self.array(key, kind::STRING, values.len(), &bytes);
    }

    pub(crate) fn f32s(&mut self, key: &str, values: &[f32]) {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.array(key, kind::F32, values.len(), &bytes);
    }

    pub(crate) fn i32s(&mut self, key: &str, values: &[i32]) {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.array(key, kind::I32, values.len(), &bytes);
    }

    fn array(&mut self, key: &str, of: u32, n: usize, values: &[u8]) {
        let mut bytes = of.to_le_bytes().to_vec();
        bytes.extend((n as u64).to_le_bytes());
        bytes.extend(values);
        self.raw(key, kind::ARRAY, &bytes);
    }
}

/// A text as a GGUF has it: its length, its bytes.
pub(crate) fn push_text(out: &mut Vec<u8>, value: &[u8]) {
    out.extend((value.len() as u64).to_le_bytes());
    out.extend(value);
}
