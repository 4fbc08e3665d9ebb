//! Conversations on the host: what the model has seen is what was said, once; what is kept comes
//! back; what cannot be kept costs a line.

#![allow(clippy::unwrap_used, reason = "tests")]

mod stage;

use llamaboot_chat::{Settings, StorageError, Style};
use llamaboot_test_support::{read, smollm2};
use stage::{Script, Stick, converse};

/// The story model with its tokenizer.
fn stories() -> Option<(Vec<u8>, Vec<u8>)> {
    Some((read("stories260K/stories260K.bin")?, read("stories260K/tok512.bin")?))
}

/// A session with the story model as a chat (`User: …`): quick, and with turns.
fn story_chat(text: &str, context: usize, stick: &mut Stick) -> Option<Script> {
    let (model, tokenizer) = stories()?;
    let mut script = Script::new(&format!("/set template plain\r{text}"), &[]);
    converse((&model, Some(&tokenizer)), context, &mut script, stick);
    Some(script)
}

/// Tokens in use, as `/show` says at the end.
fn used(script: &Script) -> usize {
    let at = script.said.rfind("\ncontext ").unwrap();
    let before = script.said[..at].rfind("\ncontext ").unwrap();
    script.said[before + 9..].split(' ').next().unwrap().parse().unwrap()
}

/// Esc before the first batch, in the middle of the prompt, and `/logits` in between change nothing
/// of what the model has seen when it answers the next question.
#[test]
fn interruptions_lose_nothing_and_repeat_nothing() {
    let Some(path) = smollm2() else { return };
    let bytes = std::fs::read(path).unwrap();
    let run = |text: &str, interrupts: &[Option<usize>]| {
        let mut script = Script::new(text, interrupts);
        converse((&bytes, None), 256, &mut script, &mut Stick::default());
        script
    };
    let question = "What is the capital of France?\r";
    let plain = run(&format!("/set max_tokens 1\r{question}{question}/show\r"), &[]);
    for (first, more) in [(0, ""), (2, ""), (0, "/logits\r"), (2, "/bench 2\r")] {
        let text = format!("/set max_tokens 1\r{question}{more}{question}/show\r");
        let script = run(&text, &[Some(first)]);
        assert!(script.said.contains("[stopped]"), "{}", script.said);
        // The interrupted answer had no token; the plain one had one.
        assert_eq!(used(&script) + 1, used(&plain), "Esc at {first} {more:?}: {}", script.said);
    }
}

/// What `/set verbose on` says of a prompt: tokens computed, tokens kept.
fn prompts(script: &Script) -> Vec<(usize, usize)> {
    let lines = script.said.lines().filter_map(|line| line.strip_prefix("[prompt "));
    let numbers = lines.map(|line| {
        let mut words = line.split([' ', ',']).filter_map(|word| word.parse::<usize>().ok());
        (words.next().unwrap(), words.next_back().unwrap())
    });
    numbers.collect()
}

/// A turn costs its own new tokens: what closes the last answer, and the new question.
#[test]
fn turn_ten_computes_only_its_own_tokens() {
    let Some(path) = smollm2() else { return };
    let bytes = std::fs::read(path).unwrap();
    let question = "Name a colour.\r".repeat(10);
    let mut script = Script::new(&format!("/set max_tokens 4\r/set verbose on\r{question}"), &[]);
    converse((&bytes, None), 1024, &mut script, &mut Stick::default());
    let prompts = prompts(&script);
    assert_eq!(prompts.len(), 10, "{}", script.said);
    let (_, kept) = prompts[1];
    let own = prompts[1].0;
    for (turn, &(computed, kept_now)) in prompts.iter().enumerate().skip(1) {
        // <|im_end|> \n <|im_start|>user\n … <|im_end|>\n<|im_start|>assistant\n: 18 tokens or so,
        // and the last token of the answer before, which was never computed.
        assert!(computed <= 20, "turn {turn}: {computed}");
        assert!(computed.abs_diff(own) <= 1, "turn {turn}: {computed} and {own}");
        assert!(kept_now >= kept + (turn - 1) * own, "turn {turn}: {kept_now}");
    }
}

