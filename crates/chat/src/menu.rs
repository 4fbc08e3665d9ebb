//! The choice between several models: a list, then a number that arrows change and digits name.

use crate::text::{self, Language};
use crate::{Console, Key, Layout, Settings};
use alloc::{format, string::String};

/// How long an Enter behind a number counts as part of it, in microseconds: many press it out of
/// habit, and it must not answer what is asked next.
const ENTER_WITHIN: u64 = 400_000;

/// One line of the menu.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MenuItem {
    /// The file's name.
    pub name: String,
    /// Size, format, memory, or why it cannot run.
    pub detail: String,
    /// Whether it can be chosen.
    pub usable: bool,
}

/// Shows `items` and waits for a choice; `None` where the user leaves (Esc or Ctrl-C). Enter takes
/// `current`, or the next that can be used. F2 changes the keyboard in `settings`.
pub fn choose(
    console: &mut dyn Console,
    settings: &mut Settings,
    items: &[MenuItem],
    current: usize,
) -> Option<usize> {
    if items.is_empty() {
        return None;
    }
    loop {
        let language = settings.language;
        let keyboard = settings.keyboard.title();
        let title = text::MODELS.get(language);
        let hint = text::MENU_KEYBOARD.fill(language, &[&keyboard]);
        match list(console, language, title, Some(&hint), items, current) {
            Step::Keyboard => {
                settings.keyboard = choose_keyboard(console, language, settings.keyboard);
                console.set_keyboard(settings.keyboard);
            }
            Step::Chosen(index) => return Some(index),
            Step::More | Step::Leave => return None,
        }
    }
}

/// Waits before a model starts by itself; whether nobody pressed a key.
pub fn starts_by_itself(
    console: &mut dyn Console,
    language: Language,
    model: &str,
    seconds: u32,
) -> bool {
    console.write(&(text::STARTING.fill(language, &[&model, &seconds]) + "\n"));
    console.key_within(Some(u64::from(seconds) * 1_000_000)).is_none()
}

fn choose_keyboard(console: &mut dyn Console, language: Language, current: Layout) -> Layout {
    let layouts = Layout::ALL;
    let items = layouts.map(|layout| MenuItem {
        name: layout.name().into(),
        detail: layout.title().into(),
        usable: true,
    });
    let at = layouts.iter().position(|&layout| layout == current).unwrap_or(0);
    match list(console, language, text::KEYBOARDS.get(language), None, &items, at) {
        Step::Chosen(index) => layouts[index],
        _ => current,
    }
}

/// Shows a list and waits for a choice in it; `Step::Keyboard` only where there is a `hint` of it.
fn list(
    console: &mut dyn Console,
    language: Language,
    title: &str,
    hint: Option<&str>,
    items: &[MenuItem],
    selected: usize,
) -> Step {
    let width = items.iter().map(|item| item.name.chars().count()).max().unwrap_or(0);
    console.write(&format!("{title}\n"));
    for (number, item) in (1..).zip(items) {
        console.write(&format!("  {number}  {:width$}  {}\n", item.name, item.detail));
    }
    if let Some(hint) = hint {
        console.write(&format!("{hint}\n"));
    }
    let usable = |at: &usize| items.get(*at).is_some_and(|item| item.usable);
    let first = (selected..items.len()).find(usable).unwrap_or(0);
    console.write(&format!("{}{}", text::MENU_PROMPT.get(language), first + 1));
    let mut choice = Choice { items, language, selected: first, typed: None };
    let step = loop {
        let key = console.read_key();
        match choice.key(console, key) {
            Step::More => {}
            Step::Keyboard if hint.is_none() => {}
            step => break step,
        }
    };
    console.write("\n");
    step
}

enum Step {
    More,
    Leave,
    Keyboard,
    Chosen(usize),
}

struct Choice<'a> {
    items: &'a [MenuItem],
    language: Language,
    selected: usize,
    /// What digits say so far.
    typed: Option<usize>,
}

