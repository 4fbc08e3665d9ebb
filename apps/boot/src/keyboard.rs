//! The keyboard, through SimpleTextInputEx or, where that is missing or silent, through
//! SimpleTextInput. Whichever first has a key is used from then on: some firmware delivers a key
//! through both, and on some the Ex event never fires. Firmware's characters are those of a US
//! keyboard; `Typist` makes the user's of them.

use llamaboot_chat::Key;
use uefi::boot::{self, OpenProtocolAttributes, OpenProtocolParams, ScopedProtocol};
use uefi::proto::console::text::{Input, InputEx, Key as FirmwareKey, ScanCode};
use uefi::{Event, Handle};
use uefi_raw::protocol::console::{KeyShiftState, KeyToggleState};

/// Both protocols of the console's keyboard, as far as they are there.
pub(crate) struct Keyboard {
    ex: Option<(ScopedProtocol<InputEx>, Event)>,
    plain: Option<(ScopedProtocol<Input>, Event)>,
}

impl Keyboard {
    /// Opens what the console's input handle has.
    pub(crate) fn open() -> Self {
        let Some(handle) = console_input() else { return Self { ex: None, plain: None } };
        let ex = open::<InputEx>(handle).and_then(|input| {
            let event = input.wait_for_key_event().ok()?;
            Some((input, event))
        });
        let plain = open::<Input>(handle).and_then(|input| {
            let event = input.wait_for_key_event().ok()?;
            Some((input, event))
        });
        Self { ex, plain }
    }

    /// The events that a wait for keys should include.
    pub(crate) fn events(&self) -> impl Iterator<Item = Event> {
        let ex = self.ex.as_ref().map(|(_, event)| event);
        let plain = self.plain.as_ref().map(|(_, event)| event);
        // SAFETY: the copies are only waited for, while the protocols they belong to are open.
        ex.into_iter().chain(plain).map(|event| unsafe { event.unsafe_clone() })
    }

    /// A key that is ready. The event is asked first: on some firmware reading blocks.
    pub(crate) fn poll(&mut self) -> Option<Pressed> {
        if self.ex_is_ready() {
            return self.ex_key();
        }
        if !self.plain.as_ref().is_some_and(|(_, event)| is_ready(event)) {
            return None;
        }
        // Each question makes firmware look at the hardware: the key may have come after the first.
        if self.ex_is_ready() { self.ex_key() } else { self.plain_key() }
    }

    fn ex_is_ready(&self) -> bool {
        self.ex.as_ref().is_some_and(|(_, event)| is_ready(event))
    }

    fn ex_key(&mut self) -> Option<Pressed> {
        let (input, _) = self.ex.as_mut()?;
        let data = input.read_key().ok().flatten()?;
        self.plain = None;
        let shift = data.key_state.key_shift_state.unwrap_or_default();
        let toggle = data.key_state.key_toggle_state.unwrap_or_default();
        translate(data.key, shift, toggle.contains(KeyToggleState::CAPS_LOCK_ACTIVE))
    }

    fn plain_key(&mut self) -> Option<Pressed> {
        let (input, _) = self.plain.as_mut()?;
        let key = input.read_key().ok().flatten()?;
        self.ex = None;
        translate(key, KeyShiftState::empty(), false)
    }
}

fn is_ready(event: &Event) -> bool {
    boot::check_event(event).unwrap_or(false)
}

/// What firmware says of a key, for a US layout: the user's own is not its concern.
pub(crate) enum Pressed {
    /// A key that is the same on every layout.
    Key(Key),
    /// What a US keyboard would have typed.
    Char { us: char, alt_gr: bool, caps: bool },
    /// A letter with Ctrl.
    Control(char),
    /// A letter with Alt.
    Alt(char),
}

/// Firmware's key as ours; keys without meaning here give nothing.
fn translate(key: FirmwareKey, shift: KeyShiftState, caps: bool) -> Option<Pressed> {
    let c = match key {
        FirmwareKey::Special(code) => return special(code).map(Pressed::Key),
        FirmwareKey::Printable(c) => char::from(c),
    };
    let held = |keys: KeyShiftState| shift.intersects(keys);
    let control = held(KeyShiftState::LEFT_CONTROL | KeyShiftState::RIGHT_CONTROL);
    let left_alt = held(KeyShiftState::LEFT_ALT);
    let alt_gr = held(KeyShiftState::RIGHT_ALT) || (control && left_alt);
    Some(match c {
        '\r' | '\n' => Pressed::Key(Key::Enter),
        '\u{8}' => Pressed::Key(Key::Backspace),
        '\t' => Pressed::Key(Key::Tab),
        // Plain text input has no state of Ctrl, but a code for it with each letter.
        '\u{1}'..='\u{1a}' => Pressed::Control(char::from(c as u8 - 1 + b'a')),
        c if c.is_control() => return None,
        us if alt_gr => Pressed::Char { us, alt_gr, caps },
        us if control => Pressed::Control(us),
        us if left_alt => Pressed::Alt(us),
        us => Pressed::Char { us, alt_gr, caps },
    })
}

fn special(code: ScanCode) -> Option<Key> {
    Some(match code {
        ScanCode::UP => Key::Up,
        ScanCode::DOWN => Key::Down,
        ScanCode::LEFT => Key::Left,
        ScanCode::RIGHT => Key::Right,
        ScanCode::HOME => Key::Home,
        ScanCode::END => Key::End,
        ScanCode::PAGE_UP => Key::PageUp,
        ScanCode::PAGE_DOWN => Key::PageDown,
        ScanCode::DELETE => Key::Delete,
        ScanCode::ESCAPE => Key::Escape,
        code if (ScanCode::FUNCTION_1..=ScanCode::FUNCTION_12).contains(&code) => {
            Key::Function((code.0 - ScanCode::FUNCTION_1.0 + 1) as u8)
        }
        _ => return None,
    })
}

fn console_input() -> Option<Handle> {
    let table = uefi::table::system_table_raw()?;
    // SAFETY: the system table is valid while boot services are.
    unsafe { Handle::from_ptr(table.as_ref().stdin_handle) }
}

fn open<P: uefi::proto::ProtocolPointer + ?Sized>(handle: Handle) -> Option<ScopedProtocol<P>> {
    let params = OpenProtocolParams { handle, agent: boot::image_handle(), controller: None };
    // SAFETY: opened without exclusivity, which would take the keyboard from its driver; the
    // console's input handle stays for as long as boot services do.
    unsafe { boot::open_protocol(params, OpenProtocolAttributes::GetProtocol).ok() }
}
