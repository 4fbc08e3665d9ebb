//! Real files read right, broken files refused in one line, mutated files never a panic.

#![allow(clippy::unwrap_used, reason = "tests")]

use llamaboot_checkpoint::{
    Block32, Checkpoint, DType, Error, Format, Header, Regions, RopeScaling,
};
use llamaboot_test_support::{data, read, smollm2};
use proptest::prelude::*;

const STORIES: &str = "stories260K/stories260K.bin";

fn parse(bytes: &[u8]) -> Result<Checkpoint<'_>, Error> {
    let regions = Regions::whole(bytes);
    Checkpoint::attach(&Header::parse(&regions)?, &regions)
}

fn message(bytes: &[u8]) -> String {
    parse(bytes).map(|_| ()).expect_err("must be refused").to_string()
}

/// Weights of all formats equal gguf-py's, bit for bit.
#[test]
fn blocks_dequantize_as_ggml_does() {
    let types = [
        ("Q4_0", DType::Q4_0),
        ("Q4_1", DType::Q4_1),
        ("Q8_0", DType::Q8_0),
        ("Q4_K", DType::Q4K),
        ("Q6_K", DType::Q6K),
    ];
    for (name, dtype) in types {
        let Some(blocks) = read(&format!("quant/{name}.blocks.bin")) else { return };
        let Some(expected) = read(&format!("quant/{name}.f32.bin")) else { return };
        check_blocks(name, dtype, &blocks, &expected);
    }
}

fn check_blocks(name: &str, dtype: DType, blocks: &[u8], expected: &[u8]) {
    let expected: Vec<f32> =
        expected.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    assert_eq!(blocks.len(), dtype.row_bytes(expected.len()), "{name}");
    for (index, expected) in expected.chunks_exact(32).enumerate() {
        let got = Block32::read(dtype, blocks, &[], index).dequantize();
        assert_eq!(
            got.map(f32::to_bits),
            core::array::from_fn(|i| expected[i].to_bits()),
            "{name} block {index}"
        );
    }
}

/// The formats that the data folder has no file of: vectors made by tools/oracle/quant_blocks.py
/// with gguf-py.
#[test]
fn other_blocks_dequantize_as_ggml_does() {
    let vectors = include_bytes!("data/quant_blocks.bin");
    let mut at = 0;
    let mut next = |len: usize| {
        at += len;
        &vectors[at - len..at]
    };
    for (name, dtype) in [
        ("Q5_0", DType::Q5_0),
        ("Q5_1", DType::Q5_1),
        ("Q2_K", DType::Q2K),
        ("Q3_K", DType::Q3K),
        ("Q5_K", DType::Q5K),
    ] {
        let blocks = next(dtype.row_bytes(512));
        check_blocks(name, dtype, blocks, next(512 * 4));
    }
    assert_eq!(at, vectors.len());
}

#[test]
fn llama2c_versions_hold_the_same_model() {
    let Some(v0) = read(STORIES) else { return };
    let Some(v1) = read("stories260K/formats/stories260K.v1.bin") else { return };
    let Some(v2) = read("stories260K/formats/stories260K-q8-gs4.v2.bin") else { return };
    let [c0, c1, c2] = [&v0, &v1, &v2].map(|bytes| parse(bytes).unwrap());
    assert_eq!((c0.config.dim, c0.config.n_layers, c0.config.vocab_size), (64, 5, 512));
    assert_eq!(c0.config, c1.config);
    assert_eq!(c0.config, c2.config);
    for (a, b) in c0.layers.iter().zip(&c1.layers) {
        assert_eq!(
            (a.wq.data, a.w2.data, a.ffn_norm.data),
            (b.wq.data, b.w2.data, b.ffn_norm.data)
        );
    }
    assert_eq!(c2.layers[4].w2.dtype, DType::I8Groups(4));
    assert_eq!(c2.layers[4].w2.scales.len(), 64 * 172 / 4 * 4);
}