impl Choice<'_> {
    fn key(&mut self, console: &mut dyn Console, key: Key) -> Step {
        let count = self.items.len();
        match key {
            Key::Up => self.select(console, (self.selected + count - 1) % count),
            Key::Down => self.select(console, (self.selected + 1) % count),
            Key::Backspace => self.typed = None,
            Key::Char(c) if c.is_ascii_digit() => return self.digit(console, c),
            Key::Enter => return self.take(console),
            Key::Function(2) => return Step::Keyboard,
            Key::Escape | Key::Interrupt | Key::EndOfInput => return Step::Leave,
            _ => {}
        }
        Step::More
    }

    /// Takes a digit; a number that no further digit can make larger is chosen at once.
    fn digit(&mut self, console: &mut dyn Console, c: char) -> Step {
        let digit = c as usize - '0' as usize;
        let number = self.typed.map_or(digit, |typed| typed * 10 + digit);
        if number == 0 || number > self.items.len() {
            self.typed = None;
            return Step::More;
        }
        self.select(console, number - 1);
        self.typed = Some(number);
        if number * 10 <= self.items.len() {
            return Step::More;
        }
        let step = self.take(console);
        match console.key_within(Some(ENTER_WITHIN)) {
            None | Some(Key::Enter) => {}
            Some(other) => console.put_back(other),
        }
        step
    }

    fn take(&mut self, console: &mut dyn Console) -> Step {
        let item = &self.items[self.selected];
        if item.usable {
            return Step::Chosen(self.selected);
        }
        self.typed = None;
        console.write(&format!(
            "\n{}: {}\n{}{}",
            item.name,
            item.detail,
            text::MENU_ANOTHER.get(self.language),
            self.selected + 1
        ));
        Step::More
    }

    /// Writes the new number over the old one.
    fn select(&mut self, console: &mut dyn Console, index: usize) {
        let old = format!("{}", self.selected + 1);
        let new = format!("{}", index + 1);
        console.write(&"\u{8}".repeat(old.len()));
        console.write(&new);
        if new.len() < old.len() {
            console.write(" \u{8}");
        }
        (self.selected, self.typed) = (index, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{collections::VecDeque, vec::Vec};

    struct Script(VecDeque<Key>, String);

    impl Console for Script {
        fn write(&mut self, text: &str) {
            self.1.push_str(text);
        }

        fn progress(&mut self, _: &str, _: bool) {}

        fn key_within(&mut self, micros: Option<u64>) -> Option<Key> {
            self.0.pop_front().or(micros.is_none().then_some(Key::Escape))
        }

        fn interrupted(&mut self) -> bool {
            false
        }

        fn put_back(&mut self, key: Key) {
            self.0.push_front(key);
        }
    }

    fn run(n: usize, keys: &[Key]) -> (Option<usize>, String) {
        let items: Vec<MenuItem> = (0..n)
            .map(|i| MenuItem {
                name: format!("m{i}"),
                detail: String::from("1 MB"),
                usable: i != 1,
            })
            .collect();
        let mut script = Script(keys.iter().copied().collect(), String::new());
        (choose(&mut script, &mut Settings::default(), &items, 0), script.1)
    }

    fn three() -> [MenuItem; 3] {
        ["a", "b", "c"].map(|name| MenuItem {
            name: name.into(),
            detail: String::new(),
            usable: true,
        })
    }

    #[test]
    fn arrows_digits_and_enter_choose() {
        use Key::{Char, Down, Enter, Up};
        assert_eq!(run(3, &[Enter]).0, Some(0));
        assert_eq!(run(3, &[Up, Enter]).0, Some(2));
        assert_eq!(run(3, &[Down, Down, Enter]).0, Some(2));
        assert_eq!(run(3, &[Char('3')]).0, Some(2));
        assert_eq!(run(12, &[Char('1'), Char('2')]).0, Some(11));
        assert_eq!(run(12, &[Char('1'), Enter]).0, Some(0));
        assert_eq!(run(3, &[Char('9'), Char('0'), Char('x'), Key::Interrupt]).0, None);
    }

    #[test]
    fn f2_changes_the_keyboard_and_comes_back() {
        let keys = [Key::Function(2), Key::Char('4'), Key::Char('3')];
        let mut script = Script(keys.into_iter().collect(), String::new());
        let items = three();
        let mut settings = Settings::default();
        assert_eq!(choose(&mut script, &mut settings, &items, 0), Some(2));
        assert_eq!(settings.keyboard.name(), "fr");
        assert!(script.1.contains(settings.keyboard.title()), "{}", script.1);
    }

    #[test]
    fn enter_takes_the_current_one_or_the_next_that_can_be_used() {
        let mut items = three();
        items[1].usable = false;
        for (current, expected) in [(0, 0), (1, 2), (2, 2)] {
            let mut script = Script([Key::Enter].into(), String::new());
            let chosen = choose(&mut script, &mut Settings::default(), &items, current);
            assert_eq!(chosen, Some(expected));
        }
    }

    /// `4` for the keyboard and its Enter, then `3` and its Enter: the prompt behind gets none.
    #[test]
    fn an_enter_behind_a_number_belongs_to_it() {
        use Key::{Char, Enter, Function};
        let keys = [Function(2), Char('4'), Enter, Char('3'), Enter, Char('x')];
        let mut script = Script(keys.into_iter().collect(), String::new());
        let items = three();
        let mut settings = Settings::default();
        assert_eq!(choose(&mut script, &mut settings, &items, 0), Some(2));
        assert_eq!(settings.keyboard.name(), "fr");
        assert_eq!(script.0, [Char('x')]);
        // An item that cannot be used says so once.
        let (chosen, shown) = run(3, &[Char('2'), Enter, Char('1'), Enter]);
        assert_eq!(chosen, Some(0));
        assert_eq!(shown.matches("m1: 1 MB\n").count(), 1, "{shown}");
    }

    #[test]
    fn a_key_keeps_a_model_from_starting_by_itself() {
        let starts = |keys: &[Key]| {
            let mut script = Script(keys.iter().copied().collect(), String::new());
            starts_by_itself(&mut script, Language::En, "a.gguf", 5)
        };
        assert!(starts(&[]));
        assert!(!starts(&[Key::Char(' ')]));
    }

    #[test]
    fn an_unusable_model_says_why_and_the_menu_goes_on() {
        let (chosen, shown) = run(3, &[Key::Char('2'), Key::Char('1')]);
        assert_eq!(chosen, Some(0));
        assert!(shown.contains("m1: 1 MB\nanother one: 2"), "{shown}");
    }
}
