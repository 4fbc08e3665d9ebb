//! The screen: a page of cells on firmware's graphics output, or, where there is none, firmware's
//! own text console.

use crate::clock::Tsc;
use crate::text_screen::TextScreen;
use alloc::boxed::Box;
use core::slice;
use llamaboot_chat::{Screen as Page, Status, Style, Surface, Theme};
use uefi::Handle;
use uefi::boot::{self, OpenProtocolAttributes, OpenProtocolParams, ScopedProtocol};
use uefi::proto::console::gop::{BltOp, BltPixel, BltRegion, GraphicsOutput};
use uefi::system;

/// What the console writes to.
pub(crate) enum Screen {
    /// Pixels.
    Page(Box<Page<Gop>>),
    /// Firmware's text.
    Text(TextScreen),
}

/// Firmware's graphics output. Pixels go to it through its own block transfer, which knows every
/// pixel format; nothing is ever read back.
pub(crate) struct Gop {
    output: ScopedProtocol<GraphicsOutput>,
    size: (usize, usize),
}

impl Gop {
    /// The output of the console, else the first there is. An exclusive open would take it from
    /// the console's driver, which draws the boot menu we go back to.
    fn open() -> Option<Self> {
        let console = uefi::table::system_table_raw().and_then(|table| {
            // SAFETY: the system table is valid while boot services are.
            unsafe { Handle::from_ptr(table.as_ref().stdout_handle) }
        });
        let first = boot::get_handle_for_protocol::<GraphicsOutput>().ok();
        let output = console.into_iter().chain(first).find_map(|handle| {
            let params =
                OpenProtocolParams { handle, agent: boot::image_handle(), controller: None };
            // SAFETY: not exclusive, see above; the output stays for as long as boot services do.
            unsafe { boot::open_protocol(params, OpenProtocolAttributes::GetProtocol).ok() }
        })?;
        let output: ScopedProtocol<GraphicsOutput> = output;
        let size = output.current_mode_info().resolution();
        (size.0 >= 320 && size.1 >= 200).then_some(Self { output, size })
    }
}

impl Surface for Gop {
    fn size(&self) -> (usize, usize) {
        self.size
    }

    fn show(&mut self, x: usize, y: usize, width: usize, pixels: &[u32]) {
        let height = pixels.len().checked_div(width).unwrap_or(0);
        // SAFETY: a BltPixel is four bytes, blue, green, red and one reserved, in this order, which
        // are those of 0x00RRGGBB in memory, and it is less strictly aligned.
        let buffer =
            unsafe { slice::from_raw_parts(pixels.as_ptr().cast::<BltPixel>(), pixels.len()) };
        let (dest, dims) = ((x, y), (width, height));
        // A screen that takes no pixels shows nothing; the serial line still does.
        let _ = self.output.blt(BltOp::BufferToVideo { buffer, src: BltRegion::Full, dest, dims });
    }
}

impl Screen {
    /// Clears the screen.
    pub(crate) fn open() -> Self {
        match Gop::open() {
            Some(gop) => {
                // Firmware's cursor would blink over the page.
                let _ = system::with_stdout(|out| out.enable_cursor(false));
                Self::Page(Box::new(Page::new(gop)))
            }
            None => Self::Text(TextScreen::open()),
        }
    }

    pub(crate) fn write(&mut self, text: &str, clock: Tsc) {
        match self {
            Self::Page(page) => {
                page.write(text);
                page.refresh(&clock);
            }
            Self::Text(screen) => screen.write(text),
        }
    }

    pub(crate) fn progress(&mut self, line: &str, last: bool) {
        match self {
            Self::Page(page) => {
                page.progress(line, last);
                page.paint();
            }
            Self::Text(screen) => screen.progress(line, last),
        }
    }

    /// Runs `change` where there is a page, and paints what has changed.
    pub(crate) fn page(&mut self, change: impl FnOnce(&mut Page<Gop>)) {
        if let Self::Page(page) = self {
            change(page);
            page.paint();
        }
    }

    /// Forgets all text.
    pub(crate) fn clear(&mut self) {
        match self {
            Self::Page(page) => {
                page.clear();
                page.paint();
            }
            Self::Text(screen) => *screen = TextScreen::open(),
        }
    }

    /// To the end of the text, where somebody has scrolled back.
    pub(crate) fn scroll_to_end(&mut self) {
        if let Self::Page(page) = self
            && page.scroll_to_end()
        {
            page.paint();
        }
    }

    pub(crate) fn style(&mut self, style: Style) {
        if let Self::Page(page) = self {
            page.style(style);
        }
    }

    pub(crate) fn status(&mut self, status: &Status<'_>, clock: Tsc) {
        if let Self::Page(page) = self {
            page.status(status);
            page.refresh(&clock);
        }
    }

    pub(crate) fn set_theme(&mut self, theme: Theme) {
        self.page(|page| page.set_theme(theme));
    }

    /// Columns and rows.
    pub(crate) fn size(&self) -> (usize, usize) {
        match self {
            Self::Page(page) => page.size(),
            Self::Text(screen) => screen.size(),
        }
    }

    /// Paints what waits to be painted: before somebody waits for a key.
    pub(crate) fn settle(&mut self) {
        self.page(|_| {});
    }
}
