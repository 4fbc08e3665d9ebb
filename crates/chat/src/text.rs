//! Every text of the interface, in English and in French, in one table. Errors of the formats
//! beneath (a damaged file, a firmware status) stay in English, as their names do.
//!
//! `{}` stands for a value, filled in order.

use alloc::{format, string::String};
use core::fmt::{Display, Write as _};

/// A language of the interface.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Français.
    Fr,
}

impl Language {
    /// Every language with its name.
    pub const NAMES: [(&str, Self); 2] = [("en", Self::En), ("fr", Self::Fr)];

    /// The language of a name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, language)| *language)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Fr => "fr",
        }
    }
}

/// A text in both languages.
#[derive(Debug, Clone, Copy)]
pub struct Text(&'static str, &'static str);

impl Text {
    /// The text in a language.
    #[must_use]
    pub fn get(self, language: Language) -> &'static str {
        match language {
            Language::En => self.0,
            Language::Fr => self.1,
        }
    }

    /// The text with values in place of each `{}`.
    #[must_use]
    pub fn fill(self, language: Language, values: &[&dyn Display]) -> String {
        let mut out = String::new();
        let mut values = values.iter();
        for (i, part) in self.get(language).split("{}").enumerate() {
            if i > 0
                && let Some(value) = values.next()
            {
                // Writing to a string does not fail.
                let _ = write!(out, "{value}");
            }
            out.push_str(part);
        }
        out
    }
}

/// Columns that a list of names and what they mean has: a narrow screen's.
pub(crate) const COLUMNS: usize = 80;
/// Columns of its names.
const NAMES: usize = 19;

/// A name and what it means: lines that go on below where the meaning began.
pub(crate) fn entry(name: &str, means: &str) -> String {
    let mut out = format!("  {name:NAMES$}");
    let mut column = out.chars().count();
    for word in means.split(' ') {
        let len = word.chars().count();
        if column + 1 + len > COLUMNS && column > NAMES + 2 {
            out += &format!("\n{:1$}", "", NAMES + 2);
            column = NAMES + 2;
        }
        out += &format!(" {word}");
        column += 1 + len;
    }
    out + "\n"
}

