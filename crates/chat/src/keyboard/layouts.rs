//! What the keys of each layout type, as the project's `tools/oracle/keyboard_layouts.py` finds it
//! published, with the changes that the head of `keyboard` gives reasons for.

/// Rows of the 47 keys that a US keyboard prints characters on, from the top.
type Rows = [&'static str; 4];

/// A layout. Dead keys are the combining characters of their accents.
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    /// Plain, Shift, AltGr, Shift and AltGr.
    pub(super) levels: [Rows; 4],
}

/// What the keys are called here: by what a US keyboard types.
pub(super) const US: [Rows; 2] = [
    ["`1234567890-=", "qwertyuiop[]\\", "asdfghjkl;'", "zxcvbnm,./"],
    ["~!@#$%^&*()_+", "QWERTYUIOP{}|", "ASDFGHJKL:\"", "ZXCVBNM<>?"],
];

/// The layouts in the order of `Layout`.
pub(super) static TABLES: [Table; 8] = [
    Table { name: "us", title: "English (US)", levels: [US[0], US[1], US[0], US[1]] },
    Table {
        name: "us-intl",
        title: "English (US, international)",
        levels: [
            ["\u{300}1234567890-=", "qwertyuiop[]\\", "asdfghjkl;\u{301}", "zxcvbnm,./"],
            ["\u{303}!@#$%\u{302}&*()_+", "QWERTYUIOP{}|", "ASDFGHJKL:\u{308}", "ZXCVBNM<>?"],
            ["`¡²³¤€¼½¾‘’¥×", "äåé®þüúíóö«»¬", "áßðfghjœø¶'", "æx©vbñµç\u{307}¿"],
            [
                "~¹\u{30b}\u{304}£\u{327}^\u{31b}\u{328}\u{306}\u{30a}\u{323}÷",
                "ÄÅÉ®ÞÜÚÍÓÖ“”¦",
                "Á§ÐFGHJŒØ°\"",
                "ÆX¢VBÑµÇ\u{30c}\u{309}",
            ],
        ],
    },
    Table {
        name: "uk",
        title: "English (UK)",
        levels: [
            ["`1234567890-=", "qwertyuiop[]#", "asdfghjkl;'", "zxcvbnm,./"],
            ["¬!\"£$%^&*()_+", "QWERTYUIOP{}~", "ASDFGHJKL:@", "ZXCVBNM<>?"],
            [
                "|¹²³€½¾{[]}\\\u{327}",
                "@ſe¶ŧ←↓→øþ\u{308}\u{303}\u{300}",
                "æßðđŋħ\u{309}ĸł\u{301}\u{302}",
                "«»¢„“”µ•·\u{323}",
            ],
            [
                "|¡⅛£¼⅜⅝⅞™±°¿\u{328}",
                "Ω§E®Ŧ¥↑ıØÞ\u{30a}\u{304}\u{306}",
                "ÆẞÐªŊĦ\u{31b}&Ł\u{30b}\u{30c}",
                "<>©‚‘’º×÷\u{307}",
            ],
        ],
    },
    Table {
        name: "fr",
        title: "Français (AZERTY)",
        levels: [
            ["²&é\"'(-è_çà)=", "azertyuiop\u{302}$*", "qsdfghjklmù", "wxcvbn,;:!"],
            ["~1234567890°+", "AZERTYUIOP\u{308}£µ", "QSDFGHJKLM%", "WXCVBN?./§"],
            [
                "¬¹~#{[|`\\^@]}",
                "æ«€¶ŧ←↓→øþ\u{308}¤\u{300}",
                "@ßðđŋħ\u{309}ĸłµ\u{302}",
                "<»¢„“”\u{301}•·\u{323}",
            ],
            [
                "¬¡⅛£$⅜⅝⅞™±°¿\u{328}",
                "Æ<¢®Ŧ¥↑ıØÞ\u{30a}\u{304}\u{306}",
                "ΩẞÐªŊĦ\u{31b}&Łº\u{30c}",
                ">>©‚‘’\u{30b}×÷\u{307}",
            ],
        ],
    },
    Table {
        name: "de",
        title: "Deutsch (QWERTZ)",
        levels: [
            ["\u{302}1234567890ß\u{301}", "qwertzuiopü+#", "asdfghjklöä", "yxcvbnm,.-"],
            ["°!\"§$%&/()=?\u{300}", "QWERTZUIOPÜ*'", "ASDFGHJKLÖÄ", "YXCVBNM;:_"],
            [
                "|¹²³¼½¬{[]}\\\u{327}",
                "@ſ€¶ŧ←↓→øþ\u{308}~’",
                "æſðđŋħ\u{323}ĸł\u{30b}\u{302}",
                "<«¢„“”µ·…–",
            ],
            [
                "″¡⅛£¤⅜⅝⅞™±°¿\u{328}",
                "Ω§€®Ŧ¥↑ıØÞ\u{30a}¯\u{306}",
                "ÆẞÐªŊĦ\u{307}&Ł\u{323}\u{30c}",
                ">»©‚‘’º×÷—",
            ],
        ],
    },
    Table {
        name: "es",
        title: "Español",
        levels: [
            ["º1234567890'¡", "qwertyuiop\u{300}+ç", "asdfghjklñ\u{301}", "zxcvbnm,.-"],
            ["ª!\"·$%&/()=?¿", "QWERTYUIOP\u{302}*Ç", "ASDFGHJKLÑ\u{308}", "ZXCVBNM;:_"],
            [
                "\\|@#~½¬{[]}\\\u{327}",
                "@ſ€¶ŧ←↓→øþ[]}",
                "æßðđŋħ\u{309}ĸł\u{303}{",
                "«»¢„“”µ•·\u{323}",
            ],
            [
                "\\¡⅛£$⅜⅝⅞™±°¿\u{328}",
                "Ω§¢®Ŧ¥↑ıØÞ\u{30a}\u{304}\u{306}",
                "ÆẞÐªŊĦ\u{31b}&Ł\u{30b}\u{30c}",
                "<>©‚‘’º×÷\u{307}",
            ],
        ],
    },
    Table {
        name: "it",
        title: "Italiano",
        levels: [
            ["\\1234567890'ì", "qwertyuiopè+ù", "asdfghjklòà", "zxcvbnm,.-"],
            ["|!\"£$%&/()=?^", "QWERTYUIOPé*§", "ASDFGHJKLç°", "ZXCVBNM;:_"],
            ["¬¹²³¼½¬{[]}`~", "@ſ€¶ŧ←↓→øþ[]\u{300}", "æßðđŋħ\u{309}ĸł@#", "«»¢“”ñµ\u{301}·\u{304}"],
            [
                "¦¡\u{30b}\u{303}⅛⅜⅝⅞™±\u{328}¿\u{302}",
                "Ω§¢®Ŧ¥↑ıØÞ{}\u{306}",
                "ÆẞÐªŊĦ\u{31b}&Ł\u{327}\u{30a}",
                "<>©‘’Ñº×\u{308}÷",
            ],
        ],
    },
    Table {
        name: "pt",
        title: "Português",
        levels: [
            ["\\1234567890'«", "qwertyuiop+\u{301}\u{303}", "asdfghjklçº", "zxcvbnm,.-"],
            ["|!\"#$%&/()=?»", "QWERTYUIOP*\u{300}\u{302}", "ASDFGHJKLÇª", "ZXCVBNM;:_"],
            [
                "¬¹@£§½¬{[]}\\\u{327}",
                "@ſ€¶ŧ←↓→øþ\u{308}\u{303}\u{300}",
                "æßðđŋħ\u{309}ĸł\u{301}\u{302}",
                "«»¢„“”µ•·\u{323}",
            ],
            [
                "¬¡⅛£$⅜⅝⅞™±°¿\u{328}",
                "Ω§¢®Ŧ¥↑ıØÞ\u{30a}\u{304}\u{306}",
                "ÆẞÐªŊĦ\u{31b}&Ł\u{30b}\u{30c}",
                "<>©‚‘’º×÷\u{307}",
            ],
        ],
    },
];