/// A conversation that outgrows its context goes on without its oldest turns; the user is told
/// once, and the system prompt stays.
#[test]
fn a_full_context_forgets_whole_turns() {
    let text = "/system Be kind.\r/set max_tokens 40\r".to_string()
        + &"Tell me about the little dog.\r".repeat(12)
        + "/context\r/set verbose on\rAnd the cat?\r";
    let Some(script) = story_chat(&text, 256, &mut Stick::default()) else { return };
    assert_eq!(script.said.matches("the oldest questions are left out").count(), 1);
    assert!(!script.said.contains("the context is full; go on"), "{}", script.said);
    let answers = script.answers();
    let context = answers[answers.len() - 3];
    let turns = context.lines().filter(|line| line.contains("little dog")).count();
    assert!((1..6).contains(&turns), "{context}");
    // The first turn that is left carries the system prompt: it has more tokens than the others.
    let count = |line: &str| line.split_whitespace().next().unwrap().parse::<usize>().unwrap();
    let counts: Vec<usize> = context.lines().skip(1).take(turns).map(count).collect();
    assert!(counts[0] > counts[1] + 3, "{context}");
}

/// An answer that fills the context in its middle goes on behind shortened history.
#[test]
fn a_long_answer_outlives_the_context() {
    let text = "/set max_tokens 30\r".to_string()
        + &"Tell me about the little dog.\r".repeat(2)
        + "/set max_tokens 150\rA long story, please.\r";
    let Some(script) = story_chat(&text, 256, &mut Stick::default()) else { return };
    let last = *script.answers().last().unwrap();
    assert!(last.contains("[150 tokens, "), "{last}");
}

/// A question that fits no context costs a line, and not the conversation.
#[test]
fn a_question_that_is_too_long_costs_nothing() {
    let long = "word ".repeat(600);
    let text = format!(
        "/set max_tokens 5\rTell me about a dog.\r{long}\r/context\rAnd a cat?\r/context\r"
    );
    let Some(script) = story_chat(&text, 256, &mut Stick::default()) else { return };
    let answers = script.answers();
    assert!(answers[3].contains("the context is full: "), "{}", answers[3]);
    assert!(answers[4].contains("Tell me about a dog."), "{}", answers[4]);
    assert!(answers[5].contains("[5 tokens, "), "{}", answers[5]);
    assert_eq!(answers[6].lines().count(), 3, "{}", answers[6]);
}

#[test]
fn undo_regen_and_edit_change_the_last_turn() {
    let text = "/set max_tokens 8\rOne dog.\rOne cat.\r/context\r/undo\r/context\r/regen\r/edit\r\x15\
                /context\r/undo\r";
    let Some(script) = story_chat(text, 512, &mut Stick::default()) else { return };
    let answers = script.answers();
    let turns = |said: &str| said.lines().count() - 1;
    assert_eq!((turns(answers[4]), turns(answers[6])), (2, 1), "{}", script.said);
    assert_eq!(answers[7], answers[2], "greedy, it says the same again");
    assert!(script.said.contains(">>> One dog.\u{8}"), "{}", script.said);
    // The line was taken back and thrown away, so no turn is left.
    assert_eq!(turns(answers[answers.len() - 2]), 0, "{}", script.said);
    assert!(answers.last().unwrap().contains("there is no answer yet"));
}

/// A kept chat comes back with the same tokens, so the next answer is that of a chat never left.
#[test]
fn what_is_saved_goes_on_as_if_never_left() {
    let questions = "/set max_tokens 20\rTell me about a dog.\rAnd a cat?\r";
    let mut stick = Stick::default();
    let text = format!("{questions}/save pets\rAnd a bird?\r/chats\r");
    let Some(before) = story_chat(&text, 512, &mut stick) else { return };
    let answers = before.answers();
    let bird = answers[5];
    assert!(answers[6].contains("pets  2 questions"), "{}", before.said);

    // Another day: the last chat is offered, refused; the named one is loaded.
    let mut script = Script::new(
        "n\r/set template plain\r/set max_tokens 20\r/load pets\rAnd a bird?\r/delete pets\r/chats\r/load pets\r",
        &[],
    );
    let (model, tokenizer) = stories().unwrap();
    converse((&model, Some(&tokenizer)), 512, &mut script, &mut stick);
    assert!(script.said.contains("The last chat: 3 questions, m: \"And a bird?\". y goes on"));
    let answers = script.answers();
    assert!(answers[0].trim().is_empty(), "{}", answers[0]);
    assert!(answers[3].starts_with("> And a cat?\n"), "{}", answers[3]);
    assert_eq!(answers[4], bird);
    assert!(answers[6].contains("no chats are saved"), "{}", answers[6]);
    assert!(answers[7].contains("there is no chat pets"));

    // A file that was read goes with the next question, of a chat that is loaded meanwhile as well.
    stick.files.insert("dog.txt".into(), b"The dog is called Rex.\n".to_vec());
    let mut script = Script::new(
        "/set template plain\r/set max_tokens 20\rTell me about a dog.\r/save rex\r\
         /read dog.txt\r/load rex\rAnd a bird?\r/context\r",
        &[],
    );
    let mut other = Stick { files: stick.files.clone(), ..Stick::default() };
    converse((&model, Some(&tokenizer)), 512, &mut script, &mut other);
    let answers = script.answers();
    assert!(answers[7].contains("called Rex"), "{}", script.said);

    // Resumed at the start, in the same words: commands and empty lines come before that.
    let mut script = Script::new("/set template plain\r\rYES\r/context\r", &[]);
    converse((&model, Some(&tokenizer)), 512, &mut script, &mut stick);
    assert!(script.said.contains(">>> YES\n> And a bird?\n"), "{}", script.said);
    assert_eq!(script.answers()[3].lines().count(), 4, "{}", script.said);

    // Any other line is the first question, and after it a y is one, too.
    // So is one between fences, and whatever forgets or loads a chat ends the offer.
    for (first, lines) in [
        ("yes, a bird\r", "  yes, a bird\n"),
        ("\"\"\"no\"\"\"\r", "  no\n"),
        ("/clear\r", ""),
        ("n\r", ""),
    ] {
        let text = format!("/set template plain\r/set max_tokens 4\r{first}y\r/context\r");
        let mut script = Script::new(&text, &[]);
        converse((&model, Some(&tokenizer)), 512, &mut script, &mut stick);
        let context = script.answers()[4];
        assert!(context.contains(lines) && context.contains("  y\n"), "{context}");
        assert!(!context.contains("And a bird?"), "{context}");
    }
}

