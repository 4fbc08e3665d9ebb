//! The console on a booted machine: keyboard, screen, what is kept on the stick, and what happens
//! when the stick or the power goes.

#![allow(clippy::unwrap_used, reason = "tests")]

use llamaboot_qemu_tests::{
    BOOT, Image, Prompt, SHORT, bytes, file, image, start, stick_made_by_hand, stories,
};
use llamaboot_test_support::{data, root};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use xtask::qemu::{Machine, Running, Writes};

/// A stick with the story model.
fn stick() -> Option<Image> {
    stories("models/").map(image)
}

fn picture(name: &str) -> PathBuf {
    root().join("target").join(name)
}

/// Pixels of a screenshot: width, and `(r, g, b)` of each.
fn pixels(path: &Path) -> (usize, Vec<[u8; 3]>) {
    let file = std::io::BufReader::new(fs::File::open(path).unwrap());
    let mut reader = png::Decoder::new(file).read_info().unwrap();
    let mut raw = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut raw).unwrap();
    let channels = info.color_type.samples();
    let pixels = raw[..info.buffer_size()].chunks(channels).map(|p| [p[0], p[1], p[2]]).collect();
    (info.width as usize, pixels)
}

/// Takes screenshots until one satisfies `good`; the last one stays for a person to look at.
fn await_picture(running: &mut Running, path: &Path, good: impl Fn(usize, &[[u8; 3]]) -> bool) {
    let deadline = Instant::now() + SHORT;
    loop {
        running.screenshot(path).unwrap();
        let complete = || fs::metadata(path).is_ok_and(|meta| meta.len() > 1000);
        if complete() && std::panic::catch_unwind(|| pixels(path)).is_ok_and(|(w, p)| good(w, &p)) {
            return;
        }
        assert!(Instant::now() < deadline, "{} never looked right", path.display());
    }
}

/// Share of pixels of a colour.
fn share(pixels: &[[u8; 3]], colour: [u8; 3]) -> f64 {
    pixels.iter().filter(|pixel| **pixel == colour).count() as f64 / pixels.len() as f64
}

const DARK: [u8; 3] = [0x11, 0x15, 0x1a];
const LIGHT: [u8; 3] = [0xfb, 0xf9, 0xf4];
const STATUS: [u8; 3] = [0x22, 0x2a, 0x33];

/// The QEMU key that types a character on a US keyboard.
fn key(us: char) -> String {
    let shifted = "~!@#$%^&*()_+{}|:\"<>?";
    let plain = "`1234567890-=[]\\;',./";
    let named = |c: char| match c {
        '`' => "grave_accent".to_string(),
        '-' => "minus".to_string(),
        '=' => "equal".to_string(),
        '[' => "bracket_left".to_string(),
        ']' => "bracket_right".to_string(),
        '\\' => "backslash".to_string(),
        ';' => "semicolon".to_string(),
        '\'' => "apostrophe".to_string(),
        ',' => "comma".to_string(),
        '.' => "dot".to_string(),
        '/' => "slash".to_string(),
        ' ' => "spc".to_string(),
        c => c.to_string(),
    };
    if us.is_ascii_uppercase() {
        return format!("shift-{}", us.to_ascii_lowercase());
    }
    match shifted.find(us) {
        Some(at) => format!("shift-{}", named(plain.chars().nth(at).unwrap())),
        None => named(us),
    }
}

/// What an AZERTY user's fingers do for "où est l'été ?" on keys that firmware takes for a US
/// keyboard; the model gets exactly these characters, and answers as it does to them on the host.
#[test]
fn an_azerty_user_writes_french() {
    let Some(disk) = stick() else { return };
    let mut prompt = Prompt::boot(&Machine::new(&disk.path));
    prompt.ask("/set keyboard fr");
    prompt.ask("/set temperature 0");
    prompt.ask("/set max_tokens 20");
    for c in "o' est l42t2 M".chars() {
        prompt.0.press(&key(c)).unwrap();
    }
    prompt.0.press("ret").unwrap();
    prompt.expect("où est l'été ?\r\n", SHORT);
    let answer = prompt.expect("\r\n>>> ", SHORT).replace("\r\n", "\n");
    let context = prompt.ask("/context");
    assert!(context.contains("  où est l'été ?\n"), "{context}");

    let host = std::process::Command::new(root().join("target/release/llamaboot"))
        .arg("generate")
        .arg(data("stories260K/stories260K.bin").unwrap())
        .arg("--tokenizer")
        .arg(data("stories260K/tok512.bin").unwrap())
        .args(["-p", "où est l'été ?", "-n", "256", "-t", "0"])
        .output()
        .unwrap();
    let text = String::from_utf8(host.stdout).unwrap();
    let continued = text.strip_prefix("où est l'été ?").unwrap();
    let answer = answer.rsplit_once("\n[").unwrap().0;
    assert!(answer.len() > 10 && continued.starts_with(answer), "{answer:?} {continued:?}");
}