#[test]
fn ggufs_parse() {
    for name in ["f32", "f16", "q8_0", "q4_0", "q4_1"] {
        let Some(bytes) = read(&format!("stories260K/gguf/stories260K-{name}.gguf")) else {
            return;
        };
        let regions = Regions::whole(&bytes);
        let header = Header::parse(&regions).unwrap();
        assert_eq!(header.format, Format::Gguf(3));
        assert_eq!(header.config.rope_scaling, RopeScaling::None);
        assert_eq!(header.dtype_name().to_lowercase(), name);
        assert_eq!(Checkpoint::attach(&header, &regions).unwrap().layers.len(), 5);
    }
    let Some(path) = smollm2() else { return };
    let bytes = std::fs::read(path).unwrap();
    let config = parse(&bytes).unwrap().config;
    assert_eq!(
        (config.dim, config.head_dim, config.n_kv_heads, config.rope_base),
        (576, 64, 3, 100_000.0)
    );
}

/// Any header can be read from a growing prefix: `NeedMore` until it is whole, then the same.
#[test]
fn headers_read_from_prefixes() {
    let Some(bytes) = read("stories260K/gguf/stories260K-q4_0.gguf") else { return };
    let whole = Header::parse(&Regions::whole(&bytes)).unwrap();
    let mut len = 64;
    loop {
        match Header::parse(&Regions::prefix(&bytes[..len], bytes.len() as u64)) {
            Err(Error::NeedMore { .. }) => len *= 2,
            Ok(header) => break assert_eq!(header.tensors, whole.tensors),
            Err(other) => panic!("{other}"),
        }
    }
    assert!(len < bytes.len());
}

/// Cut between tensors into small regions, a model is the same model.
#[test]
fn regions_hold_whole_tensors() {
    let Some(bytes) = read(STORIES) else { return };
    let header = Header::parse(&Regions::whole(&bytes)).unwrap();
    let cuts = header.cuts(bytes.len() as u64, 50_000);
    assert!(cuts.len() > 10);
    let pieces =
        Regions::consecutive(cuts.windows(2).map(|c| &bytes[c[0] as usize..c[1] as usize]));
    let whole = parse(&bytes).unwrap();
    let cut = Checkpoint::attach(&header, &pieces).unwrap();
    assert_eq!(whole.output_norm.data, cut.output_norm.data);
    assert_eq!(whole.layers[3].w3.data, cut.layers[3].w3.data);
}

#[test]
fn malformed_files_get_one_clear_line() {
    let Some(v0) = read(STORIES) else { return };
    assert_eq!(message(&[]), "byte 0: a model file's header needs 28 bytes, the file has 0 there");
    assert_eq!(
        message(&v0[..1000]),
        "byte 1000: length of the file for this header: expected 1056540 bytes, found 1000 bytes"
    );
    let mut huge = v0.clone();
    huge[..4].copy_from_slice(&i32::MAX.to_le_bytes());
    let doubt = "is this a model? neither GGUF nor ak42 begins it, and as llama2.c v0: ";
    let begins = |bytes: &[u8], at: u64, rest: &str| {
        let said = message(bytes);
        assert!(said.starts_with(&format!("byte {at}: {doubt}{rest}")), "{said}");
    };
    begins(&huge, 0, "dim: expected 1 to 1048576, found 2147483647");
    begins(&v0[..17], 16, "n_kv_heads needs 4 bytes, the file has 1 there");
    huge[..4].copy_from_slice(&63_i32.to_le_bytes());
    begins(&huge, 12, "n_heads: expected a divisor of dim = 63");
    let zip = message(b"PK\x03\x04\0\0 this is some other kind of file altogether");
    assert!(zip.contains(doubt), "{zip}");
    let Some(bad) = read("stories260K/formats/stories260K-q8.v2.bin") else { return };
    assert_eq!(
        message(&bad),
        "byte 37: group size: expected a divisor of hidden_dim = 172 (a row would end inside a group), found 8"
    );
}