#[test]
fn a_stick_that_cannot_be_written_costs_one_line() {
    for (fault, line) in [
        (StorageError::ReadOnly, "not saved: this place is read-only"),
        (StorageError::Full, "not saved: there is no room left"),
        (StorageError::Failed("it is gone".into()), "not saved: it is gone"),
    ] {
        let mut stick = Stick { fault: Some(fault), ..Stick::default() };
        let text = "/set max_tokens 4\rOne.\rTwo.\r/save x\rThree.\r";
        let Some(script) = story_chat(text, 512, &mut stick) else { return };
        assert_eq!(script.said.matches(line).count(), 2, "once by itself, once for /save");
        assert_eq!(script.said.matches("[4 tokens, ").count(), 3, "{}", script.said);
    }
}

#[test]
fn incognito_writes_nothing() {
    let mut stick = Stick::default();
    let text = "/incognito\r/set max_tokens 4\rA secret.\r/save x\r/incognito\r/context\r";
    let Some(script) = story_chat(text, 512, &mut stick) else { return };
    assert_eq!(stick.writes, 0);
    assert!(script.said.contains("incognito: nothing is written"), "{}", script.said);
    assert!(script.answers().last().unwrap().contains("0 of 512 tokens"), "{}", script.said);
}

#[test]
fn a_file_goes_before_the_next_question() {
    let mut stick = Stick::default();
    stick.files.insert("dog.txt".into(), b"The dog is called Rex.\n".to_vec());
    stick.files.insert("bad.txt".into(), b"caf\xe9".to_vec());
    stick.files.insert("long.txt".into(), vec![b'x'; (1 << 20) + 1]);
    stick.files.insert("full.txt".into(), "a dog ".repeat(400).into());
    stick.files.insert("cat.txt".into(), b"The cat is called Tom.\n".to_vec());
    stick.files.insert("empty.txt".into(), b" \n".to_vec());
    let text = "/set max_tokens 4\r/read dog.txt\rWho is Rex?\r/context\r/read bad.txt\r\
                /read no.txt\r/read long.txt\r/read d\t\r/read full.txt\r/read cat.txt\r\
                /read empty.txt\rAnd he?\r/context\r";
    let Some(script) = story_chat(text, 512, &mut stick) else { return };
    let answers = script.answers();
    assert!(answers[2].starts_with("dog.txt: "), "{}", answers[2]);
    assert!(answers[4].contains("The dog is called Rex.  Who is Rex?"), "{}", answers[4]);
    assert_eq!(answers[5], "bad.txt: byte 3: expected UTF-8 text\n");
    assert_eq!(answers[6], "no.txt: there is no such file\n");
    assert_eq!(answers[7], "long.txt: it is longer than 1048576 bytes\n");
    assert!(answers[8].starts_with("dog.txt: "), "Tab completes: {}", script.said);
    // What cannot fit is not read, and nothing is stuck: what was read before goes with the question.
    assert!(
        answers[9].ends_with("tokens, more than three quarters of the context (512): not read\n")
    );
    // One text goes behind the other.
    assert!(answers[10].contains(" tokens with what was read before, "), "{}", answers[10]);
    assert_eq!(answers[11], "empty.txt: there is no text in it\n");
    assert!(answers[12].contains("[4 tokens, "), "{}", answers[12]);
    let both = "The dog is called Rex.  The cat is called Tom.  And he?";
    assert!(answers[13].contains(both), "{}", answers[13]);
}