/// F2 in the menu changes the keyboard; dead keys and AltGr work.
#[test]
fn the_menu_changes_the_keyboard() {
    let Some(mut files) = stories("models/") else { return };
    files.extend(stories("").unwrap());
    let disk = image(files);
    let mut prompt = Prompt(start(&Machine::new(&disk.path)));
    prompt.expect("F2: keyboard (", BOOT);
    prompt.expect("and Enter: ", SHORT);
    prompt.0.press("f2").unwrap();
    prompt.expect("de ", SHORT);
    prompt.expect("and Enter: ", SHORT);
    prompt.0.press("5").unwrap();
    prompt.expect("and Enter: ", SHORT);
    prompt.0.press("ret").unwrap();
    prompt.expect(">>> ", SHORT);
    // On a German keyboard: z and y change places, AltGr-q is @, dead circumflex and o make ô.
    for key in ["y", "alt_r-q", "grave_accent", "o", "minus", "ret"] {
        prompt.0.press(key).unwrap();
    }
    prompt.expect("z@ôß\r\n", SHORT);
}

/// The page: text on a dark ground, a status line below, another theme, scrolling back.
#[test]
fn the_screen_is_a_page_with_a_status_line() {
    let Some(disk) = stick() else { return };
    let mut prompt = Prompt::boot(&Machine::new(&disk.path));
    prompt.ask("/set temperature 0");
    prompt.ask("/set max_tokens 200");
    prompt.ask("");
    let (dark, back) = (picture("page_dark.png"), picture("page_back.png"));
    await_picture(&mut prompt.0, &dark, |width, pixels| {
        let last_rows = &pixels[pixels.len() - 20 * width..];
        share(pixels, DARK) > 0.8 && share(last_rows, STATUS) > 0.5
    });
    let at_end = pixels(&dark).1;
    // Up to the start of the page, and down again with the next key.
    prompt.ask("/help");
    prompt.0.press("pgup").unwrap();
    prompt.0.press("pgup").unwrap();
    await_picture(&mut prompt.0, &back, |_, pixels| pixels != at_end && share(pixels, DARK) > 0.7);
    prompt.ask("/set theme light");
    await_picture(&mut prompt.0, &picture("page_light.png"), |_, p| share(p, LIGHT) > 0.7);
}

/// Without graphics the conversation is on the serial line, and nothing is missed.
#[test]
fn a_machine_without_a_screen_talks_over_serial() {
    let Some(disk) = stick() else { return };
    let mut prompt = Prompt::boot(&Machine { screen: false, ..Machine::new(&disk.path) });
    assert_eq!(prompt.ask("/set theme light"), "theme is light\n");
    prompt.ask("/set max_tokens 5");
    assert!(prompt.ask("One day").contains("[5 tokens, "));
}

/// The settings file counts, and a mistake in it is told with its line.
#[test]
fn the_settings_file_counts() {
    let config = "language = \"fr\"\nkeyboard = \"de\"\ntemperature = 17\nmax_tokens = 5\n\
                  model = \"stories260K.bin\"\nautostart = 1\n";
    let mut files = stories("models/").unwrap_or_default();
    if files.is_empty() {
        return;
    }
    files.extend(stories("").unwrap());
    files.push(bytes("llamaboot.toml", config.into()));
    let disk = image(files);
    let mut prompt = Prompt(start(&Machine::new(&disk.path)));
    prompt.expect("llamaboot.toml : ligne 3 : temperature : attendu 0 à 5", BOOT);
    prompt.expect("stories260K.bin démarre dans 1 s ; une touche pour le menu", SHORT);
    prompt.expect("/help donne les commandes.", SHORT);
    prompt.expect(">>> ", SHORT);
    let shown = prompt.ask("/show");
    for line in ["\nkeyboard de\n", "\nmax_tokens 5\n", "\ntemperature auto\n", "\nlanguage fr\n"] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
}