macro_rules! texts {
    ($($name:ident: $en:literal, $fr:literal;)*) => {
        $(#[doc = $en] pub const $name: Text = Text($en, $fr);)*
        #[cfg(test)]
        const ALL: &[(&str, Text)] = &[$((stringify!($name), $name)),*];
    };
}

texts! {
    CHATS: "chat", "conversation";
    CONTINUES: "continues your text", "continue votre texte";
    GREETING: "{}: {}, {}, {}, context {}, {}, {} {}. /help lists the commands.",
        "{} : {}, {}, {}, contexte {}, {}, {} {}. /help donne les commandes.";
    CORE: "core", "cœur";
    CORES: "cores", "cœurs";

    RESUME: "The last chat: {}, {}: {}. y goes on with it, any other question begins a new one.",
        "La dernière conversation : {}, {} : {}. o la reprend, toute autre question en commence \
         une nouvelle.";
    ONE_TURN: "1 question", "1 question";
    TURNS: "{} questions", "{} questions";
    RECOMPUTING: "reading the chat again", "relecture de la conversation";

    IS_NOW: "{} is {}", "{} : {}";
    NOT_A_SETTING: "{} is not a setting; there are {}", "{} n'est pas un réglage ; il y a {}";
    EXPECTED: "{}: expected {}, found {}", "{} : attendu {}, trouvé {}";
    SET_NEEDS: "/set {} needs a value: {}", "/set {} demande une valeur : {}";
    NOT_A_COMMAND: "{} is not a command; /help lists them",
        "{} n'est pas une commande ; /help en donne la liste";
    NEEDS: "{} needs {}", "{} demande {}";
    TAKES_NOTHING: "{} takes nothing behind it, found {}", "{} ne prend rien de plus, trouvé {}";
    SETTINGS: "Settings. /set NAME VALUE changes one until the end, for example /set top_p 0.8; \
               what llamaboot.toml says holds at every start. /show has their values.",
        "Réglages. /set NOM VALEUR en change un jusqu'à la fin, par exemple /set top_p 0.8 ; \
         ce que dit llamaboot.toml vaut à chaque démarrage. /show montre leurs valeurs.";

    FORGOTTEN: "the conversation is forgotten", "la conversation est oubliée";
    NO_TURN: "there is no answer yet", "il n'y a pas encore de réponse";
    UNDONE: "the last question and its answer are gone",
        "la dernière question et sa réponse sont effacées";
    STOPPED: "[stopped]", "[arrêté]";
    FULL: "[the context is full; go on, and what is old is left out]",
        "[le contexte est plein ; continuez, le plus ancien sera laissé de côté]";
    TURNS_DROPPED: "[the context is full: the oldest questions are left out from here on]",
        "[le contexte est plein : les plus anciennes questions sont laissées de côté]";
    CLEAR_HELPS: "{}; /clear starts afresh", "{} ; /clear recommence";
    SPEED_ONE: "[1 token, {} tokens/s]", "[1 token, {} tokens/s]";
    SPEED: "[{} tokens, {} tokens/s]", "[{} tokens, {} tokens/s]";
    VERBOSE: "[prompt {} tokens in {} s, {} kept from before]",
        "[question : {} tokens en {} s, {} gardés d'avant]";
    READING: "reading {} of {}", "lecture {} sur {}";
    CUT: "the line is too long: {} characters are left out, {} are taken",
        "la ligne est trop longue : {} caractères sont laissés de côté, {} sont pris";

    MODEL: "model {}, {}, {}", "modèle {}, {}, {}";
    NO_TEMPLATE: "no chat template", "sans modèle de conversation";
    TEMPLATE_IS: "template {}", "format {}";
    TOKENIZER: "tokenizer {}", "tokenizer {}";
    MEMORY: "memory {}", "mémoire {}";
    CONTEXT_USED: "context {} of {} tokens used", "contexte : {} tokens sur {}";
    NO_SYSTEM: "no system prompt", "pas de consigne";
    SYSTEM_IS: "system prompt: {}", "consigne : {}";

    CONTEXT_LINE: "{} {} of {} tokens, {} free", "{} {} tokens sur {}, {} libres";
    CONTEXT_TURN: "  {} tokens  {}", "  {} tokens  {}";
    STATS_ANSWERS: "answers      {}, {} tokens in {} s, {} tokens/s",
        "réponses     {}, {} tokens en {} s, {} tokens/s";
    STATS_PROMPTS: "prompts      {} tokens computed, {} kept from before, {} tokens/s",
        "questions    {} tokens calculés, {} gardés d'avant, {} tokens/s";
    STATS_DRAFTS: "guesses      {} of {} were right", "prédictions  {} justes sur {}";
    STATS_TIME: "this session {} min", "cette séance {} min";
    WHY_ROW: "  {} %  {}   not {}", "  {} %  {}   et non {}";
    LOGITS_USAGE: "/logits: expected token ids such as 1,403,407, found {}",
        "/logits : attendu des numéros de tokens, tels que 1,403,407, trouvé {}";
    BENCH_USAGE: "/bench: expected a number of tokens, found {}",
        "/bench : attendu un nombre de tokens, trouvé {}";

    NO_STORAGE: "nothing can be kept here: {}", "rien ne peut être gardé ici : {}";
    NOT_SAVED: "not saved: {}", "non enregistré : {}";
    SAVED: "saved as {}", "enregistré sous {}";
    LOADED: "{}: {}, with {}", "{} : {}, avec {}";
    NO_CHAT: "there is no chat {}; /chats lists them",
        "il n'y a pas de conversation {} ; /chats en donne la liste";
    NO_CHATS: "no chats are saved; /save NAME keeps this one",
        "aucune conversation enregistrée ; /save NOM garde celle-ci";
    DELETED: "{} is deleted", "{} est effacé";
    CHATS_FULL: "all {} places are taken; /delete NAME frees one",
        "les {} places sont prises ; /delete NOM en libère une";
    BAD_NAME: "a name has at most {} bytes and no blanks, found {}",
        "un nom a au plus {} octets, sans espaces, trouvé {}";
    OLD_TURNS_LEFT_OUT: "the chat is too long for a place: the oldest {} questions are left out",
        "la conversation dépasse une place : les {} plus anciennes questions sont laissées de côté";
    INCOGNITO_ON: "from here on nothing is written, and it is all forgotten at the end",
        "à partir d'ici rien n'est écrit, et tout est oublié à la fin";
    INCOGNITO_OFF: "incognito is over; the conversation is forgotten",
        "fin de l'anonymat ; la conversation est oubliée";
    INCOGNITO_SAVES_NOT: "incognito: nothing is written; /incognito ends that",
        "anonyme : rien n'est écrit ; /incognito y met fin";
    READ: "{}: {} tokens, put before your next question",
        "{} : {} tokens, placés avant votre prochaine question";
    READ_EMPTY: "{}: there is no text in it", "{} : il n'y a pas de texte dedans";
    READ_MORE: "{}: {} tokens with what was read before, put before your next question",
        "{} : {} tokens avec ce qui fut lu avant, placés avant votre prochaine question";
    READ_TOO_LONG: "{}: {} tokens, more than three quarters of the context ({}): not read",
        "{} : {} tokens, plus des trois quarts du contexte ({}) : non lu";
    NOT_TEXT: "{}: byte {}: expected UTF-8 text", "{} : octet {} : attendu du texte UTF-8";
    FAULT_MISSING: "there is no such file", "ce fichier n'existe pas";
    FAULT_READ_ONLY: "this place is read-only", "cet endroit est en lecture seule";
    FAULT_FULL: "there is no room left", "il n'y a plus de place";
    FAULT_TOO_LONG: "it is longer than {} bytes", "il dépasse {} octets";
    FAULT_NO_PLACE: "no folder was given (--home DIR)",
        "aucun dossier n'a été donné (--home DOSSIER)";

    QR_PART: "[part {} of {}; /qr {} shows the next]",
        "[partie {} sur {} ; /qr {} montre la suite]";
    QR_LAST: "[part {} of {}]", "[partie {} sur {}]";
    QR_USAGE: "/qr: expected a part from 1 to {}, found {}",
        "/qr : attendu une partie de 1 à {}, trouvé {}";

    NO_MODEL: "No model found. Put a GGUF, or a llama2.c .bin with its tokenizer.bin, into the \
               folder models/ of\nthis stick (FAT32) and start again.",
        "Aucun modèle trouvé. Mettez un GGUF, ou un .bin de llama2.c avec son tokenizer.bin, dans \
         le dossier\nmodels/ de cette clé (FAT32) et redémarrez.";
    ANY_KEY_LEAVES: "Any key leaves.", "Une touche pour quitter.";
    NO_SUCH_MODEL: "llamaboot.toml: there is no model {} here",
        "llamaboot.toml : il n'y a pas de modèle {} ici";
    PROGRESS_DONE: "{} in {} s", "{} en {} s";
    PROGRESS_LEFT: "{} s left", "reste {} s";
    NEEDS_MEMORY: "{}, needs {} of {}", "{}, demande {} sur {}";
    TOO_LARGE: "needs {} of memory, {} are free: take a smaller model",
        "demande {} de mémoire, {} sont libres : prenez un modèle plus petit";
    READ_AGAIN: "{}: {} MiB did not come as written: reading again; this stick or its socket may \
                 be failing",
        "{} : {} Mio ne sont pas arrivés tels qu'ils furent écrits : nouvelle lecture ; cette clé \
         ou sa prise faiblit peut-être";
    READ_TWICE: "byte {}: read twice, and not the same both times: try again, for this stick or \
                 its socket may be failing",
        "octet {} : lu deux fois, pas le même les deux fois : réessayez, cette clé ou sa prise \
         faiblit peut-être";
    NOT_CHECKED: "{}: the model is not checked", "{} : le modèle n'est pas vérifié";
    DAMAGED: "byte {}: the mebibyte from here on is not the one that was written: write the stick \
              again, or delete its checksums.txt to run the model as it is",
        "octet {} : à partir d'ici un mébioctet n'est plus celui qui fut écrit : écrivez la clé de \
         nouveau, ou effacez son checksums.txt pour lancer le modèle tel quel";
    MODELS: "Models on this machine:", "Modèles de cette machine :";
    MENU_PROMPT: "number, or arrows and Enter: ", "numéro, ou flèches et Entrée : ";
    MENU_KEYBOARD: "F2: keyboard ({}); Esc leaves", "F2 : clavier ({}) ; Échap quitte";
    MENU_ANOTHER: "another one: ", "un autre : ";
    KEYBOARDS: "Keyboards:", "Claviers :";
    STARTING: "starting {} in {} s; any key for the menu",
        "{} démarre dans {} s ; une touche pour le menu";
    HOST_ONLY: "only the booted stick can do that", "seule la clé démarrée sait faire cela";
    NO_SYSTEM_INSTALLED: "no installed system was found", "aucun système installé n'a été trouvé";
    NO_FIRMWARE_SETTINGS: "this firmware does not show its settings on request",
        "ce micrologiciel ne montre pas ses réglages sur demande";

    HELP_HELP: "lists the commands", "donne les commandes";
    HELP_SET: "changes a setting; alone it lists them",
        "change un réglage ; seul, il en donne la liste";
    HELP_SHOW: "shows the model, the memory in use and the settings",
        "montre le modèle, la mémoire et les réglages";
    HELP_REGEN: "answers the last question again", "répond de nouveau à la dernière question";
    HELP_UNDO: "takes the last question and its answer back",
        "retire la dernière question et sa réponse";
    HELP_EDIT: "takes the last question back into the line",
        "reprend la dernière question dans la ligne";
    HELP_CLEAR: "forgets the conversation", "oublie la conversation";
    HELP_SYSTEM: "sets the system prompt; or none, or auto: the model's own",
        "donne la consigne, ou none, ou auto : celle du modèle";
    HELP_SAVE: "keeps the conversation under a name", "garde la conversation sous un nom";
    HELP_LOAD: "goes on with a kept conversation", "reprend une conversation gardée";
    HELP_CHATS: "lists the kept conversations", "donne les conversations gardées";
    HELP_DELETE: "deletes a kept conversation", "efface une conversation gardée";
    HELP_INCOGNITO: "writes nothing more; a booted PC forgets all at the end",
        "n'écrit plus rien ; un PC démarré oublie tout à la fin";
    HELP_READ: "puts a text file of the stick before the next question, behind those read before",
        "place un fichier texte avant la prochaine question, après ceux déjà lus";
    HELP_MODELS: "changes the model and keeps the conversation",
        "change de modèle et garde la conversation";
    HELP_CONTEXT: "shows what fills the context", "montre ce qui remplit le contexte";
    HELP_STATS: "counts tokens and seconds", "compte les tokens et les secondes";
    HELP_WHY: "how likely each token of the answer was, and what else",
        "la probabilité de chaque token, et les autres candidats";
    HELP_LOGITS: "logits after these tokens, to compare machines",
        "logits après ces tokens, pour comparer des machines";
    HELP_BENCH: "speed of reading so many tokens (32), and of writing them",
        "vitesse de lecture de tant de tokens (32), et d'écriture";
    HELP_QR: "shows the last answer as a QR code, for a phone",
        "montre la réponse en code QR, pour un téléphone";
    HELP_BOOT: "starts the installed system", "démarre le système installé";
    HELP_FIRMWARE: "restarts into the firmware's settings",
        "redémarre dans les réglages du micrologiciel";
    HELP_REBOOT: "restarts the machine", "redémarre la machine";
    HELP_POWEROFF: "switches the machine off", "éteint la machine";
    HELP_BYE: "leaves", "quitte";
    HELP_KEYS: "stops an answer; Tab completes, Ctrl-R searches, PgUp scrolls \
                back, \"\"\" opens and closes a text of several lines",
        "arrête une réponse ; Tab complète, Ctrl-R cherche, PgPréc remonte, \
         \"\"\" ouvre et ferme un texte de plusieurs lignes";
    KEYS: "Esc or Ctrl-C", "Échap ou Ctrl-C";

    SET_TEMPERATURE: "0 to 5, auto (0.2 in chats, else 0.7); 0 always takes the likeliest token",
        "0 à 5, auto (0.2 en dialogue, sinon 0.7) ; 0 prend le token le plus probable";
    SET_TOP_P: "0 to 1; keeps the likeliest tokens that together reach this probability",
        "0 à 1 ; garde les tokens les plus probables qui ensemble atteignent cette probabilité";
    SET_TOP_K: "a count; keeps that many of the likeliest tokens, 0 keeps all",
        "un nombre ; garde autant de tokens parmi les plus probables, 0 les garde tous";
    SET_MIN_P: "0 to 1; keeps tokens this likely relative to the likeliest",
        "0 à 1 ; garde les tokens de cette probabilité relative au plus probable";
    SET_TYPICAL: "0 to 1; keeps tokens of typical surprise up to this probability, 1 is off",
        "0 à 1 ; garde les tokens de surprise typique jusqu'à cette probabilité, 1 : sans";
    SET_REPEAT: "0.5 to 2, auto (1.05 in chats); above 1 makes recent tokens less likely",
        "0.5 à 2, auto (1.05 en dialogue) ; plus haut, les tokens récents sont moins probables";
    SET_REPEAT_LAST_N: "a count up to 4096; how many tokens back the penalties look",
        "un nombre jusqu'à 4096 ; sur combien de tokens portent les pénalités";
    SET_FREQUENCY: "-2 to 2; taken off a logit for each time its token came lately",
        "-2 à 2 ; retiré d'un logit pour chaque apparition récente de son token";
    SET_PRESENCE: "-2 to 2; taken off a logit once where its token came lately",
        "-2 à 2 ; retiré une fois d'un logit dont le token est apparu récemment";
    SET_DRY: "0 to 5; weight of the penalty on repeating whole phrases, 0 is off",
        "0 à 5 ; poids de la pénalité sur la répétition de phrases, 0 : sans";
    SET_DRY_BASE: "1 to 4; how fast that penalty grows with the phrase",
        "1 à 4 ; croissance de cette pénalité avec la longueur";
    SET_DRY_LENGTH: "1 to 64; repeated tokens that cost nothing",
        "1 à 64 ; tokens répétés sans pénalité";
    SET_MIROSTAT: "0, 1 or 2; keeps the surprise of the text steady, 0 is off",
        "0, 1 ou 2 ; garde constante la surprise du texte, 0 : sans";
    SET_MIROSTAT_TAU: "0 to 20; the surprise aimed at", "0 à 20 ; la surprise visée";
    SET_MIROSTAT_ETA: "0 to 1; how fast mirostat learns",
        "0 à 1 ; vitesse d'adaptation de mirostat";
    SET_SEED: "a number for repeatable answers, or random",
        "un nombre pour des réponses répétables, ou random";
    SET_MAX_TOKENS: "longest answer in tokens, or 0 for the rest of the context",
        "réponse la plus longue en tokens, ou 0 pour le reste du contexte";
    SET_CONTEXT: "16 or more tokens of the conversation kept in mind, or 0 for all that fits",
        "16 tokens de conversation ou plus gardés en mémoire, ou 0 pour tout ce qui tient";
    SET_STOP: "a text that ends an answer (\\n is a line end), up to 8 of them, or none",
        "un texte qui termine une réponse (\\n : fin de ligne), jusqu'à 8, ou none";
    SET_SYSTEM: "the system prompt, none, or auto for the model's own",
        "la consigne, none, ou auto pour celle du modèle";
    SET_TEMPLATE: "how turns are put: auto, {}", "la forme des tours : auto, {}";
    SET_FORMAT: "text, json, or the name of a file with a GBNF grammar",
        "text, json, ou le nom d'un fichier avec une grammaire GBNF";
    SET_KEYBOARD: "us, us-intl, uk, fr, de, es, it or pt", "us, us-intl, uk, fr, de, es, it ou pt";
    SET_THEME: "dark, light or contrast", "dark, light ou contrast";
    SET_WORDWRAP: "on or off; breaks lines between words",
        "on ou off ; coupe les lignes entre les mots";
    SET_VERBOSE: "on or off; also tells what the prompt took",
        "on ou off ; dit aussi ce que la question a pris";
    SET_LANGUAGE: "en or fr", "en ou fr";
    SET_ISA: "the kernels: scalar, sse2, avx2, avx512, neon, or best; the answers are the same",
        "les noyaux : scalar, sse2, avx2, avx512, neon, ou best ; les réponses sont les mêmes";
    SET_KV: "f32 or f16; f16 takes half the memory of the context, and rounds a little",
        "f32 ou f16 ; f16 prend la moitié de la mémoire du contexte, et arrondit un peu";
    SET_SPECULATION: "on or off; guesses from earlier text, the answers are the same",
        "on ou off ; prédit d'après le texte précédent, les réponses sont les mêmes";

    CONFIG_LINE: "{}: line {}: {}", "{} : ligne {} : {}";
    CONFIG_EXPECTED_MODEL: "model: expected a file name, found {}",
        "model : attendu un nom de fichier, trouvé {}";
    CONFIG_EXPECTED_SECONDS: "autostart: expected 0 to 600 seconds (model = \"…\" names it), \
                              found {}",
        "autostart : attendu 0 à 600 secondes (model = \"…\" nomme le modèle), trouvé {}";
    CONFIG_EXPECTED_SPEED: "serial: expected a speed such as 115200, found {}",
        "serial : attendu un débit tel que 115200, trouvé {}";
    CONFIG_TYPE: "{}: expected a text, a number, true or false, found {}",
        "{} : attendu un texte, un nombre, true ou false, trouvé {}";
    CONFIG_UNKNOWN: "{}: there is no such setting", "{} : ce réglage n'existe pas";
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn both_languages_take_the_same_values() {
        let places = |text: &str| text.matches("{}").count();
        for (name, Text(en, fr)) in ALL {
            assert_eq!(places(en), places(fr), "{name}");
            assert!(!fr.is_empty() && !fr.contains("  ") || en.contains("  "), "{name}");
        }
    }

    #[test]
    fn long_entries_go_on_below_where_they_began() {
        let (long, indent) = ("word ".repeat(30), " ".repeat(NAMES + 3));
        let lines = entry("/name", &long);
        assert!(lines.lines().count() == 3, "{lines}");
        assert!(lines.lines().skip(1).all(|line| line.starts_with(&(indent.clone() + "word"))));
        assert_eq!(lines.split_whitespace().skip(1).collect::<Vec<_>>().join(" "), long.trim());
    }

    #[test]
    fn values_are_filled_in_order() {
        assert_eq!(IS_NOW.fill(Language::En, &[&"seed", &42]), "seed is 42");
        assert_eq!(IS_NOW.fill(Language::Fr, &[&"seed", &42]), "seed : 42");
    }
}