/// `/why` tells of the very tokens of the answer; a greedy one was the likeliest each time.
#[test]
fn why_shows_the_likeliest_tokens_of_a_greedy_answer() {
    let text = "/set max_tokens 6\rTell me about a dog.\r/why\r";
    let Some(script) = story_chat(text, 512, &mut Stick::default()) else { return };
    let why = *script.answers().last().unwrap();
    let rows: Vec<&str> = why.lines().collect();
    assert_eq!(rows.len(), 6, "{why}");
    for row in rows {
        let percents: Vec<f64> = row
            .split(" %")
            .filter_map(|part| part.split([' ', ',']).next_back()?.parse().ok())
            .collect();
        assert!(percents.len() == 4 && percents[1..].iter().all(|p| *p <= percents[0]), "{row}");
    }
    assert!(script.styles.iter().any(|style| matches!(style, Style::Likely(_))));
}

/// With a grammar every answer is valid, whatever the model would rather say, and wherever it runs
/// out of tokens or of context.
#[test]
fn json_is_always_json() {
    let mut text = String::from("/set format json\r/set temperature 1\r");
    for seed in 1..=20 {
        let max_tokens = [0, 5 * seed][seed % 2];
        text +=
            &format!("/set max_tokens {max_tokens}\r/set seed {seed}\rTell me a story.\r/clear\r");
    }
    let Some(script) = story_chat(&text, 300, &mut Stick::default()) else { return };
    let answers = script.answers();
    for answer in answers[3..].iter().skip(2).step_by(4) {
        let json = answer.trim_end().rsplit_once("\n[").unwrap().0;
        let value = serde_json::from_str::<serde_json::Value>(json);
        assert!(value.is_ok_and(|v| v.is_object() || v.is_array()), "{answer}");
    }
}

#[test]
fn a_grammar_of_ones_own_is_obeyed_and_a_wrong_one_is_named() {
    let mut stick = Stick::default();
    stick.files.insert("yes.gbnf".into(), b"root ::= \"yes\" | \"no\"\n".to_vec());
    stick.files.insert("bad.gbnf".into(), b"root ::= lost\n".to_vec());
    let text = "/set format yes.gbnf\rIs it true?\r/set format bad.gbnf\r/show format\r";
    let Some(script) = story_chat(text, 512, &mut stick) else { return };
    let answers = script.answers();
    let said = answers[2].lines().next().unwrap();
    assert!(["yes", "no"].contains(&said), "{said}");
    assert!(answers[3].starts_with("bad.gbnf: grammar: line 1: "), "{}", answers[3]);
    assert_eq!(answers[4], "format yes.gbnf\n");
}

#[test]
fn stop_texts_end_an_answer() {
    let text =
        "/set max_tokens 60\rTell me about a dog.\r/clear\r/set stop .\rTell me about a dog.\r";
    let Some(script) = story_chat(text, 512, &mut Stick::default()) else { return };
    let answers = script.answers();
    let whole = answers[2].split('.').next().unwrap();
    let stopped = answers[5].split("\n[").next().unwrap();
    assert_eq!(stopped, whole);
    assert!(!answers[5].contains("[stopped]"), "{}", answers[5]);
}

/// Everything `/set` knows has a value that `/show` tells.
#[test]
fn show_tells_every_setting() {
    let Some(script) = story_chat("/show\r", 512, &mut Stick::default()) else { return };
    let shown = *script.answers().last().unwrap();
    for line in Settings::default().describe().lines() {
        let name = line.split(' ').next().unwrap();
        assert!(shown.contains(&format!("\n{name} ")), "{name}: {shown}");
    }
}

#[test]
fn the_interface_speaks_french() {
    let Some(script) = story_chat(
        "/set language fr\r/clear\r/hlep\r/set top_p 2\r/undo\r",
        512,
        &mut Stick::default(),
    ) else {
        return;
    };
    let answers = script.answers();
    assert_eq!(answers[1], "language : fr\n");
    assert_eq!(answers[2], "la conversation est oubliée\n");
    assert_eq!(answers[3], "\"/hlep\" n'est pas une commande ; /help en donne la liste\n");
    assert!(answers[4].starts_with("top_p : attendu 0 à 1"), "{}", answers[4]);
    assert_eq!(answers[5], "il n'y a pas encore de réponse\n");
}
