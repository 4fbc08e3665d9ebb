//! The grammar behind "answer in JSON".
//!
//! It is RFC 8259 with three bounds that keep a model from going astray: blanks between tokens are
//! one space, or one new line with up to 40 blanks; numbers have at most 20 digits before the
//! point, 24 behind it and 3 in the exponent, which is more than a double has; and a surrogate is
//! only written as half of a pair, for most readers refuse a lone one.

pub(super) const SOURCE: &str = r#"
root     ::= blank (object | array)
value    ::= object | array | string | number | "true" | "false" | "null"

object   ::= "{" blank (member ("," blank member)*)? "}"
member   ::= string blank ":" blank value blank
array    ::= "[" blank (value blank ("," blank value blank)*)? "]"

string   ::= "\"" ([^"\\\x00-\x1F] | "\\" escape)* "\""
escape   ::= ["\\/bfnrt] | "u" unit
unit     ::= [0-9a-cA-CefEF] hex{3} | [dD] [0-7] hex{2} | [dD] [89abAB] hex{2} low
low      ::= "\\u" [dD] [c-fC-F] hex{2}
hex      ::= [0-9a-fA-F]

number   ::= "-"? ("0" | [1-9] [0-9]{0,19}) ("." [0-9]{1,24})? ([eE] [-+]? [0-9]{1,3})?

blank    ::= (" " | "\r"? "\n" [ \t]{0,40})?
"#;
