//! Real boots in QEMU, driven over the serial port: what a user sees, byte for byte.

#![allow(clippy::unwrap_used, reason = "tests")]

use llamaboot_qemu_tests::{
    ANSWER, BOOT, Image, Prompt, SHORT, bytes, chat_model, file, host_logits, image,
    image_refusing_cores, start, stories,
};
use llamaboot_test_support::{data, read, smollm2};
use std::time::{Duration, Instant};
use xtask::qemu::{Bus, Machine};

/// The golden story, as far as `tokens` tokens reach, with the speed line behind it.
fn assert_story(answer: &str, golden: &str, tokens: usize) {
    let (story, stats) = answer.trim_end().rsplit_once('\n').unwrap();
    assert_eq!(story, golden.trim_end_matches('\n'));
    assert!(
        stats.starts_with(&format!("[{tokens} tokens, ")) && stats.ends_with(" tokens/s]"),
        "{stats}"
    );
}

fn golden(name: &str) -> Option<String> {
    read(&format!("stories260K/{name}")).map(|text| String::from_utf8(text).unwrap())
}

fn both_models() -> Option<Image> {
    let mut files = stories("models/")?;
    files.push(chat_model()?);
    Some(image(files))
}

/// The whole path on one bus: menu, story, logits on every kernel, chat, interruption, power off.
fn whole_path(bus: Bus) {
    let (Some(disk), Some(story)) = (both_models(), golden("expected_greedy_n256.txt")) else {
        return;
    };
    let machine = Machine { bus, ..Machine::new(&disk.path) };

    let mut prompt = Prompt(start(&machine));
    let menu = prompt.expect("number, or arrows and Enter: ", BOOT);
    assert!(
        menu.contains("1  models/SmolLM2-135M-Instruct.Q4_1.gguf  98.4 MB, GGUF v3 Q4_1, needs"),
        "{menu}"
    );
    assert!(menu.contains("2  models/stories260K.bin"), "{menu}");
    prompt.send("\x1b[B\r");
    prompt.expect(">>> ", SHORT);
    assert_eq!(prompt.ask("/set temperature 0"), "temperature is 0\n");
    assert_eq!(prompt.ask("/set max_tokens 256"), "max_tokens is 256\n");
    let expected = host_logits(&data("stories260K/stories260K.bin").unwrap());
    for isa in ["avx2", "sse2", "scalar"] {
        assert_eq!(prompt.ask(&format!("/set isa {isa}")), format!("isa is {isa}\n"));
        assert_eq!(prompt.ask("/logits"), expected, "{isa}");
        assert_story(&prompt.ask(""), &story, 256);
    }
    prompt.send("/bye\r");

    let mut prompt = Prompt(start(&machine));
    prompt.expect("number, or arrows and Enter: ", BOOT);
    prompt.send("1");
    prompt.expect(">>> ", SHORT);
    prompt.ask("/set temperature 0");
    let paris = prompt.ask("What is the capital of France?");
    assert!(paris.starts_with("The capital of France is Paris.\n[8 tokens, "), "{paris}");
    stop_and_ask_again(&mut prompt);
    prompt.send("/poweroff\r");
    prompt.0.wait_off(SHORT).unwrap();
}

/// Stops an answer with Esc once it has begun; the conversation goes on.
fn stop_and_ask_again(prompt: &mut Prompt) {
    prompt.send("Write a long story about the sea.\r");
    prompt.expect("the sea.\r\n", SHORT);
    // The first word of the answer, whatever it is, ends with a space.
    prompt.expect(" ", ANSWER);
    prompt.send("\x1b");
    let rest = prompt.expect("\r\n>>> ", ANSWER);
    assert!(rest.contains("\r\n[stopped]\r\n["), "{rest}");
    let answer = prompt.ask("And what is the capital of Italy?");
    assert!(answer.contains("Rome"), "{answer}");
}

#[test]
fn whole_path_from_a_usb_stick() {
    whole_path(Bus::Usb);
}

#[test]
fn whole_path_from_a_sata_disk() {
    whole_path(Bus::Ahci);
}

