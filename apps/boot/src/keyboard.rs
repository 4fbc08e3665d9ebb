//! The keyboard, through SimpleTextInputEx or, where that is missing or silent, through
//! SimpleTextInput. Whichever first has a key is used from then on: some firmware delivers a key
//! through both, and on some the Ex event never fires.

use llamaboot_chat::Key;
use uefi::boot::{self, OpenProtocolAttributes, OpenProtocolParams, ScopedProtocol};
use uefi::proto::console::text::{Input, InputEx, Key as FirmwareKey, ScanCode};
use uefi::{Event, Handle};
use uefi_raw::protocol::console::KeyShiftState;

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
    pub(crate) fn poll(&mut self) -> Option<Key> {
        if let Some((input, event)) = &mut self.ex
            && boot::check_event(event).unwrap_or(false)
        {
            let data = input.read_key().ok().flatten()?;
            self.plain = None;
            let control = KeyShiftState::LEFT_CONTROL | KeyShiftState::RIGHT_CONTROL;
            let shift = data.key_state.key_shift_state.unwrap_or_default();
            return translate(data.key, shift.intersects(control));
        }
        if let Some((input, event)) = &mut self.plain
            && boot::check_event(event).unwrap_or(false)
        {
            let key = input.read_key().ok().flatten()?;
            self.ex = None;
            return translate(key, false);
        }
        None
    }
}

/// Firmware's key as ours; keys without meaning here give nothing.
fn translate(key: FirmwareKey, control: bool) -> Option<Key> {
    let c = match key {
        FirmwareKey::Special(code) => {
            return Some(match code {
                ScanCode::UP => Key::Up,
                ScanCode::DOWN => Key::Down,
                ScanCode::LEFT => Key::Left,
                ScanCode::RIGHT => Key::Right,
                ScanCode::HOME => Key::Home,
                ScanCode::END => Key::End,
                ScanCode::DELETE => Key::Delete,
                ScanCode::ESCAPE => Key::Escape,
                _ => return None,
            });
        }
        FirmwareKey::Printable(c) => char::from(c),
    };
    Some(match c {
        '\u{3}' => Key::Interrupt,
        'c' | 'C' if control => Key::Interrupt,
        '\u{4}' => Key::EndOfInput,
        'd' | 'D' if control => Key::EndOfInput,
        'a' | 'A' if control => Key::Home,
        'e' | 'E' if control => Key::End,
        '\r' | '\n' => Key::Enter,
        '\u{8}' => Key::Backspace,
        '\t' => Key::Char(' '),
        c if c.is_control() || control => return None,
        c => Key::Char(c),
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