/// A stick that cannot be written, one that is full, and one that is pulled out: a line each, and
/// the chat goes on.
#[test]
fn the_chat_goes_on_without_the_stick() {
    let Some(disk) = stick() else { return };
    let turn = |prompt: &mut Prompt| {
        let answer = prompt.ask("One day");
        assert!(answer.contains("[5 tokens, "), "{answer}");
        answer
    };
    let machine = Machine { writes: Writes::Refused, ..Machine::new(&disk.path) };
    let mut prompt = Prompt::boot(&machine);
    prompt.ask("/set max_tokens 5");
    assert!(turn(&mut prompt).contains("not saved: this place is read-only"));
    assert!(!turn(&mut prompt).contains("not saved"));
    drop(prompt);

    // FAT32 has no smaller volumes than this one, so most of it must be taken.
    let mut files = stories("models/").unwrap();
    files.push(bytes("taken.dat", vec![0; 64 << 20]));
    let full = stick_made_by_hand(files);
    let mut prompt = Prompt::boot(&Machine::new(&full.path));
    prompt.ask("/set max_tokens 5");
    assert!(turn(&mut prompt).contains("not saved: there is no room left"));
    assert!(!turn(&mut prompt).contains("not saved"));
    drop(prompt);

    let mut prompt = Prompt::boot(&Machine::new(&disk.path));
    prompt.ask("/set max_tokens 5");
    assert!(!turn(&mut prompt).contains("not saved"));
    prompt.0.pull_stick().unwrap();
    let answer = turn(&mut prompt);
    assert!(answer.contains("not saved: "), "{answer}");
    assert!(!turn(&mut prompt).contains("not saved"));
    prompt.send("/poweroff\r");
    prompt.0.wait_off(SHORT).unwrap();
}

/// Power cuts at random moments of saving: the next start has the old chat or the new one, whole.
/// Each start is a check of the cut before it. `LLAMABOOT_POWER_CUTS` sets how many there are.
#[test]
fn power_cuts_leave_the_old_chat_or_the_new_one() {
    let Some(disk) = stick() else { return };
    let cuts = std::env::var("LLAMABOOT_POWER_CUTS").map_or(50, |n| n.parse().unwrap());
    // So slow that saving takes some tenths of a second.
    let machine = Machine { writes: Writes::Kept(15), memory_mib: 512, ..Machine::new(&disk.path) };
    let mut random = 0x2545_f491_u64;
    let (mut acknowledged, mut kept) = (0, [0, 0]);
    for cut in 0..=cuts {
        let mut prompt = Prompt(start(&machine));
        let resumed = cut > 0 && acknowledged > 0;
        if resumed {
            prompt.expect("The last chat: ", BOOT);
            let offer = prompt.expect(" y goes on with it", SHORT);
            let turns: usize = offer.split(' ').next().unwrap().parse().unwrap();
            assert!(
                turns == acknowledged || turns == acknowledged + 1,
                "cut {cut}: {turns} turns, {acknowledged} were acknowledged"
            );
            kept[turns - acknowledged] += 1;
            acknowledged = turns;
            prompt.expect(">>> ", BOOT);
            prompt.send("y\r");
        }
        prompt.expect(">>> ", BOOT);
        if resumed {
            // Whole: every turn is there, with its text. A base model has no more than its last
            // one in its context, so it is made to chat while that is looked at.
            prompt.ask("/set template plain");
            let context = prompt.ask("/context");
            prompt.ask("/set template none");
            for turn in 0..acknowledged {
                assert!(context.contains(&long_question(turn)[..50]), "cut {cut}: {context}");
            }
            if acknowledged >= 8 {
                prompt.ask("/clear");
                acknowledged = 0;
            }
        }
        if cut == cuts {
            break;
        }
        prompt.ask("/set max_tokens 2");
        if acknowledged == 0 {
            prompt.ask(&long_question(0));
            acknowledged = 1;
        }
        prompt.send(&format!("{}\r", long_question(acknowledged)));
        prompt.expect("[2 tokens, ", SHORT);
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        std::thread::sleep(Duration::from_millis(random % 120));
        prompt.0.cut_power().unwrap();
    }
    println!("{cuts} cuts: {} times the old chat, {} times the new one", kept[0], kept[1]);
    let few = cuts < 20;
    assert!(few || kept.iter().all(|&n| n > 0), "every cut came at the same side: {kept:?}");
}