/// The chat model's logits, bit for bit, on all of QEMU's kernels.
#[test]
fn chat_model_has_the_hosts_logits() {
    let (Some(model), Some(path)) = (chat_model(), smollm2()) else { return };
    let disk = image(vec![model]);
    let mut prompt = Prompt::boot(&Machine::new(&disk.path));
    let expected = host_logits(&path);
    for isa in ["avx2", "sse2", "scalar"] {
        prompt.ask(&format!("/set isa {isa}"));
        assert_eq!(prompt.ask("/logits"), expected, "{isa}");
    }
}

/// A CPU without AVX boots, too, and writes the same text; a stick laid out as the predecessor's
/// (model and tokenizer at the root) works.
#[test]
fn a_cpu_without_avx_tells_the_same_story() {
    let (Some(files), Some(story)) = (stories(""), golden("expected_greedy_n256.txt")) else {
        return;
    };
    let disk = image(files);
    let mut prompt = Prompt::boot(&Machine { cpu: "qemu64", ..Machine::new(&disk.path) });
    assert!(prompt.ask("/show").contains("\nisa sse2\n"));
    let refused = prompt.ask("/set isa avx2");
    assert_eq!(refused, "instruction set avx2: this CPU does not have it or it is not enabled\n");
    prompt.ask("/set temperature 0");
    prompt.ask("/set max_tokens 256");
    assert_story(&prompt.ask(""), &story, 256);
}

/// The seeded sample of llama2.c, on bare metal.
#[test]
fn a_seeded_story_is_llama2cs() {
    let name = "expected_sample_t1.0_p0.9_s133742.txt";
    let (Some(files), Some(story)) = (stories("models/"), golden(name)) else { return };
    let disk = image(files);
    let mut prompt = Prompt::boot(&Machine::new(&disk.path));
    for setting in ["temperature 1", "top_p 0.9", "seed 133742", "max_tokens 256"] {
        prompt.ask(&format!("/set {setting}"));
    }
    let answer = prompt.ask("");
    assert_eq!(answer.trim_end().rsplit_once('\n').unwrap().0, story.trim_end_matches('\n'));
}

