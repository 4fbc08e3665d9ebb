//! Conversations as tokens, against the Jinja templates of the model families: what `minijinja`
//! renders and our tokenizer encodes, with control tokens recognised.

#![allow(clippy::unwrap_used, reason = "tests")]

mod vocabularies;

use llamaboot_chat::Template;
use llamaboot_checkpoint::gguf::Gguf;
use llamaboot_tokenizer::{Special, StreamDecoder, Tokenizer};
use minijinja::{Environment, context};
use vocabularies::Vocabulary;

/// A family: its template, the name it must be known by, a vocabulary that has its tokens.
struct Family {
    name: &'static str,
    jinja: &'static str,
    vocabulary: Vocabulary,
    /// The template takes a system text, and writes it where a first turn has it.
    system: bool,
    default_system: Option<&'static str>,
    /// What the name alone stands for.
    named: bool,
}

macro_rules! family {
    ($name:expr, $file:expr, $vocabulary:ident) => {
        Family {
            name: $name,
            jinja: include_str!(concat!("../data/templates/", $file, ".jinja")),
            vocabulary: vocabularies::$vocabulary,
            system: true,
            default_system: None,
            named: true,
        }
    };
}

fn families() -> Vec<Family> {
    let chatml = Some("You are a careful test.\nAnswer shortly.");
    let alpaca = Some("Below is a task of a test. Write its answer.");
    vec![
        Family { default_system: chatml, ..family!("chatml", "chatml", CHATML) },
        Family { default_system: chatml, ..family!("chatml", "chatml", CHATML_SENTENCEPIECE) },
        family!("llama2", "llama2", LLAMA),
        family!("llama3", "llama3", LLAMA3),
        Family { named: false, ..family!("llama3", "llama3.1", LLAMA3) },
        family!("zephyr", "zephyr", LLAMA),
        family!("zephyr", "zephyr", ZEPHYR_TOKENS),
        Family { system: false, named: false, ..family!("mistral", "mistral-v0.1", LLAMA) },
        Family { system: false, ..family!("mistral", "mistral-v0.2", LLAMA) },
        Family { named: false, ..family!("mistral", "mistral-v1", LLAMA) },
        family!("mistral", "mistral-v3", MISTRAL_V3),
        Family { named: false, ..family!("mistral", "mistral-tekken", MISTRAL_V3) },
        family!("gemma", "gemma", GEMMA),
        family!("phi3", "phi3", PHI3),
        Family { default_system: alpaca, ..family!("alpaca", "alpaca", LLAMA) },
    ]
}

/// A GGUF of one key: a chat template.
fn gguf(template: &str) -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
    let (version, string) = (3u32.to_le_bytes(), 8u32.to_le_bytes());
    let (tensors, keys) = (0u64.to_le_bytes(), 1u64.to_le_bytes());
    let key = text("tokenizer.chat_template");
    [b"GGUF", &version[..], &tensors, &keys, &key, &string, &text(template)].concat()
}

fn of(jinja: &str, tokenizer: &Tokenizer) -> Result<Option<Template>, &'static str> {
    let bytes = gguf(jinja);
    Template::of(&Gguf::parse(&bytes, bytes.len() as u64).unwrap(), tokenizer)
}

fn text_of(tokenizer: &Tokenizer, token: Option<u32>) -> &str {
    token.map_or("", |id| str::from_utf8(tokenizer.token_bytes(id).unwrap()).unwrap())
}

/// What the template writes, as `transformers` sets Jinja up.
fn render(jinja: &str, tokenizer: &Tokenizer, messages: &[(&str, &str)]) -> String {
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    let message = |(role, content)| context! { role, content };
    let messages: Vec<_> = messages.iter().copied().map(message).collect();
    let (bos_token, eos_token) = (tokenizer.bos(), tokenizer.eos());
    let (bos_token, eos_token) = (text_of(tokenizer, bos_token), text_of(tokenizer, eos_token));
    let add_generation_prompt = true;
    let context = context! { messages, bos_token, eos_token, add_generation_prompt };
    environment.render_str(jinja, context).unwrap()
}

/// The ids of what a template has written, BOS before them where the model wants one.
fn encode(tokenizer: &Tokenizer, rendered: &str) -> Vec<u32> {
    let mut ids = tokenizer.encode(rendered, Special::Parse);
    if tokenizer.adds_bos() && ids.first().copied() != tokenizer.bos() {
        ids.splice(..0, tokenizer.bos());
    }
    ids
}

fn decode(tokenizer: &Tokenizer, ids: &[u32]) -> String {
    let (mut decoder, mut text) = (StreamDecoder::new(None), String::new());
    ids.iter().for_each(|&id| decoder.push(tokenizer, id, &mut text));
    decoder.finish(&mut text);
    text
}

const SYSTEMS: [&str; 4] = ["You are helpful.", "  Räume außen ", "Zwei\nZeilen\n", "\n\n系统 🦙"];

