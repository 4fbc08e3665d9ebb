//! The finished boot program really holds vector instructions: the stock UEFI target would turn
//! every AVX intrinsic into a library call without a word.

#![allow(clippy::unwrap_used, reason = "tests")]

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, Register};
use llamaboot_qemu_tests::efi;
use object::{Object as _, ObjectSection as _};

#[test]
fn the_kernels_are_vector_code() {
    let bytes = std::fs::read(efi()).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let text = file.section_by_name(".text").unwrap();
    let decoder = Decoder::with_ip(64, text.data().unwrap(), text.address(), DecoderOptions::NONE);
    let wide = |i: &Instruction| (0..i.op_count()).any(|op| Register::is_ymm(i.op_register(op)));
    let wide: Vec<Mnemonic> =
        decoder.into_iter().filter(wide).map(|instruction| instruction.mnemonic()).collect();
    let count = |wanted: &[Mnemonic]| wide.iter().filter(|m| wanted.contains(m)).count();
    let fma = count(&[Mnemonic::Vfmadd132ps, Mnemonic::Vfmadd213ps, Mnemonic::Vfmadd231ps]);
    let int16 = count(&[Mnemonic::Vpmaddwd]);
    println!("{} instructions with ymm registers, {fma} fma, {int16} pmaddwd", wide.len());
    assert!(fma >= 10, "{fma} fused multiply-adds");
    assert!(int16 >= 10, "{int16} int16 multiply-adds");
    assert!(wide.len() >= 300, "{} vector instructions", wide.len());
}
