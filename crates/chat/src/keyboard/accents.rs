//! Dead keys: what an accent is alone, and what it makes of a character.

/// A dead key.
#[derive(Debug)]
pub(super) struct Accent {
    /// Its combining character, as the tables of layouts have it.
    pub(super) mark: char,
    /// What it types without a letter. The three of Vietnamese have no character of their own, and
    /// are written as in VIQR, the convention for writing Vietnamese in ASCII.
    pub(super) alone: char,
    /// Each character that can take it, followed by what both make.
    pub(super) pairs: &'static str,
}

impl Accent {
    /// The character with the accent, where that is one character.
    pub(super) fn on(&self, c: char) -> Option<char> {
        let mut chars = self.pairs.chars();
        while let (Some(base), Some(composed)) = (chars.next(), chars.next()) {
            if base == c {
                return Some(composed);
            }
        }
        None
    }
}

/// Every dead key of a layout: all characters that a layout can type and that Unicode composes.
pub(super) static ACCENTS: [Accent; 16] = [
    Accent {
        mark: '\u{300}', alone: '`', pairs: "AÀEÈIÌNǸOÒUÙWẀYỲaàeèiìnǹoòuùwẁyỳÜǛüǜΩῺ"
    },
    Accent {
        mark: '\u{301}',
        alone: '´',
        pairs: "AÁCĆEÉGǴIÍKḰLĹMḾNŃOÓPṔRŔSŚUÚWẂYÝZŹaácćeégǵiíkḱlĺmḿnńoópṕrŕsś\
                uúwẃyýzźÅǺÆǼÇḈØǾÜǗåǻæǽçḉøǿüǘΩΏ",
    },
    Accent {
        mark: '\u{302}',
        alone: '^',
        pairs: "AÂCĈEÊGĜHĤIÎJĴOÔSŜUÛWŴYŶZẐaâcĉeêgĝhĥiîjĵoôsŝuûwŵyŷzẑ",
    },
    Accent {
        mark: '\u{303}', alone: '~', pairs: "AÃEẼIĨNÑOÕUŨVṼYỸaãeẽiĩnñoõuũvṽyỹ"
    },
    Accent {
        mark: '\u{304}', alone: '¯', pairs: "AĀEĒGḠIĪOŌUŪYȲaāeēgḡiīoōuūyȳÄǞÆǢÖȪÜǕäǟæǣöȫüǖ"
    },
    Accent { mark: '\u{306}', alone: '˘', pairs: "AĂEĔGĞIĬOŎUŬaăeĕgğiĭoŏuŭ" },
    Accent {
        mark: '\u{307}',
        alone: '˙',
        pairs: "AȦBḂCĊDḊEĖFḞGĠHḢIİMṀNṄOȮPṖRṘSṠTṪWẆXẊYẎZŻaȧbḃcċdḋeėfḟgġhḣmṁnṅ\
                oȯpṗrṙsṡtṫwẇxẋyẏzżſẛ",
    },
    Accent {
        mark: '\u{308}', alone: '¨', pairs: "AÄEËHḦIÏOÖUÜWẄXẌYŸaäeëhḧiïoötẗuüwẅxẍyÿ"
    },
    Accent {
        mark: '\u{309}', alone: '?', pairs: "AẢEẺIỈOỎUỦYỶaảeẻiỉoỏuủyỷ"
    },
    Accent { mark: '\u{30a}', alone: '°', pairs: "AÅUŮaåuůwẘyẙ" },
    Accent { mark: '\u{30b}', alone: '˝', pairs: "OŐUŰoőuű" },
    Accent {
        mark: '\u{30c}',
        alone: 'ˇ',
        pairs: "AǍCČDĎEĚGǦHȞIǏKǨLĽNŇOǑRŘSŠTŤUǓZŽaǎcčdďeěgǧhȟiǐjǰkǩlľnňoǒrřsš\
                tťuǔzžÜǙüǚ",
    },
    Accent {
        mark: '\u{31b}', alone: '+', pairs: "OƠUƯoơuưÒỜÓỚÙỪÚỨòờóớùừúứ"
    },
    Accent {
        mark: '\u{323}',
        alone: '.',
        pairs: "AẠBḄDḌEẸHḤIỊKḲLḶMṂNṆOỌRṚSṢTṬUỤVṾWẈYỴZẒaạbḅdḍeẹhḥiịkḳlḷmṃnṇoọ\
                rṛsṣtṭuụvṿwẉyỵzẓ",
    },
    Accent {
        mark: '\u{327}', alone: '¸', pairs: "CÇDḐEȨGĢHḨKĶLĻNŅRŖSŞTŢcçdḑeȩgģhḩkķlļnņrŗsştţ"
    },
    Accent { mark: '\u{328}', alone: '˛', pairs: "AĄEĘIĮOǪUŲaąeęiįoǫuų" },
];