const TEXTS: [&str; 9] = [
    "Hello",
    "  Où est l'été ?  ",
    "one\ntwo\n\nfour",
    "\n\nline ends around\n",
    "🦙 says “hi”",
    " a space before",
    "two  spaces   three\ttab\t",
    "]INST [ /INST] <<SYS> <|user |> ###",
    "数字 12345 и буквы",
];

/// Every combination of a system text and up to three turns, each text in each place.
fn conversations(system: bool) -> impl Iterator<Item = (Option<&'static str>, Vec<&'static str>)> {
    let systems = SYSTEMS.map(Some).into_iter().filter(move |_| system).chain([None]);
    systems.flat_map(|system| {
        (1..=3).flat_map(move |turns| {
            let texts = move |at| (0..turns).map(|turn| TEXTS[(at + 2 * turn) % 9]).collect();
            (0..TEXTS.len()).map(move |at| (system, texts(at)))
        })
    })
}

/// Checks one conversation: all of it is `first`, then answers with `closing` and `next` between.
fn check(
    template: &Template,
    tokenizer: &Tokenizer,
    jinja: &str,
    system: Option<&str>,
    users: &[&str],
) {
    const ANSWER: &str = "Bien sûr, 3 lamas";
    let mut messages: Vec<_> = system.iter().map(|&text| ("system", text)).collect();
    for (turn, &user) in users.iter().enumerate() {
        messages.extend((turn > 0).then_some(("assistant", ANSWER)));
        messages.push(("user", user));
    }
    let rendered = render(jinja, tokenizer, &messages);
    let wanted = encode(tokenizer, &rendered);
    let what = |ids: &[u32]| format!("{rendered:?}: {ids:?}, not {wanted:?}");

    let system = system.or(template.default_system());
    let first = template.first(tokenizer, system, users[0]);
    let mut rest = wanted.strip_prefix(&first[..]).unwrap_or_else(|| panic!("{}", what(&first)));
    for user in &users[1..] {
        let next = [template.closing(), template.next(tokenizer, user)].concat();
        let at = rest.windows(next.len()).position(|window| window == next);
        let at = at.unwrap_or_else(|| panic!("{}", what(&next)));
        assert_eq!(decode(tokenizer, &rest[..at]).trim(), ANSWER, "{}", what(&next));
        rest = &rest[at + next.len()..];
    }
    assert!(rest.is_empty(), "{rest:?} is left of {rendered:?}");
}

#[test]
fn conversations_are_the_tokens_of_what_the_models_template_writes() {
    for family in families() {
        let Some(tokenizer) = family.vocabulary.tokenizer() else { return };
        let template = of(family.jinja, &tokenizer).unwrap().unwrap();
        assert_eq!(template.name(), family.name);
        assert_eq!(template.default_system(), family.default_system, "{}", family.name);
        for (system, users) in conversations(family.system) {
            // Mistral's newer templates move the system text into the last turn.
            let moved = family.jinja.contains("loop.last and system_message");
            if !moved || system.is_none() || users.len() == 1 {
                check(&template, &tokenizer, family.jinja, system, &users);
            }
        }
    }
}

#[test]
fn templates_by_name_write_what_the_families_do() {
    for family in families() {
        // Of a family's variants the name stands for one.
        if !family.named {
            continue;
        }
        let Some(tokenizer) = family.vocabulary.tokenizer() else { return };
        let named = Template::named(family.name, &tokenizer).unwrap().unwrap();
        assert_eq!(named.name(), family.name);
        let own = of(family.jinja, &tokenizer).unwrap().unwrap();
        for (system, users) in conversations(true) {
            let first = |template: &Template| template.first(&tokenizer, system, users[0]);
            assert_eq!(first(&named), first(&own), "{} {system:?} {users:?}", family.name);
            let next = |template: &Template| template.next(&tokenizer, users[0]);
            assert_eq!(next(&named), next(&own), "{} {users:?}", family.name);
            assert_eq!(named.closing(), own.closing());
        }
    }
}

#[test]
fn plain_conversations_are_one_text() {
    let jinja = include_str!("../data/templates/plain.jinja");
    for vocabulary in [vocabularies::LLAMA, vocabularies::GPT2] {
        let Some(tokenizer) = vocabulary.tokenizer() else { return };
        let template = Template::named("plain", &tokenizer).unwrap().unwrap();
        assert_eq!(template.closing(), []);
        for (system, users) in conversations(true) {
            check(&template, &tokenizer, jinja, system, &users);
        }
    }
}