#[test]
fn hostile_ggufs_get_one_clear_line() {
    let keys =
        |n: u64| [b"GGUF\x03\0\0\0".as_slice(), &0_u64.to_le_bytes(), &n.to_le_bytes()].concat();
    assert_eq!(
        message(&keys(1_000_000)),
        "byte 16: metadata key count: expected at most 16384, found 1000000"
    );
    let mut token = keys(1);
    for part in
        [4_u64.to_le_bytes().as_slice(), b"toks", &9_u32.to_le_bytes(), &8_u32.to_le_bytes()]
    {
        token.extend_from_slice(part);
    }
    token.extend_from_slice(&1_u64.to_le_bytes());
    token.extend_from_slice(&(1_u64 << 32).to_le_bytes());
    token.resize(4096, 0);
    assert_eq!(
        message(&token),
        "byte 52: length of toks: expected at most 65536 bytes, found 4294967296"
    );
    let Some(mut gguf) = read("stories260K/gguf/stories260K-q4_0.gguf") else { return };
    let name = b"blk.4.ffn_up.weight";
    let at = gguf.windows(name.len()).position(|w| w == name).unwrap() + name.len() + 4 + 16 + 4;
    gguf[at..at + 8].copy_from_slice(&(1_u64 << 40).to_le_bytes());
    assert!(
        message(&gguf).contains("layer 4 w3 needs 6192 bytes, the file has 0 there"),
        "{}",
        message(&gguf)
    );
    gguf[at..at + 8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(message(&gguf).contains("offset of blk.4.ffn_up.weight: expected inside the file"));
}

/// A GGUF whose directory places one tensor on another, or lacks one, is refused before anything
/// is made of it; so are rotary divisors that leave no number.
#[test]
fn overlapping_missing_and_absurd_tensors_are_refused() {
    let Some(gguf) = read("stories260K/gguf/stories260K-q4_0.gguf") else { return };
    let find = |name: &[u8]| gguf.windows(name.len()).position(|w| w == name).unwrap();
    let mut overlap = gguf.clone();
    let name = b"blk.4.ffn_up.weight";
    let at = find(name) + name.len() + 4 + 16 + 4;
    overlap[at..at + 8].copy_from_slice(&0_u64.to_le_bytes());
    let said = message(&overlap);
    assert!(said.contains("offset of ") && said.contains("behind another tensor"), "{said}");
    let mut missing = gguf.clone();
    let at = find(b"blk.4.attn_q.weight");
    missing[at + 4] = b'3';
    assert!(message(&missing).contains("tensor layer 3 wq: expected each tensor once"));
    let mut control = gguf.clone();
    let at = find(b"blk.4.attn_q.weight");
    control[at + 1..at + 3].copy_from_slice(b"\x1b\n");
    assert!(message(&control).lines().count() == 1 && !message(&control).contains('\u{1b}'));
    let Some(vocabulary) = read("gguf-vocab/ggml-vocab-llama-spm.gguf") else { return };
    assert!(message(&vocabulary).contains("found none: a vocabulary alone"));
}

/// A real file, overwritten at some places and cut short.
fn mutate(bytes: &[u8], edits: &[(usize, u8)], keep: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let header = bytes.len().min(16 * 1024);
    edits.iter().for_each(|&(at, value)| bytes[at % header] = value);
    bytes.truncate(keep.max(bytes.len().saturating_sub(keep)));
    bytes
}

proptest! {


    #[test]
    fn mutated_files_never_panic(
        file in 0..4_usize,
        edits in prop::collection::vec((0..1_usize << 14, any::<u8>()), 0..12),
        keep in 0..2_000_000_usize,
    ) {
        let names = [STORIES, "stories260K/gguf/stories260K-q4_0.gguf", "stories260K/formats/stories260K.v1.bin",
            "stories260K/formats/stories260K-q8-gs4.v2.bin"];
        if let Some(path) = data(names[file]) {
            let bytes = mutate(&std::fs::read(path).unwrap(), &edits, keep);
            let _ = parse(&bytes);
            let _ = Header::parse(&Regions::prefix(&bytes[..bytes.len() / 2], bytes.len() as u64));
        }
    }

    #[test]
    fn random_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..600), magic in 0..3_usize) {
        let start: &[u8] = [b"".as_slice(), b"GGUF\x03\0\0\0", b"24ka\x02\0\0\0"][magic];
        bytes.splice(..start.len().min(bytes.len()), start.iter().copied());
        let _ = parse(&bytes);
    }
}