/// A question of some sectors' length once it is kept.
fn long_question(turn: usize) -> String {
    format!("turn {turn} of a chat that is cut off again and again, {}", "word ".repeat(2))
}

/// What is said incognito is nowhere in memory once the machine is off; what is said otherwise is.
#[test]
fn incognito_leaves_nothing_in_memory() {
    let Some(disk) = stick() else { return };
    let machine = Machine { memory_mib: 512, ..Machine::new(&disk.path) };
    for incognito in [false, true] {
        let mut prompt = Prompt(machine.start_to_stay().unwrap());
        prompt.expect(">>> ", BOOT);
        if incognito {
            prompt.ask("/incognito");
        }
        prompt.ask("/set max_tokens 5");
        prompt.ask("xyzzyplugh");
        prompt.send("/poweroff\r");
        prompt.0.wait_halted(SHORT).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let dump = folder.path().join("memory");
        prompt.0.dump_memory(machine.memory_mib, &dump).unwrap();
        let memory = fs::read(&dump).unwrap();
        let found = find_all(&memory, b"xyzzyplugh");
        assert_eq!(found.is_empty(), incognito, "incognito {incognito}: at {found:x?}");
    }
}

fn find_all(haystack: &[u8], needle: &[u8]) -> Vec<usize> {
    let first = needle[0];
    let starts = haystack.iter().enumerate().filter(|(_, byte)| **byte == first);
    starts.map(|(at, _)| at).filter(|&at| haystack[at..].starts_with(needle)).collect()
}

/// `/models` goes on with another model; the conversation stays.
#[test]
fn another_model_takes_the_conversation_over() {
    let Some(mut files) = stories("models/") else { return };
    files.push(file("models/second.bin", &data("stories260K/stories260K.bin").unwrap()));
    let disk = image(files);
    let mut prompt = Prompt(start(&Machine::new(&disk.path)));
    prompt.expect("and Enter: ", BOOT);
    prompt.send("1");
    prompt.expect(">>> ", SHORT);
    prompt.ask("/set template plain");
    prompt.ask("/set max_tokens 5");
    prompt.ask("Remember the red ball.");
    prompt.send("/models\r");
    prompt.expect("and Enter: ", SHORT);
    prompt.send("2");
    prompt.expect(">>> ", SHORT);
    let context = prompt.ask("/context");
    assert!(context.contains("Remember the red ball."), "{context}");
    assert!(prompt.ask("/show max_tokens").contains("max_tokens 5"));
}

/// `/boot` starts the loader of another disk; without one it says so and the chat goes on.
#[test]
fn boot_starts_the_installed_system() {
    let Some(disk) = stick() else { return };
    let mut prompt = Prompt::boot(&Machine::new(&disk.path));
    assert_eq!(prompt.ask("/boot"), "no installed system was found\n");
    drop(prompt);
    // In the part of the installed system: the boot program itself, from a disk without models.
    let other = image(vec![file("EFI/debian/grubx64.efi", &llamaboot_qemu_tests::efi())]);
    let machine = Machine { other_disk: Some(other.path.clone()), ..Machine::new(&disk.path) };
    let mut prompt = Prompt::boot(&machine);
    prompt.send("/boot\r");
    prompt.expect("llamaboot 0.1.0", SHORT);
}

/// Noise on the serial line (control characters, broken UTF-8, a flood) harms nothing.
#[test]
fn noise_on_the_serial_line_is_harmless() {
    let Some(disk) = stick() else { return };
    let mut prompt = Prompt::boot(&Machine::new(&disk.path));
    prompt.ask("/set max_tokens 3");
    prompt.0.send_bytes(b"\xff\xfe\xc3(\xed\xa0\x80\x00\x0e\x1b[99;99z\x1b[<\x07").unwrap();
    let flood: Vec<u8> = (0..20_000).map(|i| b"once upon a time "[i % 17]).collect();
    prompt.0.send_at_once(&flood).unwrap();
    prompt.send("\x03");
    prompt.expect("\r\n>>> ", SHORT);
    assert!(prompt.ask("One day").contains("[3 tokens, "));
}