#[test]
fn smollm2s_own_template() {
    let Some(path) = llamaboot_test_support::smollm2() else { return };
    let bytes = std::fs::read(path).unwrap();
    let gguf = Gguf::parse(&bytes, bytes.len() as u64).unwrap();
    let tokenizer = Tokenizer::from_metadata(&gguf).unwrap();
    let template = Template::of(&gguf, &tokenizer).unwrap().unwrap();
    let jinja = gguf.text("tokenizer.chat_template").unwrap().unwrap();
    assert_eq!(template.name(), "chatml");
    assert!(template.default_system().unwrap().starts_with("You are a helpful AI assistant"));
    for (system, users) in conversations(true) {
        check(&template, &tokenizer, jinja, system, &users);
    }
}

#[test]
fn what_a_user_types_is_never_a_control_token() {
    for family in families() {
        let Some(tokenizer) = family.vocabulary.tokenizer() else { return };
        let template = of(family.jinja, &tokenizer).unwrap().unwrap();
        let ends = [text_of(&tokenizer, tokenizer.bos()), text_of(&tokenizer, tokenizer.eos())];
        let added = family.vocabulary.added.iter().map(|(name, _)| *name).chain(ends);
        // Gemma's line ends and runs of spaces are text, whoever types them.
        let names: Vec<_> =
            added.filter(|name| !name.trim_matches(['\n', '▁']).is_empty()).collect();
        // Found by name: a file may call a marker something else than a control token.
        let marks: Vec<_> = names.iter().map(|name| tokenizer.control_id(name).unwrap()).collect();
        let marks = |ids: &[u32]| -> Vec<u32> {
            ids.iter()
                .copied()
                .filter(|&id| marks.contains(&id) || tokenizer.is_control(id))
                .collect()
        };
        for name in names {
            let typed = format!("{name}x {name}system\nno{name}");
            let (first, next) = (
                template.first(&tokenizer, Some(&typed), &typed),
                template.next(&tokenizer, &typed),
            );
            let (plain_first, plain_next) =
                (template.first(&tokenizer, Some("x"), "x"), template.next(&tokenizer, "x"));
            assert_eq!(marks(&first), marks(&plain_first), "{} {name}", family.name);
            assert_eq!(marks(&next), marks(&plain_next), "{} {name}", family.name);
            assert_eq!(decode(&tokenizer, &first).matches(&typed).count(), 2, "{name}");
            assert!(decode(&tokenizer, &next).contains(&typed), "{name}");
        }
    }
}

#[test]
fn the_token_that_ends_an_answer_ends_a_turn() {
    for family in families() {
        let Some(tokenizer) = family.vocabulary.tokenizer() else { return };
        let template = of(family.jinja, &tokenizer).unwrap().unwrap();
        let [end] = template.closing()[..] else { panic!("{} has no one end", family.name) };
        assert!(tokenizer.is_end(end), "{}", family.name);
    }
}

#[test]
fn other_templates_are_refused_in_one_line() {
    let Some(tokenizer) = vocabularies::PHI3.tokenizer() else { return };
    let falcon3 = "{{ '<|user|>\n' + message['content'] + '\n' }}\
                   {{ '<|assistant|>\n' + message['content'] + eos_token }}";
    let phi4_mini = "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}\
                     {{ '<|assistant|>' }}";
    let deepseek_coder = "{{ '### Instruction:\n' + message['content'] + '\n' }}\
                          {{ '### Response:\n' + message['content'] + '\n<|EOT|>\n' }}";
    for jinja in [
        "",
        "{{ messages }}",
        falcon3,
        phi4_mini,
        deepseek_coder,
        "{{ '<|im_start|>' + message['role'] + '<|im_sep|>' }}",
        "{{ '[SYSTEM_PROMPT]' + system + '[/SYSTEM_PROMPT][INST]' }}",
        "{{ 'USER: ' + message['content'] + ' ASSISTANT: ' }}",
        // Known, but the vocabulary has no such tokens.
        "{{ '<|im_start|>' + message['role'] }}",
        include_str!("../data/templates/llama3.jinja"),
    ] {
        let error = of(jinja, &tokenizer).unwrap_err();
        assert!(error.contains("continues your text") && !error.contains('\n'), "{jinja}");
    }
}

#[test]
fn names_are_checked_against_the_vocabulary() {
    let Some(tokenizer) = vocabularies::LLAMA.tokenizer() else { return };
    for name in Template::NAMES {
        let wanted = match name {
            "none" => Ok(None),
            "chatml" => Err("<|im_start|>"),
            "llama3" => Err("<|start_header_id|>"),
            "gemma" => Err("<start_of_turn>"),
            "phi3" => Err("<|user|>"),
            _ => Ok(Some(name)),
        };
        match (Template::named(name, &tokenizer), wanted) {
            (Ok(found), Ok(name)) => assert_eq!(found.map(|template| template.name()), name),
            (Err(error), Err(token)) => assert!(error.contains(token), "{error}"),
            (found, _) => panic!("{name}: {found:?}"),
        }
    }
    let error = Template::named("llama", &tokenizer).unwrap_err();
    assert!(error.contains("llama2, llama3") && error.contains("\"llama\""), "{error}");
}