/// From firmware's hand-over to the prompt in under two seconds.
#[test]
fn the_prompt_comes_quickly() {
    let Some(files) = stories("models/") else { return };
    let disk = image(files);
    let mut prompt = Prompt(start(&Machine::new(&disk.path)));
    prompt.expect("BdsDxe: starting ", BOOT);
    let begun = Instant::now();
    prompt.expect(">>> ", SHORT);
    let took = begun.elapsed();
    println!("hand-over to prompt: {took:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
}

/// What is typed on the keyboard works, and is echoed on the serial line.
#[test]
fn the_keyboard_works() {
    let Some(files) = stories("models/") else { return };
    let disk = image(files);
    let mut prompt = Prompt::boot(&Machine::new(&disk.path));
    for key in ["slash", "s", "h", "x", "backspace", "o", "w", "ret"] {
        prompt.0.press(key).unwrap();
    }
    prompt.expect("model stories260K.bin, llama2.c v0 F32", SHORT);
    prompt.expect(">>> ", SHORT);
    // Ctrl-C of the keyboard stops an answer.
    prompt.ask("/set max_tokens 0");
    prompt.0.press("ret").unwrap();
    prompt.expect("Once ", SHORT);
    prompt.0.press("ctrl-c").unwrap();
    prompt.expect("\r\n[stopped]\r\n", SHORT);
}

/// With two and with four cores: all come up, and every bit stays the same; then all are given
/// back, and the machine goes on to firmware.
#[test]
fn more_cores_give_the_same_bits() {
    let (Some(files), Some(story)) = (stories("models/"), golden("expected_greedy_n200.txt"))
    else {
        return;
    };
    let expected = host_logits(&data("stories260K/stories260K.bin").unwrap());
    let disk = image(files);
    for cores in [2, 4] {
        let mut prompt = Prompt(start(&Machine { cores, ..Machine::new(&disk.path) }));
        prompt.expect(&format!("avx2, {cores} cores."), BOOT);
        prompt.expect(">>> ", SHORT);
        for isa in ["avx2", "sse2", "scalar"] {
            prompt.ask(&format!("/set isa {isa}"));
            assert_eq!(prompt.ask("/logits"), expected, "{cores} cores, {isa}");
        }
        prompt.ask("/set temperature 0");
        prompt.ask("/set max_tokens 200");
        assert_story(&prompt.ask(""), &story, 200);
        prompt.send("/bye\r");
        prompt.expect("BdsDxe: ", SHORT);
    }
}

/// With four cores each multiplies its share of the rows: `/bench` counts them.
#[test]
fn every_core_takes_part() {
    let Some(files) = stories("models/") else { return };
    let disk = image(files);
    let mut prompt = Prompt::boot(&Machine { cores: 4, ..Machine::new(&disk.path) });
    let report = prompt.ask("/bench 4");
    let line = report.lines().find_map(|line| line.trim().strip_prefix("rows ")).unwrap();
    let rows = line.trim().strip_suffix(" of matrices, core by core").unwrap().split(", ");
    let rows: Vec<u64> = rows.map(|rows| rows.parse().unwrap()).collect();
    assert_eq!(rows.len(), 4, "{report}");
    let exact = prompt.ask("/logits");
    assert_eq!(prompt.ask("/set kv f16"), "kv is f16\n");
    assert_ne!(prompt.ask("/logits"), exact);
    prompt.ask("/set kv f32");
    assert_eq!(prompt.ask("/logits"), exact);
    let (least, most) = (rows.iter().min().unwrap(), rows.iter().max().unwrap());
    assert!(*least > 0 && most * 3 < least * 4, "{report}");
    prompt.send("/poweroff\r");
}

/// Firmware that refuses to start other cores is named, and the story is told by one.
#[test]
fn refused_cores_leave_one_that_works() {
    let (Some(files), Some(story)) = (stories("models/"), golden("expected_greedy_n200.txt"))
    else {
        return;
    };
    let disk = image_refusing_cores(files);
    let mut prompt = Prompt(start(&Machine { cores: 4, ..Machine::new(&disk.path) }));
    prompt.expect("firmware does not start the other cores (UNSUPPORTED", BOOT);
    prompt.expect("avx2, 1 core.", BOOT);
    prompt.expect(">>> ", SHORT);
    prompt.ask("/set temperature 0");
    prompt.ask("/set max_tokens 200");
    assert_story(&prompt.ask(""), &story, 200);
    prompt.send("/poweroff\r");
}

/// Every kind of bad file gets one line, and the menu comes back until a good one is chosen.
#[test]
fn bad_files_are_told_apart_and_the_menu_comes_back() {
    let (Some(mut files), Some(good)) = (stories("models/"), read("stories260K/stories260K.bin"))
    else {
        return;
    };
    let (Some(gguf), Some(group)) = (
        read("stories260K/gguf/stories260K-q4_0.gguf"),
        data("stories260K/formats/stories260K-q8.v2.bin"),
    ) else {
        return;
    };
    let noise: Vec<u8> =
        (0..5000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    files.extend([
        bytes("models/a-empty.bin", Vec::new()),
        bytes("models/b-cut.bin", good[..500_000].to_vec()),
        bytes("models/c-noise.gguf", noise.clone()),
        bytes("models/d-cut.gguf", gguf[..20_000].to_vec()),
        file("models/e-groups.bin", &group),
        bytes("models/f-tokens.bin", good),
        bytes("models/f-tokens.tokenizer.bin", noise),
    ]);
    let disk = image(files);
    let mut prompt = Prompt(start(&Machine::new(&disk.path)));
    let menu = prompt.expect("number, or arrows and Enter: ", BOOT);
    for line in [
        "models/a-empty.bin      0 bytes, byte 0: a model file's header needs 28 bytes, the file has 0",
        "models/b-cut.bin        500 kB, byte 500000: length of the file for this header: expected 1056540",
        "models/c-noise.gguf     5.00 kB, byte ",
        "models/d-cut.gguf       20.0 kB, byte ",
        "models/e-groups.bin     392 kB, byte 37: group size: expected a divisor of hidden_dim = 172",
    ] {
        assert!(menu.contains(line), "{line} not in {menu}");
    }
    prompt.send("1");
    prompt.expect("models/a-empty.bin: ", SHORT);
    // Its tokenizer is known to be bad only when it is loaded.
    prompt.send("6");
    let said = prompt.expect("number, or arrows and Enter: ", SHORT);
    assert!(said.contains("models/f-tokens.bin: its tokenizer: tokenizer.bin: "), "{said}");
    prompt.send("7");
    prompt.expect("stories260K.bin: llama2.c v0 F32", SHORT);
    prompt.expect(">>> ", SHORT);
}

/// A model that is not the one written is not run, unless somebody has put it there.
#[test]
fn a_damaged_model_is_not_run() {
    let Some(disk) = stories("models/").map(image) else { return };
    let mut stick = std::fs::read(&disk.path).unwrap();
    let place = |path: &str, byte: usize| {
        let file = disk.files.iter().find(|file| file.path == path).unwrap();
        file.offset_bytes.unwrap() as usize + byte
    };
    let (weight, piece) =
        (place("models/stories260K.bin", 300_000), place("models/tokenizer.bin", 3000));
    stick[piece] ^= 1;
    std::fs::write(&disk.path, &stick).unwrap();
    let mut prompt = Prompt(start(&Machine::new(&disk.path)));
    prompt.expect("models/stories260K.bin: tokenizer.bin: byte 0: the mebibyte from here on", BOOT);
    stick[piece] ^= 1;

    stick[weight] ^= 1;
    std::fs::write(&disk.path, &stick).unwrap();
    let mut prompt = Prompt(start(&Machine::new(&disk.path)));
    let said = prompt.expect("number, or arrows and Enter: ", BOOT);
    let line = "models/stories260K.bin: byte 0: the mebibyte from here on is not the one that was \
                written: write the stick again, or delete its checksums.txt to run the model as it is";
    assert!(said.contains(line), "{said}");
    assert!(said.contains("\nstories260K.bin: 1 MiB did not come as written: reading"), "{said}");

    // The folder's record of it: the name of eight and three letters, and at byte 24 the day of
    // the last change.
    let name = b"STORIE~1BIN";
    let record = stick.windows(name.len()).position(|bytes| bytes == name).unwrap();
    stick[record + 24] += 1;
    std::fs::write(&disk.path, &stick).unwrap();
    let mut prompt = Prompt(start(&Machine::new(&disk.path)));
    let said = prompt.expect(">>> ", BOOT);
    assert!(!said.contains("the mebibyte"), "{said}");
    assert!(!said.contains("is not checked"), "{said}");
    stick[record + 24] -= 1;

    // A list that is damaged itself blames no model.
    stick[place("checksums.txt", 0)] ^= 1;
    std::fs::write(&disk.path, &stick).unwrap();
    let mut prompt = Prompt(start(&Machine::new(&disk.path)));
    prompt.expect("checksums.txt: expected lines with the checksum ", BOOT);
    prompt.expect(": the model is not checked", SHORT);
    prompt.expect(">>> ", SHORT);
}

/// No model, no tokenizer, no memory: a line that says what to do.
#[test]
fn what_is_missing_is_said() {
    let empty = image(Vec::new());
    let mut prompt = Prompt(start(&Machine::new(&empty.path)));
    prompt.expect("No model found. Put a GGUF, or a llama2.c .bin", BOOT);
    prompt.expect("Any key leaves.", SHORT);

    let Some(mut files) = stories("models/") else { return };
    files.truncate(1);
    let disk = image(files);
    let mut prompt = Prompt(start(&Machine::new(&disk.path)));
    prompt.expect(
        "models/stories260K.bin: no tokenizer: put its tokenizer.bin beside the model",
        BOOT,
    );
    prompt.expect("number, or arrows and Enter: ", SHORT);

    let Some(model) = chat_model() else { return };
    let disk = image(vec![model]);
    let mut prompt = Prompt(start(&Machine { memory_mib: 160, ..Machine::new(&disk.path) }));
    let said = prompt.expect("take a smaller model", BOOT);
    assert!(said.contains("SmolLM2-135M-Instruct.Q4_1.gguf: needs "), "{said}");
}
