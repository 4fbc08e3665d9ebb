//! The choice between several models: a list, then a number that arrows change and digits name.

use crate::{Console, Key};
use alloc::{format, string::String};

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

/// Shows `items` and waits for a choice; `None` where the user leaves (Esc or Ctrl-C).
pub fn choose(console: &mut dyn Console, title: &str, items: &[MenuItem]) -> Option<usize> {
    let width = items.iter().map(|item| item.name.chars().count()).max().unwrap_or(0);
    console.write(&format!("{title}\n"));
    for (number, item) in (1..).zip(items) {
        console.write(&format!("  {number}  {:width$}  {}\n", item.name, item.detail));
    }
    let first = items.iter().position(|item| item.usable).unwrap_or(0);
    console.write(&format!("number or arrows, then Enter: {}", first + 1));
    let mut choice = Choice { items, selected: first, typed: None };
    loop {
        let key = console.read_key();
        match choice.key(console, key) {
            Step::More => {}
            Step::Leave => {
                console.write("\n");
                return None;
            }
            Step::Chosen(index) => {
                console.write("\n");
                return Some(index);
            }
        }
    }
}

enum Step {
    More,
    Leave,
    Chosen(usize),
}

struct Choice<'a> {
    items: &'a [MenuItem],
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
        if number * 10 > self.items.len() { self.take(console) } else { Step::More }
    }

    fn take(&mut self, console: &mut dyn Console) -> Step {
        let item = &self.items[self.selected];
        if item.usable {
            return Step::Chosen(self.selected);
        }
        self.typed = None;
        console.write(&format!(
            "\n{}: {}\nanother one: {}",
            item.name,
            item.detail,
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

        fn read_key(&mut self) -> Key {
            self.0.pop_front().unwrap_or(Key::Escape)
        }

        fn interrupted(&mut self) -> bool {
            false
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
        (choose(&mut script, "models", &items), script.1)
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
    fn an_unusable_model_says_why_and_the_menu_goes_on() {
        let (chosen, shown) = run(3, &[Key::Char('2'), Key::Char('1')]);
        assert_eq!(chosen, Some(0));
        assert!(shown.contains("m1: 1 MB\nanother one: 2"), "{shown}");
    }
}
