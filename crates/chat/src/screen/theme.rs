//! Colours. Each theme has one for every kind of text; all keep a contrast of 4.5 to 1 or more
//! against the background (WCAG 2.1, 1.4.3), which a test computes.

use crate::Style;

/// A set of colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Theme {
    /// Light text on a dark ground.
    #[default]
    Dark,
    /// Dark text on a light ground.
    Light,
    /// White and yellow on black.
    Contrast,
}

/// A colour as `0x00RRGGBB`.
pub(crate) type Colour = u32;

impl Theme {
    /// Every theme with its name.
    pub const NAMES: [(&str, Self); 3] =
        [("dark", Self::Dark), ("light", Self::Light), ("contrast", Self::Contrast)];

    /// The theme of a name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, theme)| *theme)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Dark => "dark",
            Self::Light => "light",
            Self::Contrast => "contrast",
        }
    }

    /// Colours of text and ground.
    pub(crate) fn colours(self, style: Style) -> (Colour, Colour) {
        let (text, ground) = match self {
            Self::Dark => (dark(style), 0x11_15_1a),
            Self::Light => (light(style), 0xfb_f9_f4),
            Self::Contrast => (contrast(style), 0x00_00_00),
        };
        (text, ground)
    }

    /// Colours of the status line.
    pub(crate) fn status(self) -> (Colour, Colour) {
        match self {
            Self::Dark => (0xb4_be_c9, 0x22_2a_33),
            Self::Light => (0x40_3c_34, 0xe6_e1_d6),
            Self::Contrast => (0x00_00_00, 0xff_ff_ff),
        }
    }
}

fn dark(style: Style) -> Colour {
    match style {
        Style::Text => 0xdc_e2_ea,
        Style::Prompt => 0x6c_b6_ff,
        Style::Input => 0xff_ff_ff,
        Style::Note => 0x8d_9a_a9,
        Style::Error => 0xff_8a_80,
        Style::Likely(0) => 0xff_6b_5e,
        Style::Likely(1) => 0xf2_a6_5a,
        Style::Likely(2) => 0xe5_d3_52,
        Style::Likely(3) => 0xa6_d1_89,
        Style::Likely(_) => 0x6f_c3_a5,
    }
}

fn light(style: Style) -> Colour {
    match style {
        Style::Text => 0x24_29_2f,
        Style::Prompt => 0x0a_5c_b8,
        Style::Input => 0x00_00_00,
        Style::Note => 0x68_62_58,
        Style::Error => 0xb4_23_18,
        Style::Likely(0) => 0xb4_23_18,
        Style::Likely(1) => 0x9a_4a_00,
        Style::Likely(2) => 0x73_5c_00,
        Style::Likely(3) => 0x3d_6b_1f,
        Style::Likely(_) => 0x00_66_4e,
    }
}

fn contrast(style: Style) -> Colour {
    match style {
        Style::Text | Style::Note | Style::Likely(4..) => 0xff_ff_ff,
        Style::Prompt | Style::Input | Style::Likely(2) => 0xff_ff_00,
        Style::Error | Style::Likely(0) => 0xff_9a_9a,
        Style::Likely(1) => 0xff_c0_60,
        Style::Likely(3) => 0x9a_ff_9a,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance of WCAG 2.1; its power of 2.4 as 2.4 = 12 / 5 would need roots, so the
    /// older sRGB approximation by squares serves, which is a little stricter on dark colours.
    fn luminance(colour: Colour) -> f64 {
        let channel = |shift: u32| f64::from(colour >> shift & 0xff) / 255.0;
        let square = |v: f64| v * v;
        0.2126 * square(channel(16)) + 0.7152 * square(channel(8)) + 0.0722 * square(channel(0))
    }

    fn ratio((a, b): (Colour, Colour)) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn everything_can_be_read() {
        let styles = [Style::Text, Style::Prompt, Style::Input, Style::Note, Style::Error];
        let likely = (0..=Style::SURE).map(Style::Likely);
        for (name, theme) in Theme::NAMES {
            assert!(ratio(theme.status()) >= 4.5, "{name}: status");
            for style in styles.into_iter().chain(likely.clone()) {
                let found = ratio(theme.colours(style));
                assert!(found >= 4.5, "{name} {style:?}: {found}");
            }
        }
    }

    #[test]
    fn names_lead_to_themes() {
        for (name, theme) in Theme::NAMES {
            assert_eq!((Theme::by_name(name), theme.name()), (Some(theme), name));
        }
        assert_eq!(Theme::by_name("pink"), None);
    }
}
